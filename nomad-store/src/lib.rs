//! Durable log and key-value storage: traits, an in-memory and a RocksDB implementation.
