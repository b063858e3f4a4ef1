//! A gRPC stream of chunks as a plain byte stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::PollSender;
use tonic::Status;

use crate::bytes::Chunk;
use crate::limits::{CHUNK_QUEUE, MAX_CHUNK_BYTES};

/// Metadata key by which an opened tunnel says which request it answers.
pub const TUNNEL_ID_KEY: &str = "nomad-tunnel-id";

/// What one side sends: the request stream of the caller, or (mapped to `Ok`) the response stream of the called.
pub type ChunkStream = ReceiverStream<Chunk>;

/// The writing half before the other direction is known.
///
/// ```no_run
/// # async fn example(mut client: nomad_proto::bytes::server_client::ServerClient<tonic::transport::Channel>)
/// # -> Result<(), tonic::Status> {
/// let (outbound, chunks) = nomad_proto::Outbound::new();
/// let response = client.forward(chunks).await?;
/// let io = outbound.connect(response.into_inner());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Outbound {
    sender: PollSender<Chunk>,
}

impl Outbound {
    /// A writing half and the stream of what is written to it.
    pub fn new() -> (Self, ChunkStream) {
        let (sender, receiver) = mpsc::channel(CHUNK_QUEUE);
        (
            Self {
                sender: PollSender::new(sender),
            },
            ReceiverStream::new(receiver),
        )
    }

    /// Joins it with the chunks that the other side sends.
    pub fn connect(
        self,
        inbound: impl Stream<Item = Result<Chunk, Status>> + Send + 'static,
    ) -> TunnelIo {
        TunnelIo {
            inbound: Box::pin(inbound),
            outbound: self.sender,
            unread: Bytes::new(),
            read_ended: false,
            write_ended: false,
        }
    }
}

/// A byte stream over a gRPC stream; holds at most [`CHUNK_QUEUE`] chunks of [`MAX_CHUNK_BYTES`] per direction.
///
/// Shutting down the writing side tells the other side, and leaves the reading side open. Dropping ends both.
pub struct TunnelIo {
    inbound: Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>,
    outbound: PollSender<Chunk>,
    unread: Bytes,
    read_ended: bool,
    write_ended: bool,
}

impl TunnelIo {
    /// Serves the called side: the byte stream, and the response stream to give back.
    pub fn serve(
        inbound: impl Stream<Item = Result<Chunk, Status>> + Send + 'static,
    ) -> (
        Self,
        impl Stream<Item = Result<Chunk, Status>> + Send + 'static,
    ) {
        let (outbound, chunks) = Outbound::new();
        (outbound.connect(inbound), chunks.map(Ok))
    }

    fn broken_pipe() -> io::Error {
        io::Error::new(
            io::ErrorKind::BrokenPipe,
            "the other side closed the tunnel",
        )
    }
}

impl fmt::Debug for TunnelIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelIo")
            .field("unread", &self.unread.len())
            .field("read_ended", &self.read_ended)
            .field("write_ended", &self.write_ended)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for TunnelIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.unread.is_empty() {
                let count = self.unread.len().min(buf.remaining());
                buf.put_slice(&self.unread[..count]);
                self.unread.advance(count);
                return Poll::Ready(Ok(()));
            }
            if self.read_ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.inbound.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => {
                    self.read_ended = chunk.fin;
                    self.unread = chunk.data;
                }
                None => self.read_ended = true,
                Some(Err(status)) => {
                    self.read_ended = true;
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::ConnectionReset,
                        status.message().to_owned(),
                    )));
                }
            }
        }
    }
}

impl AsyncWrite for TunnelIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_ended {
            return Poll::Ready(Err(Self::broken_pipe()));
        }
        if ready!(self.outbound.poll_reserve(cx)).is_err() {
            return Poll::Ready(Err(Self::broken_pipe()));
        }
        let count = buf.len().min(MAX_CHUNK_BYTES);
        let chunk = Chunk {
            data: Bytes::copy_from_slice(&buf[..count]),
            fin: false,
        };
        self.outbound
            .send_item(chunk)
            .map_err(|_| Self::broken_pipe())?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Chunks leave as soon as the transport takes them.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_ended {
            return Poll::Ready(Ok(()));
        }
        // The sender stays open: the end of a response stream would end the caller's direction too.
        if ready!(self.outbound.poll_reserve(cx)).is_ok() {
            let fin = Chunk {
                data: Bytes::new(),
                fin: true,
            };
            // A closed channel means that the other side is gone, and so needs no notice.
            let _ = self.outbound.send_item(fin);
        }
        self.write_ended = true;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (TunnelIo, TunnelIo) {
        let (caller, to_called) = Outbound::new();
        let (called, to_caller) = TunnelIo::serve(to_called.map(Ok));
        (caller.connect(to_caller), called)
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_and_each_direction_ends_alone() {
        let (mut caller, mut called) = pair();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            caller.write_all(&sent).await.unwrap();
            caller.shutdown().await.unwrap();
            let mut answer = String::new();
            caller.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let mut received = Vec::new();
        called.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        called.write_all(b"done").await.unwrap();
        drop(called);
        assert_eq!(writer.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn writes_wait_when_nobody_reads() {
        let (mut caller, _called) = pair();
        let flood = vec![0_u8; MAX_CHUNK_BYTES * (CHUNK_QUEUE + 1)];
        let written = tokio::time::timeout(
            std::time::Duration::from_millis(50),
            caller.write_all(&flood),
        )
        .await;
        assert!(written.is_err(), "the queue must be bounded");
    }

    #[tokio::test]
    async fn writes_fail_when_the_other_side_is_gone() {
        let (mut caller, called) = pair();
        drop(called);
        let error = caller.write_all(b"hello").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
