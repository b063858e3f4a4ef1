//! The same source built with shuttle's lock, so that a scheduler may switch tasks at every lock.
//!
//! The files of the module are included a second time below a `sync` module of their own; what
//! runs is the code that ships, not a copy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod sync {
    //! The module's lock, made of shuttle's.

    pub(super) use std::sync::Arc;

    #[derive(Debug, Default)]
    pub(super) struct Lock<T>(shuttle::sync::Mutex<T>);

    impl<T> Lock<T> {
        pub(super) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no test panics under the lock")
        }
    }
}

#[expect(
    dead_code,
    unreachable_pub,
    clippy::duplicate_mod,
    reason = "a second build, for these tests only"
)]
#[path = "../conn.rs"]
mod conn;
#[expect(
    unreachable_pub,
    clippy::duplicate_mod,
    reason = "a second build, for these tests only"
)]
#[path = "../direction.rs"]
mod direction;
#[expect(
    dead_code,
    unreachable_pub,
    clippy::duplicate_mod,
    reason = "a second build, for these tests only"
)]
#[path = "../pool.rs"]
mod pool;
#[expect(clippy::duplicate_mod, reason = "a second build, for these tests only")]
#[path = "../shared.rs"]
mod shared;

use conn::{BufferedConn, ConnConfig};
use pool::BufferPool;
use shuttle::future::{block_on, spawn};

const RUNS: usize = 3_000;

fn pair(ceiling: usize) -> (BufferedConn, BufferedConn, BufferPool) {
    let pool = BufferPool::new(2_000);
    let config = ConnConfig {
        dialer_ceiling: ceiling,
        listener_ceiling: ceiling,
    };
    let (a, b) = BufferedConn::pair(config, pool.clone());
    (a, b, pool)
}

/// Random schedules, and schedules with few but nasty preemptions.
fn explore(test: fn()) {
    shuttle::check_random(test, RUNS);
    shuttle::check_pct(test, RUNS, 3);
}

#[test]
fn every_byte_arrives_in_order_through_a_narrow_pipe() {
    explore(|| {
        let (mut a, mut b, pool) = pair(7);
        let sent: Vec<u8> = (0..40).collect();
        let expected = sent.clone();
        let writer = spawn(async move {
            for chunk in sent.chunks(9) {
                a.write_all(chunk).await.expect("the reader stays");
            }
        });
        block_on(async move {
            let mut got = Vec::new();
            let mut buf = [0; 5];
            loop {
                let count = b.read(&mut buf).await.expect("reading cannot fail");
                if count == 0 {
                    break;
                }
                got.extend_from_slice(&buf[..count]);
            }
            assert_eq!(got, expected);
            writer.await.expect("writer");
        });
        assert_eq!(pool.in_use_bytes(), 0);
    });
}

#[test]
fn request_and_response_then_close_from_either_side() {
    explore(|| {
        let (mut client, mut server, pool) = pair(16);
        let serving = spawn(async move {
            let mut buf = [0; 4];
            while server.read_exact(&mut buf).await.is_ok() {
                if server.write_all(&buf).await.is_err() {
                    break;
                }
            }
        });
        block_on(async move {
            for n in 0u8..3 {
                client.write_all(&[n; 4]).await.expect("server is there");
                let mut buf = [9; 4];
                client.read_exact(&mut buf).await.expect("server answers");
                assert_eq!(buf, [n; 4]);
            }
            drop(client);
            serving.await.expect("server");
        });
        assert_eq!(pool.in_use_bytes(), 0);
    });
}

#[test]
fn a_sleeping_writer_learns_that_the_reader_is_gone() {
    explore(|| {
        let (a, b, pool) = pair(4);
        let writer = spawn(async move {
            let (_read, mut write) = a.into_split();
            // More than fits: must end with an error, at whatever point the reader goes.
            write.write_all(&[1; 64]).await.is_err()
        });
        let (mut b_read, b_write) = b.into_split();
        let reader = spawn(async move {
            let mut buf = [0; 3];
            let _ = b_read.read(&mut buf).await;
            drop(b_read);
        });
        block_on(async move {
            assert!(writer.await.expect("writer"));
            reader.await.expect("reader");
            drop(b_write);
        });
        assert_eq!(pool.in_use_bytes(), 0);
    });
}

#[test]
fn a_sleeping_reader_learns_of_shutdown_and_of_drop() {
    explore(|| {
        let (a, b, pool) = pair(8);
        let (mut a_read, mut a_write) = a.into_split();
        let (mut b_read, b_write) = b.into_split();
        let forward = spawn(async move {
            let mut all = Vec::new();
            b_read
                .read_to_end(&mut all)
                .await
                .expect("reading cannot fail");
            all
        });
        let backward = spawn(async move {
            let mut all = Vec::new();
            a_read
                .read_to_end(&mut all)
                .await
                .expect("reading cannot fail");
            all
        });
        let dropping = spawn(async move { drop(b_write) });
        block_on(async move {
            a_write
                .write_all(b"last words")
                .await
                .expect("reader stays");
            a_write.shutdown().await.expect("shutdown cannot fail");
            assert_eq!(forward.await.expect("forward"), b"last words");
            assert_eq!(backward.await.expect("backward"), b"");
            dropping.await.expect("dropping");
        });
        assert_eq!(pool.in_use_bytes(), 0);
    });
}

#[test]
fn a_read_that_is_given_up_and_tried_again_misses_no_wake() {
    explore(|| {
        let (mut a, mut b, _) = pair(8);
        let writer = spawn(async move {
            a.write_all(b"x").await.expect("reader stays");
            a
        });
        block_on(async move {
            let mut buf = [0; 1];
            // Polled once with this task's waker, then dropped: its waker stays behind.
            let first = futures::poll!(Box::pin(b.read(&mut buf)));
            if first.is_pending() {
                let reader = spawn(async move {
                    let mut buf = [0; 1];
                    b.read_exact(&mut buf).await.expect("writer stays");
                    buf[0]
                });
                assert_eq!(reader.await.expect("reader"), b'x');
            }
            drop(writer.await.expect("writer"));
        });
    });
}

#[test]
fn both_directions_and_both_drops_at_once() {
    explore(|| {
        let (a, b, pool) = pair(3);
        let one = spawn(exchange(a));
        let two = spawn(exchange(b));
        block_on(async move {
            one.await.expect("one");
            two.await.expect("two");
        });
        assert_eq!(pool.in_use_bytes(), 0);
    });
}

/// Writes and reads a little and leaves without care for the other end.
async fn exchange(conn: BufferedConn) {
    let (mut read, mut write) = conn.into_split();
    let writing = spawn(async move {
        let _ = write.write_all(&[5; 7]).await;
    });
    let mut buf = [0; 4];
    let _ = read.read(&mut buf).await;
    drop(read);
    writing.await.expect("writing");
}
