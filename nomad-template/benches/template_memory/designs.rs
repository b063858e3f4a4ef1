//! The four designs behind one trait, so that each is driven by the same code.

use nomad_template::bufconn::{BufferPool, BufferedConn, ConnConfig, DEFAULT_CEILING};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::fixed::FixedConn;

/// A way to make connections.
pub(crate) trait Design {
    /// Name in tables.
    const NAME: &'static str;
    /// Measured up to so many connections; beyond, the figure is extrapolated.
    const MEASURED_UP_TO: usize;
    type Conn: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    fn new() -> Self;
    /// The client's end and the server's end.
    fn pair(&self) -> (Self::Conn, Self::Conn);
}

/// Two ring buffers of `SIZE` bytes per connection, made with it.
pub(crate) struct Fixed<const SIZE: usize>;

impl Design for Fixed<{ 1024 * 1024 }> {
    const NAME: &'static str = "fixed 1 MiB";
    const MEASURED_UP_TO: usize = 1_000;
    type Conn = FixedConn;
    fn new() -> Self {
        Self
    }
    fn pair(&self) -> (FixedConn, FixedConn) {
        FixedConn::pair(1024 * 1024)
    }
}

impl Design for Fixed<{ 100 * 1024 }> {
    const NAME: &'static str = "fixed 100 KiB";
    const MEASURED_UP_TO: usize = 1_000;
    type Conn = FixedConn;
    fn new() -> Self {
        Self
    }
    fn pair(&self) -> (FixedConn, FixedConn) {
        FixedConn::pair(100 * 1024)
    }
}

/// `tokio::io::duplex` with the ceiling of `BufferedConn`.
pub(crate) struct Duplex;

impl Design for Duplex {
    const NAME: &'static str = "tokio duplex";
    const MEASURED_UP_TO: usize = 10_000;
    type Conn = DuplexStream;
    fn new() -> Self {
        Self
    }
    fn pair(&self) -> (DuplexStream, DuplexStream) {
        tokio::io::duplex(DEFAULT_CEILING)
    }
}

/// Ours.
pub(crate) struct Buffered(BufferPool);

impl Design for Buffered {
    const NAME: &'static str = "BufferedConn";
    const MEASURED_UP_TO: usize = 10_000;
    type Conn = BufferedConn;
    fn new() -> Self {
        Self(BufferPool::default())
    }
    fn pair(&self) -> (BufferedConn, BufferedConn) {
        BufferedConn::pair(ConnConfig::default(), self.0.clone())
    }
}

/// Names of the designs in the order of the tables.
pub(crate) const NAMES: [&str; 4] = [
    Fixed::<{ 1024 * 1024 }>::NAME,
    Fixed::<{ 100 * 1024 }>::NAME,
    Duplex::NAME,
    Buffered::NAME,
];

/// Largest number of connections a design is measured with.
pub(crate) fn measured_up_to(name: &str) -> usize {
    match name {
        n if n == Duplex::NAME => Duplex::MEASURED_UP_TO,
        n if n == Buffered::NAME => Buffered::MEASURED_UP_TO,
        _ => Fixed::<{ 1024 * 1024 }>::MEASURED_UP_TO,
    }
}
