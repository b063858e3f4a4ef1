//! The whole program from outside: start, latency, throughput, memory and idle cost of a dev agent.
//!
//! Only the HTTP API and `/proc` are used, so any binary that speaks the same API can stand beside ours.

use super::{Bar, Figure};
use crate::agent::{Agent, Ports};
use crate::http::Client;
use crate::proc;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const READY_LIMIT: Duration = Duration::from_mins(1);
/// No single job may take longer to get where it should.
const JOB_LIMIT: Duration = Duration::from_mins(2);
const STARTS: usize = 5;
const REGISTRATIONS: usize = 20;
const BATCH_COUNT: u64 = 200;
const IDLE_COUNT: u64 = 50;
/// Rest before memory and idle time are read.
const SETTLE: Duration = Duration::from_secs(5);
const IDLE_WINDOW: Duration = Duration::from_secs(10);
const WRITE_WINDOW: Duration = Duration::from_secs(3);
/// Clock ticks a second in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Name, unit and bar of each figure, in the order of the table.
const ROWS: [(&str, &str, Bar); 8] = [
    ("start of the binary to node ready", "s", Bar::AtMost(0.5)),
    (
        "PUT /v1/jobs to running, raw_exec, median",
        "ms",
        Bar::AtMost(50.0),
    ),
    (
        "batch job of 200 x /bin/true, all complete",
        "s",
        Bar::AtMost(3.0),
    ),
    ("helper processes per allocation", "", Bar::AtMost(0.0)),
    (
        "agent memory per idle raw_exec allocation (PSS)",
        "MiB",
        Bar::AtMost(0.5),
    ),
    ("agent idle (PSS)", "MiB", Bar::AtMost(50.0)),
    (
        "CPU of 50 idle allocations",
        "% of a core",
        Bar::AtMost(2.0),
    ),
    (
        "sequential PUT /v1/jobs, no placement possible",
        "/s",
        Bar::AtLeast(800.0),
    ),
];

/// Measures every row. What fails is reported and has no figure.
pub(super) fn measure(binary: &Path) -> Vec<Figure> {
    let mut values = [f64::NAN; ROWS.len()];
    phase("starts", || {
        values[0] = starts(binary)?;
        Ok(())
    });
    phase("idle allocations", || {
        let idle = idle(binary)?;
        (values[3], values[4], values[5], values[6]) = (
            idle.helpers,
            idle.pss_per_alloc_mib,
            idle.pss_mib,
            idle.cpu_percent,
        );
        Ok(())
    });
    phase("latency", || {
        values[1] = with_agent(binary, latency)?;
        Ok(())
    });
    phase("batch", || {
        values[2] = with_agent(binary, batch)?;
        Ok(())
    });
    phase("writes", || {
        values[7] = with_agent(binary, writes)?;
        Ok(())
    });
    let figure = |((name, unit, bar), value): (&(&str, &str, Bar), f64)| Figure {
        name: (*name).to_owned(),
        value,
        unit: (*unit).to_owned(),
        bar: Some(*bar),
    };
    ROWS.iter().zip(values).map(figure).collect()
}

fn phase(name: &str, work: impl FnOnce() -> Result<()>) {
    println!("   measuring {name}");
    if let Err(err) = work() {
        println!("   {name} failed: {err:#}");
    }
}

fn with_agent<T>(binary: &Path, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
    let mut agent = Agent::start(binary, &[], Ports::Free)?;
    agent.wait_ready(READY_LIMIT)?;
    work(&mut agent.client())
}

fn starts(binary: &Path) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let mut agent = Agent::start(binary, &[], Ports::Free)?;
        times.push(agent.wait_ready(READY_LIMIT)?.as_secs_f64());
    }
    Ok(median(times))
}

/// What an idle agent and its idle allocations cost.
struct Idle {
    helpers: f64,
    pss_per_alloc_mib: f64,
    pss_mib: f64,
    cpu_percent: f64,
}

fn idle(binary: &Path) -> Result<Idle> {
    let mut agent = Agent::start(binary, &[], Ports::Free)?;
    agent.wait_ready(READY_LIMIT)?;
    std::thread::sleep(SETTLE);
    let before = Cost::of(&agent);
    let client = &mut agent.client();
    register(
        client,
        &job("bench-idle", "service", IDLE_COUNT, "/bin/sleep", &["3600"]),
    )?;
    wait_summary(client, "bench-idle", "Running", IDLE_COUNT)?;
    std::thread::sleep(SETTLE);
    let from = Cost::of(&agent);
    let began = Instant::now();
    std::thread::sleep(IDLE_WINDOW);
    let to = Cost::of(&agent);
    let seconds = began.elapsed().as_secs_f64();
    if to.tasks < IDLE_COUNT {
        bail!(
            "only {} of {IDLE_COUNT} tasks are to be seen as processes",
            to.tasks
        );
    }
    let allocs = IDLE_COUNT as f64;
    Ok(Idle {
        helpers: (to.others as f64 - before.others as f64) / allocs,
        pss_per_alloc_mib: (to.pss_kib as f64 - before.pss_kib as f64) / 1024.0 / allocs,
        pss_mib: before.pss_kib as f64 / 1024.0,
        cpu_percent: (to.ticks.saturating_sub(from.ticks)) as f64 / TICKS_PER_SECOND / seconds
            * 100.0,
    })
}

