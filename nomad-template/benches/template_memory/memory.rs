//! Live heap and resident memory of many connections in the four states of a template's life.
//!
//! The connections are driven by hand, without tasks, so that the figures hold the connections
//! alone: both ends, their buffers and the shared pool, nothing of a runtime or an HTTP stack.

use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::allocator::{live_bytes, start_counting};
use crate::designs::{Buffered, Design, Duplex, Fixed, NAMES, measured_up_to};

/// First argument of a process that takes one measurement.
pub(crate) const CHILD_ARG: &str = "measure-memory";

/// Numbers of simulated allocations.
pub(crate) const COUNTS: [usize; 3] = [100, 1_000, 10_000];

/// The four states, in the order they are gone through.
pub(crate) const STATES: [&str; 4] = [
    "idle in a blocking query",
    "all reading a small service list",
    "all reading a 64 KiB Variable",
    "after the burst",
];

/// One design with one number of connections.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) design: &'static str,
    pub(crate) connections: usize,
    /// Whether the figures come from a smaller number of connections by the rule of three.
    pub(crate) extrapolated: bool,
    /// Heap bytes per state, of all connections together.
    pub(crate) heap: [f64; 4],
    /// Resident bytes per state, of all connections together.
    pub(crate) resident: [f64; 4],
    /// How many reads the Variable took: its most over all connections.
    pub(crate) variable_reads: u64,
}

/// Measures every design with every number of connections.
pub(crate) fn measure_all() -> anyhow::Result<Vec<Memory>> {
    let mut all: Vec<Memory> = Vec::new();
    for design in NAMES {
        for connections in COUNTS {
            if connections <= measured_up_to(design) {
                all.push(in_child(design, connections)?);
                continue;
            }
            let base = all.last().context("the smallest number is measured")?;
            let factor = connections as f64 / base.connections as f64;
            all.push(Memory {
                connections,
                extrapolated: true,
                heap: base.heap.map(|bytes| bytes * factor),
                resident: base.resident.map(|bytes| bytes * factor),
                ..base.clone()
            });
        }
    }
    Ok(all)
}

