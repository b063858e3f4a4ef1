//! Messages between agents: the only home of generated protobuf and gRPC code.
//!
//! **Layer:** L2, beside the domain types but without them: nodes, allocations, jobs and log entries travel inside as
//! MessagePack ([`pack`], [`unpack`]).
//!
//! | service | who calls | what for |
//! |---|---|---|
//! | [`node`]`::Node` | node → server | registration, heartbeats and status up; allocations down |
//! | [`bytes`]`::Tunnel` | node → server, when asked | a byte stream on which the server reaches the node's own API |
//! | [`bytes`]`::Server` | server or client agent → server | a byte stream on which a request is forwarded |
//! | [`raft`]`::Raft` | server → server | consensus messages and snapshots, opaque here |
//!
//! Invariants:
//! - `src/gen` is what `proto/*.proto` say (checked by `tests/codegen.rs`; no protoc is needed to build or to generate);
//! - every message has a limit ([`limits`]), set on both ends of every service by [`service`].
//!
//! Not here: what the messages mean (nomad-server, nomad-client, nomad-raft), connections and their TLS.

mod pack;
mod tunnel;

pub mod limits;
pub mod service;

pub use pack::{PackError, pack, unpack};
pub use tunnel::{ChunkStream, Outbound, TUNNEL_ID_KEY, TunnelIo};

/// Version of what node and server say to each other; a server refuses nodes that speak a newer one.
pub const NODE_PROTOCOL: u32 = 1;

/// Plain byte streams: `Tunnel` and `Server`.
#[expect(clippy::pedantic, unused_qualifications, reason = "generated")]
pub mod bytes {
    include!("gen/nomad.bytes.v1.rs");
}

/// Node streams: `Node`.
#[expect(clippy::pedantic, unused_qualifications, reason = "generated")]
pub mod node {
    include!("gen/nomad.node.v1.rs");
}

/// Consensus: `Raft`.
#[expect(clippy::pedantic, unused_qualifications, reason = "generated")]
pub mod raft {
    include!("gen/nomad.raft.v1.rs");
}
