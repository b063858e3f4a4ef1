//! How large messages and queues may be.

/// Largest message of a node stream in either direction, in bytes.
pub const MAX_NODE_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Allocations are cut into parts of about this size, in bytes.
pub const ALLOCS_PART_BYTES: usize = 1024 * 1024;

/// Most allocation updates that a node puts into one batch.
pub const MAX_ALLOC_UPDATES: usize = 2048;

/// Most events that a node puts into one message.
pub const MAX_NODE_EVENTS: usize = 128;

/// Messages waiting in one direction of a node stream before the sender is held back.
pub const NODE_STREAM_QUEUE: usize = 8;

/// Largest piece of a byte stream, in bytes.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// Pieces waiting in one direction of a byte stream before the writer is held back.
pub const CHUNK_QUEUE: usize = 4;

/// Largest message of a byte stream: a piece and its framing, in bytes.
pub const MAX_CHUNK_MESSAGE_BYTES: usize = MAX_CHUNK_BYTES + 1024;

/// Largest frame between servers and its framing, in bytes.
pub const MAX_RAFT_MESSAGE_BYTES: usize = 18 * 1024 * 1024;

/// Frames waiting for one peer; beyond it they are dropped, which consensus copes with.
pub const RAFT_QUEUE: usize = 256;
