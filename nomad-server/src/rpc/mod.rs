//! The services that nodes and other servers call, and the calls to other servers.

mod bytes;
pub(crate) mod keys;
mod node;
pub(crate) mod peers;
mod raft;
pub(crate) mod transport;

use std::sync::Arc;

use nomad_proto::service;
use tonic::service::Routes;

use crate::server::{Inner, Server};

/// The services of one server.
#[derive(Clone)]
pub(super) struct Services(Arc<Inner>);

impl Server {
    /// The gRPC services, to be served on the RPC listener.
    pub fn grpc_routes(&self) -> Routes {
        let services = Services(Arc::clone(&self.inner));
        let mut routes = Routes::builder();
        routes
            .add_service(service::node_server(services.clone()))
            .add_service(service::tunnel_server(services.clone()))
            .add_service(service::server_server(services.clone()))
            .add_service(service::raft_server(services));
        routes.routes()
    }
}