/// All processes of an agent at one moment: the tasks are counted, everything else is weighed.
struct Cost {
    tasks: u64,
    others: u64,
    pss_kib: u64,
    ticks: u64,
}

impl Cost {
    fn of(agent: &Agent) -> Self {
        let mut cost = Self {
            tasks: 0,
            others: 0,
            pss_kib: 0,
            ticks: 0,
        };
        for p in agent.processes() {
            if p.comm == "sleep" {
                cost.tasks += 1;
            } else {
                cost.others += 1;
                cost.ticks += p.cpu_ticks;
                cost.pss_kib += proc::pss_kib(p.pid).unwrap_or(0);
            }
        }
        cost
    }
}

fn latency(client: &mut Client) -> Result<f64> {
    let mut times = Vec::new();
    for n in 0..REGISTRATIONS {
        let id = format!("bench-latency-{n}");
        let job = job(&id, "service", 1, "/bin/sleep", &["3600"]);
        let began = Instant::now();
        register(client, &job)?;
        wait_allocs(client, &id, |status| status == "running")?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        let answer = client.request("DELETE", &format!("/v1/job/{id}?purge=true"), None)?;
        answer.json().context("purge the job")?;
        wait_allocs(client, &id, |status| {
            status == "complete" || status == "failed"
        })?;
    }
    Ok(median(times))
}

fn batch(client: &mut Client) -> Result<f64> {
    let job = job("bench-batch", "batch", BATCH_COUNT, "/bin/true", &[]);
    let began = Instant::now();
    register(client, &job)?;
    wait_summary(client, "bench-batch", "Complete", BATCH_COUNT)?;
    Ok(began.elapsed().as_secs_f64())
}

fn writes(client: &mut Client) -> Result<f64> {
    let began = Instant::now();
    let mut count = 0u32;
    while began.elapsed() < WRITE_WINDOW {
        let mut job = job(
            &format!("bench-write-{count}"),
            "service",
            1,
            "/bin/true",
            &[],
        );
        job["Job"]["Constraints"] =
            json!([{"LTarget": "${attr.kernel.name}", "RTarget": "none-such", "Operand": "="}]);
        register(client, &job)?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// A job that asks for next to nothing, so that counts are not bounded by the machine.
fn job(id: &str, kind: &str, count: u64, command: &str, args: &[&str]) -> Value {
    json!({"Job": {
        "ID": id, "Name": id, "Type": kind, "Datacenters": ["dc1"],
        "TaskGroups": [{
            "Name": "g", "Count": count, "EphemeralDisk": {"SizeMB": 10},
            "Tasks": [{
                "Name": "t", "Driver": "raw_exec", "Config": {"command": command, "args": args},
                "Resources": {"CPU": 10, "MemoryMB": 10}, "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1}
            }]
        }]
    }})
}

fn register(client: &mut Client, job: &Value) -> Result<()> {
    client
        .request("PUT", "/v1/jobs", Some(job))?
        .json()
        .context("register a job")?;
    Ok(())
}

/// Waits with blocking queries until `done` says so; `done` sees each answer.
fn wait(
    client: &mut Client,
    path: &str,
    what: &str,
    mut done: impl FnMut(&Value) -> Result<bool>,
) -> Result<()> {
    let began = Instant::now();
    let mut index = 0;
    while began.elapsed() < JOB_LIMIT {
        let answer = client.get(&format!("{path}?index={index}&wait=10s"))?;
        // The thing waited for may be visible only after the write that made it.
        if answer.status == 404 {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        if done(&answer.json()?)? {
            return Ok(());
        }
        index = answer.index.max(1);
    }
    bail!("{what} was not seen within {} s", JOB_LIMIT.as_secs())
}

fn wait_allocs(client: &mut Client, id: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
    wait(
        client,
        &format!("/v1/job/{id}/allocations"),
        &format!("the allocation of {id} in its state"),
        |allocs| {
            let allocs = allocs.as_array().map(Vec::as_slice).unwrap_or_default();
            Ok(allocs
                .iter()
                .any(|a| a["ClientStatus"].as_str().is_some_and(&wanted)))
        },
    )
}

fn wait_summary(client: &mut Client, id: &str, state: &str, count: u64) -> Result<()> {
    wait(
        client,
        &format!("/v1/job/{id}/summary"),
        &format!("{count} allocations {state}"),
        |summary| {
            let group = &summary["Summary"]["g"];
            let failed =
                group["Failed"].as_u64().unwrap_or(0) + group["Lost"].as_u64().unwrap_or(0);
            if failed > 0 {
                bail!("{failed} allocations of {id} failed");
            }
            Ok(group[state].as_u64() == Some(count))
        },
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_job_asks_for_little() {
        let job = job("a", "batch", 200, "/bin/true", &[]);
        let group = &job["Job"]["TaskGroups"][0];
        assert_eq!(
            (
                group["Count"].as_u64(),
                group["Tasks"][0]["Config"]["command"].as_str()
            ),
            (Some(200), Some("/bin/true"))
        );
    }

    #[test]
    fn an_agent_that_does_not_start_leaves_rows_without_figures() {
        let figures = measure(Path::new("/bin/false"));
        assert_eq!(figures.len(), ROWS.len());
        assert!(figures.iter().all(|f| f.value.is_nan()));
    }
}
