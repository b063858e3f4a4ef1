//! The reference design: each direction owns a ring buffer of fixed size for the connection's life.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

struct Ring {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a connection with fixed buffers.
pub(crate) struct FixedConn {
    incoming: Arc<Mutex<Ring>>,
    outgoing: Arc<Mutex<Ring>>,
}

impl FixedConn {
    /// Two connected ends with a ring of `size` bytes for each direction.
    pub(crate) fn pair(size: usize) -> (Self, Self) {
        let ring = || {
            Arc::new(Mutex::new(Ring {
                bytes: vec![0; size].into_boxed_slice(),
                start: 0,
                len: 0,
                closed: false,
                reader: None,
                writer: None,
            }))
        };
        let (a, b) = (ring(), ring());
        let other = Self {
            incoming: Arc::clone(&b),
            outgoing: Arc::clone(&a),
        };
        (
            Self {
                incoming: a,
                outgoing: b,
            },
            other,
        )
    }
}

impl AsyncRead for FixedConn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut guard = self.incoming.lock();
        let ring = &mut *guard;
        if ring.len == 0 {
            if ring.closed {
                return Poll::Ready(Ok(()));
            }
            ring.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while ring.len > 0 && buf.remaining() > 0 {
            let end = (ring.start + ring.len).min(ring.bytes.len());
            let take = (end - ring.start).min(buf.remaining());
            buf.put_slice(&ring.bytes[ring.start..ring.start + take]);
            ring.start = (ring.start + take) % ring.bytes.len();
            ring.len -= take;
        }
        let waker = ring.writer.take();
        drop(guard);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FixedConn {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut guard = self.outgoing.lock();
        let ring = &mut *guard;
        if ring.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let size = ring.bytes.len();
        if ring.len == size {
            ring.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut written = 0;
        while ring.len < size && written < buf.len() {
            let at = (ring.start + ring.len) % size;
            let end = if at < ring.start { ring.start } else { size };
            let take = (end - at).min(buf.len() - written);
            ring.bytes[at..at + take].copy_from_slice(&buf[written..written + take]);
            written += take;
            ring.len += take;
        }
        let waker = ring.reader.take();
        drop(guard);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ring = self.outgoing.lock();
        ring.closed = true;
        let waker = ring.reader.take();
        drop(ring);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for FixedConn {
    fn drop(&mut self) {
        for ring in [&self.incoming, &self.outgoing] {
            let mut ring = ring.lock();
            ring.closed = true;
            let wakers = [ring.reader.take(), ring.writer.take()];
            drop(ring);
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}
