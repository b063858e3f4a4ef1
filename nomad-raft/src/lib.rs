//! Consensus on raft-rs: a sans-I/O core and the async driver around it.
