//! Nomad's HTTP shape: types, routes, error table, and a typed client.
