//! Any sequence of operations gives what a plain byte queue gives, wakes whom it must, and leaks no segment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::super::pool::BufferPool;
use super::super::shared::{Shared, Side};

#[derive(Debug, Clone)]
enum Op {
    Write(usize),
    WriteParts(usize, usize),
    Read(usize),
    CloseWrite,
    CloseRead,
}

fn op() -> impl Strategy<Value = (Side, Op)> {
    // Sizes around the segment classes and around the ceiling used below.
    let size = prop_oneof![
        0usize..20,
        500usize..530,
        2_000usize..3_000,
        60_000usize..140_000
    ];
    let op = prop_oneof![
        6 => size.clone().prop_map(Op::Write),
        2 => (size.clone(), size.clone()).prop_map(|(a, b)| Op::WriteParts(a, b)),
        8 => size.prop_map(|n| Op::Read(n.max(1))),
        1 => Just(Op::CloseWrite),
        1 => Just(Op::CloseRead),
    ];
    let side = prop_oneof![Just(Side::Dialer), Just(Side::Listener)];
    (side, op)
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A plain byte queue with what each end must observe.
struct Model {
    queue: VecDeque<u8>,
    ceiling: usize,
    writer_open: bool,
    reader_open: bool,
    /// A read found nothing and has not been woken since.
    reader_sleeps: bool,
    /// A write of so many bytes found no room and has not been woken since.
    writer_sleeps: Option<usize>,
    reader: Arc<Counter>,
    writer: Arc<Counter>,
    reader_wakes: usize,
    writer_wakes: usize,
}

impl Model {
    fn new(ceiling: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            ceiling,
            writer_open: true,
            reader_open: true,
            reader_sleeps: false,
            writer_sleeps: None,
            reader: Arc::default(),
            writer: Arc::default(),
            reader_wakes: 0,
            writer_wakes: 0,
        }
    }

    fn wake_reader(&mut self) {
        if std::mem::take(&mut self.reader_sleeps) {
            self.reader_wakes += 1;
        }
    }

    fn wake_writer(&mut self) {
        if self.writer_sleeps.take().is_some() {
            self.writer_wakes += 1;
        }
    }

    /// Bytes to be accepted, or `None` for "wait", or `Some(Err)` for a broken pipe.
    fn write(&mut self, bytes: &[u8]) -> Option<Result<usize, ()>> {
        if !self.writer_open || !self.reader_open {
            return Some(Err(()));
        }
        if bytes.is_empty() {
            return Some(Ok(0));
        }
        let room = self.ceiling - self.queue.len();
        let fits = bytes.len() <= room;
        let count = if fits {
            bytes.len()
        } else if bytes.len() > self.ceiling && room > 0 {
            room
        } else {
            self.writer_sleeps = Some(bytes.len().min(self.ceiling + 1));
            return None;
        };
        self.queue.extend(&bytes[..count]);
        // Whoever slept before has come back with this write: it need not be woken.
        self.writer_sleeps = None;
        self.wake_reader();
        Some(Ok(count))
    }

    fn read(&mut self, limit: usize) -> Option<Vec<u8>> {
        if self.queue.is_empty() {
            if self.writer_open {
                self.reader_sleeps = true;
                return None;
            }
            return Some(Vec::new());
        }
        let count = limit.min(self.queue.len());
        let bytes = self.queue.drain(..count).collect();
        let room = self.ceiling - self.queue.len();
        if let Some(wanted) = self.writer_sleeps
            && (wanted <= room || (wanted > self.ceiling && room > 0))
        {
            self.wake_writer();
        }
        Some(bytes)
    }
}

fn run(ceilings: [usize; 2], ops: Vec<(Side, Op)>) -> Result<(), TestCaseError> {
    let pool = BufferPool::new(100_000);
    let conn = Shared::new(ceilings[0], ceilings[1], pool.clone());
    let mut models = ceilings.map(Model::new);
    let mut next: u8 = 0;
    let mut source = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                next = next.wrapping_mul(5).wrapping_add(77);
                next
            })
            .collect()
    };
    for (side, op) in ops {
        match op {
            Op::Write(_) | Op::WriteParts(..) => {
                let (a, b) = match op {
                    Op::Write(len) => (source(len), Vec::new()),
                    Op::WriteParts(a, b) => (source(a), source(b)),
                    _ => continue,
                };
                let model = &mut models[side as usize];
                let whole = [a.as_slice(), b.as_slice()].concat();
                let waker = Waker::from(Arc::clone(&model.writer));
                let polled = conn.poll_write(side, &mut Context::from_waker(&waker), &[&a, &b]);
                match (model.write(&whole), polled) {
                    (None, Poll::Pending) => {}
                    (Some(Err(())), Poll::Ready(Err(error))) => {
                        prop_assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
                    }
                    (Some(Ok(want)), Poll::Ready(Ok(got))) => prop_assert_eq!(want, got),
                    (want, got) => prop_assert!(false, "write: want {want:?}, got {got:?}"),
                }
            }
            Op::Read(limit) => {
                let model = &mut models[side.other() as usize];
                if !model.reader_open {
                    continue;
                }
                let waker = Waker::from(Arc::clone(&model.reader));
                let mut got = Vec::new();
                let polled = conn.poll_read(side, &mut Context::from_waker(&waker), limit, |b| {
                    got.extend_from_slice(b);
                });
                match (model.read(limit), polled) {
                    (None, Poll::Pending) => {}
                    (Some(want), Poll::Ready(count)) => {
                        prop_assert_eq!(count, got.len());
                        prop_assert!(want == got, "bytes differ");
                    }
                    (want, got) => prop_assert!(false, "read: want {want:?}, got {got:?}"),
                }
            }
            Op::CloseWrite => {
                conn.close_write(side);
                let model = &mut models[side as usize];
                model.writer_open = false;
                model.wake_reader();
                model.wake_writer();
            }
            Op::CloseRead => {
                conn.close_read(side);
                let model = &mut models[side.other() as usize];
                model.reader_open = false;
                model.queue.clear();
                model.wake_reader();
                model.wake_writer();
            }
        }
        let mut waiting = 0;
        for model in &models {
            prop_assert_eq!(model.reader.0.load(Ordering::SeqCst), model.reader_wakes);
            prop_assert_eq!(model.writer.0.load(Ordering::SeqCst), model.writer_wakes);
            waiting += model.queue.len();
        }
        prop_assert_eq!(pool.in_use_bytes() == 0, waiting == 0);
        prop_assert!(pool.idle_bytes() <= 100_000);
    }
    drop(conn);
    prop_assert_eq!(pool.in_use_bytes(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_plain_queue(
        small in 1usize..4_000,
        large in 100_000usize..200_000,
        ops in proptest::collection::vec(op(), 1..80),
    ) {
        run([small, large], ops)?;
    }
}
