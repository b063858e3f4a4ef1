//! Clients and servers of the services with their message limits set.

use tonic::client::GrpcService;
use tonic::codegen::{Body, Bytes, StdError};

use crate::bytes::server_client::ServerClient;
use crate::bytes::server_server::{Server, ServerServer};
use crate::bytes::tunnel_client::TunnelClient;
use crate::bytes::tunnel_server::{Tunnel, TunnelServer};
use crate::limits::{MAX_CHUNK_MESSAGE_BYTES, MAX_NODE_MESSAGE_BYTES, MAX_RAFT_MESSAGE_BYTES};
use crate::node::node_client::NodeClient;
use crate::node::node_server::{Node, NodeServer};
use crate::raft::raft_client::RaftClient;
use crate::raft::raft_server::{Raft, RaftServer};

macro_rules! client {
    ($(#[$doc:meta])* $name:ident, $client:ident, $limit:ident) => {
        $(#[$doc])*
        pub fn $name<C>(channel: C) -> $client<C>
        where
            C: GrpcService<tonic::body::Body>,
            C::Error: Into<StdError>,
            C::ResponseBody: Body<Data = Bytes> + Send + 'static,
            <C::ResponseBody as Body>::Error: Into<StdError> + Send,
        {
            $client::new(channel)
                .max_decoding_message_size($limit)
                .max_encoding_message_size($limit)
        }
    };
}

client! {
    /// Opens node streams over a channel.
    node_client, NodeClient, MAX_NODE_MESSAGE_BYTES
}
client! {
    /// Opens tunnels over a channel.
    tunnel_client, TunnelClient, MAX_CHUNK_MESSAGE_BYTES
}
client! {
    /// Forwards requests over a channel.
    server_client, ServerClient, MAX_CHUNK_MESSAGE_BYTES
}
client! {
    /// Sends consensus messages over a channel.
    raft_client, RaftClient, MAX_RAFT_MESSAGE_BYTES
}

macro_rules! server {
    ($(#[$doc:meta])* $name:ident, $service:ident, $server:ident, $limit:ident) => {
        $(#[$doc])*
        pub fn $name<T: $service>(handler: T) -> $server<T> {
            $server::new(handler)
                .max_decoding_message_size($limit)
                .max_encoding_message_size($limit)
        }
    };
}

server! {
    /// Serves node streams.
    node_server, Node, NodeServer, MAX_NODE_MESSAGE_BYTES
}
server! {
    /// Serves tunnels.
    tunnel_server, Tunnel, TunnelServer, MAX_CHUNK_MESSAGE_BYTES
}
server! {
    /// Serves forwarded requests.
    server_server, Server, ServerServer, MAX_CHUNK_MESSAGE_BYTES
}
server! {
    /// Serves consensus messages.
    raft_server, Raft, RaftServer, MAX_RAFT_MESSAGE_BYTES
}
