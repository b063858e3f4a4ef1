//! Throughput and latency of requests over a connection.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::designs::{Buffered, Design, Duplex, Fixed};

/// Sizes of the answers in bytes.
pub(crate) const SIZES: [usize; 3] = [1024, 64 * 1024, 512 * 1024];

const REQUEST: [u8; 160] = [b'q'; 160];

/// One design with one size of answer.
#[derive(Debug, Clone)]
pub(crate) struct Speed {
    pub(crate) design: &'static str,
    pub(crate) size: usize,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    /// Median over the rounds of (duplex's time / this design's time), the two measured in turn.
    pub(crate) against_duplex: f64,
}

impl Speed {
    /// Bytes of answers per second.
    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.size as f64 / self.median.as_secs_f64()
    }
}

/// A client and its server task, over one connection, on one thread.
struct Line<C> {
    runtime: Runtime,
    client: C,
    answer: Vec<u8>,
}

impl<C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static> Line<C> {
    fn new<D: Design<Conn = C>>(design: &D, size: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .context("start a runtime")?;
        let (client, mut server) = design.pair();
        let answer = vec![b'a'; size];
        runtime.spawn(async move {
            let mut request = [0; REQUEST.len()];
            let answer = vec![b'a'; size];
            while server.read_exact(&mut request).await.is_ok() {
                if server.write_all(&answer).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            runtime,
            client,
            answer,
        })
    }

    /// So many requests one after the other; hands the time of each to `each`.
    fn requests(&mut self, count: u64, mut each: impl FnMut(Duration)) {
        let Self {
            runtime,
            client,
            answer,
        } = self;
        runtime.block_on(async {
            for _ in 0..count {
                let start = Instant::now();
                client.write_all(&REQUEST).await.expect("the server stays");
                client.read_exact(answer).await.expect("the server answers");
                each(start.elapsed());
            }
        });
    }

    /// Median time of a batch.
    fn batch(&mut self, count: u64, samples: &mut Vec<Duration>) -> Duration {
        let from = samples.len();
        self.requests(count, |time| samples.push(time));
        let mut batch = samples[from..].to_vec();
        percentile(&mut batch, 0.5)
    }
}

fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let at = (samples.len() as f64 * share) as usize;
    samples[at.min(samples.len() - 1)]
}

/// Every design with every size, in turn with duplex so that a busy machine touches both alike.
pub(crate) fn measure_all(quick: bool) -> anyhow::Result<Vec<Speed>> {
    let rounds = if quick { 15 } else { 60 };
    let mut all = Vec::new();
    for size in SIZES {
        all.push(measure::<Fixed<{ 1024 * 1024 }>>(size, rounds)?);
        all.push(measure::<Fixed<{ 100 * 1024 }>>(size, rounds)?);
        all.push(measure::<Duplex>(size, rounds)?);
        all.push(measure::<Buffered>(size, rounds)?);
    }
    Ok(all)
}

fn measure<D: Design>(size: usize, rounds: usize) -> anyhow::Result<Speed> {
    let mut line = Line::new(&D::new(), size)?;
    let mut duplex = Line::new(&Duplex::new(), size)?;
    let batch = if size <= 1024 { 2_000 } else { 200 };
    let mut samples = Vec::new();
    let mut ratios = Vec::new();
    let mut other = Vec::new();
    line.batch(batch, &mut other);
    duplex.batch(batch, &mut other);
    for round in 0..rounds {
        other.clear();
        let (ours, theirs) = if round % 2 == 0 {
            let ours = line.batch(batch, &mut samples);
            (ours, duplex.batch(batch, &mut other))
        } else {
            let theirs = duplex.batch(batch, &mut other);
            (line.batch(batch, &mut samples), theirs)
        };
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    Ok(Speed {
        design: D::NAME,
        size,
        p99: percentile(&mut samples, 0.99),
        median: percentile(&mut samples, 0.5),
        against_duplex: ratios[ratios.len() / 2],
    })
}

/// The same requests as a criterion suite, whose own reports stay below the target directory.
pub(crate) fn criterion_suite(quick: bool, out: &Path) {
    let (warm, run) = if quick { (100, 400) } else { (1_000, 3_000) };
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default()
        .sample_size(if quick { 10 } else { 50 })
        .warm_up_time(Duration::from_millis(warm))
        .measurement_time(Duration::from_millis(run))
        .output_directory(&home)
        .without_plots();
    for size in SIZES {
        let mut group = criterion.benchmark_group("request");
        group.throughput(Throughput::Bytes(size as u64));
        bench::<Fixed<{ 1024 * 1024 }>>(&mut group, size);
        bench::<Fixed<{ 100 * 1024 }>>(&mut group, size);
        bench::<Duplex>(&mut group, size);
        bench::<Buffered>(&mut group, size);
        group.finish();
    }
    println!(
        "criterion's data: {} (tables: {})",
        home.display(),
        out.display()
    );
}

fn bench<D: Design>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    size: usize,
) {
    let design = D::new();
    group.bench_function(BenchmarkId::new(D::NAME, size), |bencher| {
        let mut line = Line::new(&design, size).expect("a runtime starts");
        bencher.iter_custom(|count| {
            let mut total = Duration::ZERO;
            line.requests(count, |time| total += time);
            total
        });
    });
}
