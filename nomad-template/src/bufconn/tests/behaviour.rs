//! By example: what a user of a connection relies on.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::super::*;

fn pair_with(ceiling: usize) -> (BufferedConn, BufferedConn, BufferPool) {
    let pool = BufferPool::default();
    let config = ConnConfig {
        dialer_ceiling: ceiling,
        listener_ceiling: ceiling,
    };
    let (a, b) = BufferedConn::pair(config, pool.clone());
    (a, b, pool)
}

/// The largest Variable there can be, in the escaping that makes it longest.
fn worst_variable_json() -> Vec<u8> {
    // Keys from bytes that JSON must write as \u00XX, as short as being distinct allows.
    let alphabet: Vec<u8> = (0u8..0x20)
        .filter(|b| !matches!(b, 8 | 9 | 10 | 12 | 13))
        .collect();
    let mut budget = 64 * 1024;
    let mut items = serde_json::Map::new();
    let mut digits = vec![0usize];
    while digits.len() <= budget {
        let key: String = digits.iter().map(|d| alphabet[*d] as char).collect();
        budget -= key.len();
        items.insert(key, String::new().into());
        let mut place = 0;
        loop {
            if place == digits.len() {
                digits.push(0);
                break;
            }
            digits[place] += 1;
            if digits[place] < alphabet.len() {
                break;
            }
            digits[place] = 0;
            place += 1;
        }
    }
    let body = serde_json::json!({
        "Namespace": "n".repeat(128), "Path": "p".repeat(128),
        "CreateIndex": u64::MAX, "ModifyIndex": u64::MAX, "CreateTime": u64::MAX, "ModifyTime": u64::MAX,
        "Items": items,
    });
    let body = serde_json::to_vec(&body).expect("a JSON value serializes");
    let mut response = b"HTTP/1.1 200 OK\r\nX-Filler: ".to_vec();
    response.resize(16 * 1024, b'h');
    response.extend_from_slice(b"\r\n\r\n");
    response.extend_from_slice(&body);
    response
}

#[tokio::test]
async fn the_largest_variable_takes_one_write_and_one_read() {
    let (mut client, mut server) = BufferedConn::pair(ConnConfig::default(), BufferPool::default());
    let response = worst_variable_json();
    assert!(response.len() > 400 * 1024, "{}", response.len());
    assert!(response.len() <= DEFAULT_CEILING, "{}", response.len());
    assert_eq!(server.write(&response).await.unwrap(), response.len());
    let mut buf = vec![0; DEFAULT_CEILING];
    assert_eq!(client.read(&mut buf).await.unwrap(), response.len());
    assert_eq!(&buf[..response.len()], &response[..]);
}

#[tokio::test]
async fn idle_holds_no_segment() {
    let (mut a, mut b, pool) = pair_with(DEFAULT_CEILING);
    assert_eq!(pool.in_use_bytes(), 0);
    a.write_all(&vec![7; 100_000]).await.unwrap();
    assert!(pool.in_use_bytes() >= 100_000);
    let mut buf = vec![0; 100_000];
    b.read_exact(&mut buf).await.unwrap();
    assert_eq!(pool.in_use_bytes(), 0);
    assert!(pool.idle_bytes() <= DEFAULT_MAX_IDLE_BYTES);
    pool.trim();
    assert_eq!(pool.idle_bytes(), 0);
}

#[test]
fn an_idle_connection_costs_less_than_a_kibibyte() {
    assert!(size_of::<shared::Shared>() + 2 * size_of::<BufferedConn>() <= 512);
}

#[tokio::test]
async fn a_write_up_to_the_ceiling_is_whole_or_waits() {
    let (mut a, mut b, _) = pair_with(1000);
    a.write_all(&[1; 400]).await.unwrap();
    let mut waiting = Box::pin(a.write(&[2; 700]));
    assert!(futures::poll!(&mut waiting).is_pending());
    let mut buf = [0; 100];
    b.read_exact(&mut buf).await.unwrap();
    assert_eq!(waiting.await.unwrap(), 700);
    let mut buf = [0; 2000];
    assert_eq!(b.read(&mut buf).await.unwrap(), 1000);
    assert_eq!(buf[299..301], [1, 2]);
}

#[tokio::test]
async fn a_write_beyond_the_ceiling_goes_in_parts() {
    let (mut a, mut b, _) = pair_with(1000);
    let writer = tokio::spawn(async move {
        a.write_all(&[3; 5500]).await.unwrap();
    });
    let mut all = Vec::new();
    b.read_to_end(&mut all).await.unwrap();
    writer.await.unwrap();
    assert_eq!(all, [3; 5500]);
}

#[tokio::test]
async fn a_vectored_write_is_one_write() {
    let (mut a, mut b, _) = pair_with(1000);
    let parts = [
        std::io::IoSlice::new(b"head "),
        std::io::IoSlice::new(b""),
        std::io::IoSlice::new(b"body"),
    ];
    assert_eq!(a.write_vectored(&parts).await.unwrap(), 9);
    let mut buf = [0; 20];
    assert_eq!(b.read(&mut buf).await.unwrap(), 9);
    assert_eq!(&buf[..9], b"head body");
}

