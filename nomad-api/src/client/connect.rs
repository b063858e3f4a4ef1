//! Connections: TCP or a unix socket.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::error::ClientError;

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `host:port`, and the path before every request's own.
    Tcp {
        authority: String,
        base: String,
    },
    Unix(PathBuf),
}

impl Target {
    pub(super) fn parse(address: &str) -> Result<Self, ClientError> {
        if let Some(path) = address.strip_prefix("unix://") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if address.starts_with("https://") {
            return Err(ClientError::Tls {
                address: address.to_owned(),
            });
        }
        let refused = || ClientError::Address {
            address: address.to_owned(),
        };
        let rest = address.strip_prefix("http://").ok_or_else(refused)?;
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let parsed: http::uri::Authority = authority.parse().map_err(|_| refused())?;
        let authority = match parsed.port() {
            Some(_) => authority.to_owned(),
            None => format!("{authority}:80"),
        };
        Ok(Self::Tcp {
            authority,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// The request's URI. A unix socket has no host of its own; the name is only for the `Host` header.
    pub(super) fn uri(&self, path: &str, query: &str) -> String {
        let joint = match (query.is_empty(), path.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        match self {
            Self::Tcp { authority, base } => {
                format!("http://{authority}{base}{path}{joint}{query}")
            }
            Self::Unix(_) => format!("http://localhost{path}{joint}{query}"),
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp { authority, .. } => {
                let stream = TcpStream::connect(authority.as_str()).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        }
    }
}

/// Opens connections for the pool.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    target: Target,
}

impl Connector {
    pub(super) fn new(target: Target) -> Self {
        Self { target }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let target = self.target.clone();
        Box::pin(async move { target.connect().await.map(TokioIo::new) })
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let tcp = Target::parse("http://127.0.0.1:4646/nomad/").unwrap();
        assert_eq!(
            tcp.uri("/v1/jobs", "prefix=a"),
            "http://127.0.0.1:4646/nomad/v1/jobs?prefix=a"
        );
        assert_eq!(
            Target::parse("unix:///run/nomad.sock").unwrap(),
            Target::Unix("/run/nomad.sock".into())
        );
        assert_eq!(
            Target::parse("http://nomad")
                .unwrap()
                .uri("/v1/jobs?a=b", "c=d"),
            "http://nomad:80/v1/jobs?a=b&c=d"
        );
        for bad in ["", "127.0.0.1:4646", "ftp://x", "http://a b"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        assert!(matches!(
            Target::parse("https://x:1"),
            Err(ClientError::Tls { .. })
        ));
    }
}
