//! `BufferedConn` and its halves: what a task holds of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::direction::DEFAULT_CEILING;
use super::pool::BufferPool;
use super::shared::{Shared, Side};
use super::sync::Arc;

/// Most parts of a vectored write that are taken at once; further parts wait for the next call.
const MAX_PARTS: usize = 16;

/// How much may wait in each direction of a connection, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnConfig {
    /// Ceiling for what the dialer writes (requests). At least 1.
    pub dialer_ceiling: usize,
    /// Ceiling for what the listener's side writes (responses). At least 1.
    pub listener_ceiling: usize,
}

impl Default for ConnConfig {
    /// [`DEFAULT_CEILING`] both ways.
    fn default() -> Self {
        Self {
            dialer_ceiling: DEFAULT_CEILING,
            listener_ceiling: DEFAULT_CEILING,
        }
    }
}

/// One end of an in-memory connection.
///
/// Implements [`AsyncRead`] and [`AsyncWrite`]. Dropping it closes both directions: the other end
/// reads what waits, then the end of the stream, and its writes fail with `BrokenPipe`.
#[derive(Debug)]
pub struct BufferedConn {
    read: ReadHalf,
    write: WriteHalf,
}

/// The reading half of a [`BufferedConn`]. Dropping it fails the other end's writes.
#[derive(Debug)]
pub struct ReadHalf {
    shared: Arc<Shared>,
    side: Side,
}

/// The writing half of a [`BufferedConn`]. Dropping it ends the stream the other end reads.
#[derive(Debug)]
pub struct WriteHalf {
    shared: Arc<Shared>,
    side: Side,
}

/// Two halves did not come from the same end of the same connection. Holds both.
#[derive(Debug, thiserror::Error)]
#[error("the halves belong to different connections")]
pub struct ReuniteError(pub ReadHalf, pub WriteHalf);

impl BufferedConn {
    /// Two connected ends: the dialer's first, the listener's second.
    pub fn pair(config: ConnConfig, pool: BufferPool) -> (Self, Self) {
        let shared = Arc::new(Shared::new(
            config.dialer_ceiling,
            config.listener_ceiling,
            pool,
        ));
        (
            Self::end(&shared, Side::Dialer),
            Self::end(&shared, Side::Listener),
        )
    }

    fn end(shared: &Arc<Shared>, side: Side) -> Self {
        let half = || Arc::clone(shared);
        Self {
            read: ReadHalf {
                shared: half(),
                side,
            },
            write: WriteHalf {
                shared: half(),
                side,
            },
        }
    }

    /// Splits into halves that different tasks may own.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }

    /// Bytes that wait to be read at this end.
    pub fn waiting(&self) -> usize {
        self.read.waiting()
    }

    /// Waits until bytes or the end of the stream are there to be read. A task that waits here
    /// needs no buffer until then, and [`Self::waiting`] says how large it must be. Cancel-safe.
    pub async fn readable(&mut self) {
        std::future::poll_fn(|cx| self.read.shared.poll_readable(self.read.side, cx)).await;
    }
}

impl ReadHalf {
    /// Joins the halves of one end again.
    ///
    /// # Errors
    /// [`ReuniteError`] with both halves if they are not from the same end.
    pub fn reunite(self, write: WriteHalf) -> Result<BufferedConn, ReuniteError> {
        if Arc::ptr_eq(&self.shared, &write.shared) && self.side == write.side {
            Ok(BufferedConn { read: self, write })
        } else {
            Err(ReuniteError(self, write))
        }
    }

    /// Bytes that wait to be read at this end.
    pub fn waiting(&self) -> usize {
        self.shared.waiting(self.side)
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        self.shared.close_read(self.side);
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        self.shared.close_write(self.side);
    }
}

impl AsyncRead for ReadHalf {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = buf.remaining();
        if limit == 0 {
            return Poll::Ready(Ok(()));
        }
        self.shared
            .poll_read(self.side, cx, limit, |bytes| buf.put_slice(bytes))
            .map(|_| Ok(()))
    }
}

impl AsyncWrite for WriteHalf {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write(self.side, cx, &[buf])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut parts: [&[u8]; MAX_PARTS] = [&[]; MAX_PARTS];
        let count = bufs.len().min(MAX_PARTS);
        for (part, buf) in parts.iter_mut().zip(bufs) {
            *part = buf;
        }
        self.shared.poll_write(self.side, cx, &parts[..count])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the stream. What was written can still be read; later writes fail with `BrokenPipe`.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.close_write(self.side);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for BufferedConn {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for BufferedConn {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}
