//! `BufferedConn`: an in-memory connection whose buffers exist only while bytes wait.
//!
//! A template runner talks HTTP to the agent it lives in. Nearly all of the time such a
//! connection is idle, parked in a blocking query, so what an idle connection costs is what
//! the whole feature costs. Here an idle connection is two small structs (no buffer at all);
//! bytes that wait to be read lie in segments from a [`BufferPool`] shared by every connection
//! of the node, and go back to it as they are read.
//!
//! Guarantees, each held by a test:
//! - **Order and loss.** Each direction is a byte queue: nothing is lost, repeated or reordered.
//! - **Whole writes.** A write of up to the direction's ceiling is queued in one piece or not
//!   at all, so a reader with a large enough buffer takes it in one read.
//! - **Back-pressure.** Never more than the ceiling waits in a direction.
//! - **Cancellation.** A read or write future that is dropped before it was ready has done nothing.
//! - **Ends.** After shutdown or drop of the writer, the reader drains what waits and then sees
//!   the end of the stream; after drop of the reader, the writer gets `BrokenPipe` at once and
//!   what waited is given back to the pool. Whoever sleeps is woken by each of these.
//!
//! Layers: `direction` is the synchronous state machine of one direction (no locks, no wakers
//! called), `shared` puts two of them behind locks and does the waking, `conn` and `listener` are
//! what others see.

mod conn;
mod direction;
mod listener;
mod pool;
mod shared;
mod sync;
#[cfg(test)]
mod tests;

pub use conn::{BufferedConn, ConnConfig, ReadHalf, ReuniteError, WriteHalf};
pub use direction::DEFAULT_CEILING;
pub use listener::{DEFAULT_BACKLOG, Dialer, Listener, in_memory};
pub use pool::{BufferPool, DEFAULT_MAX_IDLE_BYTES, MAX_SEGMENT, MIN_SEGMENT};