fn in_child(design: &'static str, connections: usize) -> anyhow::Result<Memory> {
    let program = std::env::current_exe().context("find this program")?;
    let output = Command::new(program)
        .args([CHILD_ARG, design, &connections.to_string()])
        // What is freed goes back to the system at once. Otherwise resident memory tells when
        // the allocator was last busy, not what is in use.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .output()
        .context("start a measuring process")?;
    ensure!(
        output.status.success(),
        "measuring {design} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let value: Value = serde_json::from_slice(&output.stdout).context("read a measurement")?;
    let four = |key: &str| -> [f64; 4] {
        std::array::from_fn(|i| value[key][i].as_f64().unwrap_or(f64::NAN))
    };
    Ok(Memory {
        design,
        connections,
        extrapolated: false,
        heap: four("heap"),
        resident: four("resident"),
        variable_reads: value["variable_reads"].as_u64().unwrap_or(u64::MAX),
    })
}

/// Takes one measurement and prints it as JSON.
pub(crate) fn run_child(args: &[String]) -> anyhow::Result<()> {
    start_counting();
    let [design, connections] = args else {
        bail!("want DESIGN and CONNECTIONS");
    };
    let connections = connections.parse().context("parse CONNECTIONS")?;
    let measured = match design.as_str() {
        n if n == Fixed::<{ 1024 * 1024 }>::NAME => live::<Fixed<{ 1024 * 1024 }>>(connections),
        n if n == Fixed::<{ 100 * 1024 }>::NAME => live::<Fixed<{ 100 * 1024 }>>(connections),
        n if n == Duplex::NAME => live::<Duplex>(connections),
        n if n == Buffered::NAME => live::<Buffered>(connections),
        other => bail!("no design {other:?}"),
    }?;
    println!("{measured}");
    Ok(())
}

fn request() -> Vec<u8> {
    b"GET /v1/var/nomad/jobs/web?index=42&wait=300000ms&stale=&namespace=default HTTP/1.1\r\n\
      Host: 127.0.0.1\r\nX-Nomad-Token: 6d2a17d4-70a2-4d0c-8d0c-2f8f0e4b6c52\r\n\r\n"
        .to_vec()
}

/// A Variable of exactly 64 KiB of items as it travels.
pub(crate) fn variable_response() -> Vec<u8> {
    let value = "v".repeat(64 * 1024 - "config".len());
    let body = json!({
        "Namespace": "default", "Path": "nomad/jobs/web", "CreateIndex": 12, "ModifyIndex": 42,
        "CreateTime": 1_700_000_000_000_000_000_i64, "ModifyTime": 1_700_000_000_000_000_000_i64,
        "Items": {"config": value},
    });
    response(&body)
}

fn services_response() -> Vec<u8> {
    let service = json!({
        "ID": "_nomad-task-0b1e3c1b-group-web-db-5432", "ServiceName": "db", "Address": "10.0.0.7",
        "Port": 5432, "Datacenter": "dc1", "JobID": "db", "AllocID": "0b1e3c1b", "Tags": ["sql"],
    });
    response(&json!([service, service, service]))
}

fn response(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Nomad-Index: 42\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

struct Pair<C> {
    client: C,
    server: C,
}

fn live<D: Design>(connections: usize) -> anyhow::Result<Value> {
    let (question, services, variable) = (request(), services_response(), variable_response());
    let mut scratch = vec![0; variable.len() + 1];
    let mut pairs: Vec<Pair<D::Conn>> = Vec::with_capacity(connections);
    // One connection goes through everything first, so that one-time costs are paid before.
    {
        let design = D::new();
        let (client, server) = design.pair();
        let mut warm = Pair { client, server };
        exchange(&mut warm, &question, &variable, &mut scratch)?;
    }
    let heap_before = live_bytes();
    let resident_before = resident_bytes()?;
    let design = D::new();
    let mut heap = [0; 4];
    let mut resident = [0; 4];
    let mut taken = 0;
    let mut take = || -> anyhow::Result<()> {
        heap[taken] = live_bytes().saturating_sub(heap_before);
        resident[taken] = resident_bytes()?.saturating_sub(resident_before);
        taken += 1;
        Ok(())
    };
    for _ in 0..connections {
        let (client, server) = design.pair();
        let mut pair = Pair { client, server };
        ask(&mut pair, &question, &mut scratch)?;
        pairs.push(pair);
    }
    take()?;
    for pair in &mut pairs {
        write_now(&mut pair.server, &services)?;
    }
    take()?;
    for pair in &mut pairs {
        read_all(&mut pair.client, services.len(), &mut scratch)?;
        ask(pair, &question, &mut scratch)?;
    }
    for pair in &mut pairs {
        write_now(&mut pair.server, &variable)?;
    }
    take()?;
    let mut variable_reads = 0;
    for pair in &mut pairs {
        let reads = read_all(&mut pair.client, variable.len(), &mut scratch)?;
        variable_reads = variable_reads.max(reads);
        ask(pair, &question, &mut scratch)?;
    }
    take()?;
    Ok(json!({"heap": heap, "resident": resident, "variable_reads": variable_reads}))
}

fn exchange<C: AsyncRead + AsyncWrite + Unpin>(
    pair: &mut Pair<C>,
    question: &[u8],
    answer: &[u8],
    scratch: &mut [u8],
) -> anyhow::Result<()> {
    ask(pair, question, scratch)?;
    write_now(&mut pair.server, answer)?;
    read_all(&mut pair.client, answer.len(), scratch)?;
    Ok(())
}

/// The client asks, the server reads the question, both then wait: a blocking query.
fn ask<C: AsyncRead + AsyncWrite + Unpin>(
    pair: &mut Pair<C>,
    question: &[u8],
    scratch: &mut [u8],
) -> anyhow::Result<()> {
    write_now(&mut pair.client, question)?;
    read_all(&mut pair.server, question.len(), scratch)?;
    ensure!(
        read_once(&mut pair.server, scratch)?.is_none(),
        "server idle"
    );
    ensure!(
        read_once(&mut pair.client, scratch)?.is_none(),
        "client idle"
    );
    Ok(())
}

fn write_now<C: AsyncWrite + Unpin>(conn: &mut C, bytes: &[u8]) -> anyhow::Result<()> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(conn).poll_write(&mut cx, bytes)? {
        Poll::Ready(count) => ensure!(count == bytes.len(), "a write was split"),
        Poll::Pending => bail!("a write waits"),
    }
    Ok(())
}

fn read_once<C: AsyncRead + Unpin>(
    conn: &mut C,
    scratch: &mut [u8],
) -> anyhow::Result<Option<usize>> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = ReadBuf::new(scratch);
    Ok(match Pin::new(conn).poll_read(&mut cx, &mut buf)? {
        Poll::Ready(()) => Some(buf.filled().len()),
        Poll::Pending => None,
    })
}

/// Reads exactly `len` bytes and tells in how many reads.
fn read_all<C: AsyncRead + Unpin>(
    conn: &mut C,
    len: usize,
    scratch: &mut [u8],
) -> anyhow::Result<u64> {
    let mut left = len;
    let mut reads = 0;
    while left > 0 {
        let count = read_once(conn, scratch)?.context("bytes are missing")?;
        left = left.checked_sub(count).context("too many bytes")?;
        reads += 1;
    }
    Ok(reads)
}

fn resident_bytes() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status").context("read resident memory")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: usize = kib.context("find VmRSS")?.parse()?;
    Ok(kib * 1024)
}