#[tokio::test]
async fn half_close_lets_the_other_direction_live() {
    let (mut a, mut b, _) = pair_with(1000);
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    a.shutdown().await.unwrap();
    assert_eq!(
        a.write(b"x").await.unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    let mut asked = String::new();
    b.read_to_string(&mut asked).await.unwrap();
    assert_eq!(asked, "question");
    b.write_all(b"answer").await.unwrap();
    drop(b);
    let mut answered = String::new();
    a.read_to_string(&mut answered).await.unwrap();
    assert_eq!(answered, "answer");
}

#[tokio::test]
async fn dropping_the_reader_breaks_a_waiting_write_and_frees_what_waited() {
    let (a, b, pool) = pair_with(1000);
    let (b_read, b_write) = b.into_split();
    let (a_read, mut a_write) = a.into_split();
    a_write.write_all(&[1; 1000]).await.unwrap();
    let blocked = tokio::spawn(async move { a_write.write(&[2; 10]).await });
    tokio::task::yield_now().await;
    drop(b_read);
    let error = blocked.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(pool.in_use_bytes(), 0);
    drop((a_read, b_write));
}

#[tokio::test]
async fn halves_reunite_only_with_their_own() {
    let (a, b, _) = pair_with(10);
    let (a_read, a_write) = a.into_split();
    let (b_read, b_write) = b.into_split();
    let ReuniteError(a_read, b_write) = a_read.reunite(b_write).unwrap_err();
    let mut a = a_read.reunite(a_write).unwrap();
    let mut b = b_read.reunite(b_write).unwrap();
    a.write_all(b"hello").await.unwrap();
    let mut buf = [0; 5];
    b.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"hello");
}

#[tokio::test]
async fn a_cancelled_read_takes_nothing() {
    let (mut a, mut b, _) = pair_with(1000);
    let mut buf = [0; 10];
    let cancelled = tokio::time::timeout(Duration::from_millis(1), b.read(&mut buf)).await;
    assert!(cancelled.is_err());
    a.write_all(b"all of it").await.unwrap();
    assert_eq!(b.read(&mut buf).await.unwrap(), 9);
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_last_waker_is_woken_and_only_it() {
    let (mut a, mut b, _) = pair_with(1000);
    let wakers = [
        Arc::new(CountingWaker::default()),
        Arc::new(CountingWaker::default()),
    ];
    let mut store = [0; 10];
    for waker in &wakers {
        let waker = Waker::from(Arc::clone(waker));
        let mut buf = ReadBuf::new(&mut store);
        let polled =
            std::pin::Pin::new(&mut b).poll_read(&mut Context::from_waker(&waker), &mut buf);
        assert!(polled.is_pending());
    }
    let mut cx = Context::from_waker(Waker::noop());
    let wrote = std::pin::Pin::new(&mut a).poll_write(&mut cx, b"x");
    assert!(matches!(wrote, Poll::Ready(Ok(1))));
    let counts = wakers.each_ref().map(|w| w.0.load(Ordering::SeqCst));
    assert_eq!(counts, [0, 1]);
}

/// A waker whose last reference owns the other end: dropping or waking it drops that end.
struct Entangled(#[expect(dead_code, reason = "held to be dropped")] BufferedConn);

impl Wake for Entangled {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_owns_the_other_end_does_not_deadlock() {
    for write_wakes in [true, false] {
        let (mut a, b, _) = pair_with(4);
        let waker = Waker::from(Arc::new(Entangled(b)));
        let mut store = [0; 10];
        let mut buf = ReadBuf::new(&mut store);
        let polled =
            std::pin::Pin::new(&mut a).poll_read(&mut Context::from_waker(&waker), &mut buf);
        assert!(polled.is_pending());
        drop(waker);
        if write_wakes {
            // Replacing the waker drops the old one, and with it the other end.
            let mut buf = ReadBuf::new(&mut store);
            let mut cx = Context::from_waker(Waker::noop());
            let polled = std::pin::Pin::new(&mut a).poll_read(&mut cx, &mut buf);
            assert!(polled.is_pending());
            let polled = std::pin::Pin::new(&mut a).poll_read(&mut cx, &mut buf);
            assert!(matches!(polled, Poll::Ready(Ok(()))));
        } else {
            drop(a);
        }
    }
}

#[tokio::test]
async fn listener_and_dialer_meet() {
    let (mut listener, dialer) = in_memory(ConnConfig::default(), BufferPool::default());
    let mut client = dialer.connect().await.unwrap();
    client.write_all(b"early").await.unwrap();
    let mut server = listener.accept().await.unwrap();
    let mut buf = [0; 5];
    server.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"early");
    let waiting = dialer.connect().await.unwrap();
    drop(listener);
    let refused = dialer.connect().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let mut rest = Vec::new();
    let mut waiting = waiting;
    waiting.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_full_backlog_makes_dialers_wait() {
    let (mut listener, dialer) = in_memory(ConnConfig::default(), BufferPool::default());
    let mut held = Vec::new();
    for _ in 0..DEFAULT_BACKLOG {
        held.push(dialer.connect().await.unwrap());
    }
    let mut next = Box::pin(dialer.connect());
    assert!(futures::poll!(&mut next).is_pending());
    listener.accept().await.unwrap();
    next.await.unwrap();
    drop(dialer);
    let mut left = 0;
    while listener.accept().await.is_ok() {
        left += 1;
    }
    assert_eq!(left, DEFAULT_BACKLOG);
}

#[tokio::test]
async fn a_reader_may_wait_without_a_buffer() {
    let (mut a, mut b, _) = pair_with(1000);
    {
        let mut waiting = Box::pin(b.readable());
        assert!(futures::poll!(&mut waiting).is_pending());
        a.write_all(b"seven").await.unwrap();
        waiting.await;
    }
    assert_eq!(b.waiting(), 5);
    let mut buf = [0; 5];
    b.read_exact(&mut buf).await.unwrap();
    drop(a);
    b.readable().await;
    assert_eq!(b.waiting(), 0);
}
