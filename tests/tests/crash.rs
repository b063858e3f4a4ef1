//! kill -9 of the agent, of the supervisor and of both, under load: nothing acknowledged is lost or doubled.
//!
//! `NOMAD_CRASH_ROUNDS` sets the number of rounds, each of which kills the agent, the supervisor or both.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{Agent, http, job, process, until};

/// Rounds without `NOMAD_CRASH_ROUNDS`.
const ROUNDS: usize = 20;
/// Writes numbers, each line once, in order.
const COUNT: &str = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.01; done";

/// The program under test, or the end of a test that cannot run without it.
macro_rules! binary {
    () => {
        match tests::binary() {
            Some(binary) => binary,
            None => return,
        }
    };
}

fn rounds() -> usize {
    std::env::var("NOMAD_CRASH_ROUNDS").map_or(ROUNDS, |rounds| {
        rounds.parse().expect("NOMAD_CRASH_ROUNDS is a number")
    })
}

/// What every task of the load writes, once for each of its runs.
const LINES: &str = "begin\nend\n";
/// How often the policy of a job that is restarted lets its task fail beyond the first time.
const RESTARTS: u32 = 2;

/// A batch job that was answered 200, how each run of its task ends, and how many runs there are.
#[derive(Debug, Clone)]
struct Acknowledged {
    id: String,
    exit: i64,
    runs: usize,
}

/// Ends the load when a round is over.
struct StopLoad<'a>(&'a AtomicBool);

impl Drop for StopLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Registers batch jobs, each with its own end, until told to stop; gives those that were answered 200.
fn load(port: u16, round: usize, stop: &AtomicBool) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let exit = i64::from(n % 4);
        let id = format!("load-{round}-{n}");
        let script = format!("echo begin; sleep 0.2; echo end; exit {exit}");
        let mut body = job::batch(&id, 1, &script);
        let mut runs = 1;
        if exit == 3 {
            body["Job"]["TaskGroups"][0]["RestartPolicy"] = job::restarts(RESTARTS);
            runs += RESTARTS as usize;
        }
        let answer = http::request(port, "PUT", "/v1/jobs", body.to_string().as_bytes());
        match answer {
            Ok(answer) if answer.status == 200 => {
                acknowledged.push(Acknowledged { id, exit, runs });
            }
            // Not acknowledged: it may be there or not.
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    agent.register(&job::service("lives", 3, COUNT));
    let services = agent.wait_allocs("lives", "running", 3);
    let pids: Vec<u32> = services.iter().map(shell).collect();
    let mut acknowledged = Vec::new();
    for round in 0..rounds() {
        let stop = AtomicBool::new(false);
        let found = Mutex::new(Vec::new());
        let port = agent.http_port;
        std::thread::scope(|scope| {
            // Also when this round fails: the load must not go on for ever.
            let _stop = StopLoad(&stop);
            scope.spawn(|| {
                let jobs = load(port, round, &stop);
                *found.lock().expect("no other holder") = jobs;
            });
            // Each round kills at another moment of the load.
            let moment = Instant::now() + Duration::from_millis(50 + 37 * (round as u64 % 8));
            until("the moment of this round", || {
                (Instant::now() >= moment).then_some(())
            });
            let supervisor = agent.supervisor();
            if round % 3 != 0 {
                process::signal(supervisor.expect("there is a supervisor"), Signal::KILL);
            }
            if round % 3 != 1 {
                agent.kill();
                agent.run();
                agent.wait_ready();
            }
            until("there is a supervisor, a new one if it was killed", || {
                let now = agent.supervisor()?;
                (round % 3 == 0 || Some(now) != supervisor).then_some(())
            });
        });
        acknowledged.extend(found.into_inner().expect("no other holder"));
        check_services(&agent, &services, &pids);
    }
    assert!(
        acknowledged.len() > rounds(),
        "the load was none: {acknowledged:?}"
    );
    for job in &acknowledged {
        check_batch(&agent, job);
    }
    say(&format!(
        "{} rounds, {} acknowledged jobs",
        rounds(),
        acknowledged.len()
    ));
}

#[expect(
    clippy::print_stdout,
    reason = "how much was checked belongs in the log"
)]
fn say(what: &str) {
    println!("{what}");
}

/// The process of a service task: the shell, not the sleep that it starts.
fn shell(alloc: &Value) -> u32 {
    let pids = until("its process is there", || {
        let pids = process::of_alloc(alloc);
        (!pids.is_empty()).then_some(pids)
    });
    let parent_is_ours = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parent.is_some_and(|parent: u32| pids.contains(&parent))
    };
    *pids
        .iter()
        .find(|pid| !parent_is_ours(pid))
        .expect("one was started by the supervisor")
}

/// Same allocations, same processes, no restart, and each number once.
fn check_services(agent: &Agent, services: &[Value], pids: &[u32]) {
    let now = agent.wait_allocs("lives", "running", services.len());
    for (alloc, pid) in services.iter().zip(pids) {
        let now = now.iter().find(|now| now["ID"] == alloc["ID"]);
        let now = now.unwrap_or_else(|| panic!("allocation {} is gone", alloc["ID"]));
        assert!(process::alive(*pid), "{pid} ended");
        assert_eq!(job::state(now, "t")["Restarts"], json!(0));
        let log = until("logs are read again", || {
            let id = alloc["ID"].as_str()?;
            let path =
                format!("/v1/client/fs/logs/{id}?task=t&type=stdout&plain=true&origin=start");
            let answer = agent.get(&path).ok()?;
            (answer.status == 200).then(|| answer.text())
        });
        let next = log.lines().count() + 5;
        agent.wait_line(alloc, "t", &next.to_string());
        let log = agent.logs(alloc, "t", "stdout");
        let whole = &log[..=log.rfind('\n').expect("lines")];
        for (at, line) in whole.lines().enumerate() {
            assert_eq!(
                line,
                (at + 1).to_string(),
                "line {} of {}",
                at + 1,
                alloc["ID"]
            );
        }
    }
}

/// Whether the kernel tells the exit status of a process whose parent is dead: Linux 6.15 and later.
fn tells_exits() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// The job is there with one allocation; its task ran as often as it should, and each end is told truly, or called lost
/// where nobody can know it.
fn check_batch(agent: &Agent, job: &Acknowledged) {
    assert_eq!(
        agent.json(&format!("/v1/job/{}", job.id))["ID"],
        json!(job.id)
    );
    let alloc = until(&format!("the task of {} has ended", job.id), || {
        let allocs = agent.allocs(&job.id);
        assert!(allocs.len() <= 1, "doubled: {allocs:?}");
        let alloc = allocs.last()?;
        let status = alloc["ClientStatus"].as_str()?;
        matches!(status, "complete" | "failed" | "lost").then(|| alloc.clone())
    });
    let shown = || format!("{job:?}: {alloc:#}");
    let state = job::state(&alloc, "t");
    let ends: Vec<&Value> = state["Events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["Type"] == "Terminated")
        .collect();
    let codes: Vec<i64> = ends
        .iter()
        .map(|end| end["ExitCode"].as_i64().expect("a code"))
        .collect();
    if tells_exits() {
        assert_eq!(codes, vec![job.exit; job.runs], "{}", shown());
    }
    let known = |code: &i64| *code == job.exit || *code == -1;
    assert!(codes.iter().all(known), "{}", shown());
    let good = codes.iter().all(|code| *code == 0);
    let status = if good { "complete" } else { "failed" };
    assert_eq!(alloc["ClientStatus"], status, "{}", shown());
    assert_eq!(codes.len(), job.runs, "{}", shown());
    assert_eq!(state["Restarts"], json!(job.runs - 1), "{}", shown());
    let log = agent.logs(&alloc, "t", "stdout");
    assert_eq!(log, LINES.repeat(job.runs), "{}", shown());
}

#[test]
fn a_truncated_log_is_an_error_not_a_fresh_start() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    agent.register(&job::batch("kept", 1, "true"));
    agent.wait_allocs("kept", "complete", 1);
    agent.kill();
    let log = largest(&agent.data_dir().join("server/raft/log"), "log");
    let whole = std::fs::read(&log).expect("read log");
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    for byte in &mut broken[middle..middle + 64] {
        *byte ^= 0x5a;
    }
    for damaged in [&whole[..middle], &whole[..0], &broken[..]] {
        fails_to_start(&mut agent, &log, damaged, "server/raft/log is damaged");
    }
    // Nothing of it was taken for the truth meanwhile.
    std::fs::write(&log, &whole).expect("write log");
    agent.run();
    agent.wait_ready();
    agent.wait_allocs("kept", "complete", 1);
}

#[test]
fn a_damaged_store_is_an_error_not_a_fresh_start() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    agent.register(&job::service("kept", 1, "exec sleep 600"));
    let alloc = agent.wait_allocs("kept", "running", 1).remove(0);
    let pids = process::of_alloc(&alloc);
    agent.kill();
    for folder in ["server/raft/log", "client"] {
        let manifest = largest(&agent.data_dir().join(folder), "MANIFEST");
        let whole = std::fs::read(&manifest).expect("read manifest");
        let mut broken = whole.clone();
        broken[8] ^= 0x5a;
        for damaged in [&whole[..0], &broken[..]] {
            fails_to_start(&mut agent, &manifest, damaged, folder);
        }
        std::fs::write(&manifest, &whole).expect("write manifest");
    }
    agent.run();
    agent.wait_ready();
    let now = agent.wait_allocs("kept", "running", 1).remove(0);
    assert_eq!(now["ID"], alloc["ID"]);
    assert_eq!(process::of_alloc(&now), pids);
}

/// The largest file below a folder whose name begins or ends so.
fn largest(folder: &Path, part: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("list folder").flatten() {
            let path = entry.path();
            let meta = entry.metadata().expect("metadata");
            let name = entry.file_name().to_string_lossy().into_owned();
            if meta.is_dir() {
                folders.push(path);
            } else if name.starts_with(part) || name.ends_with(&format!(".{part}")) {
                found.push((meta.len(), path));
            }
        }
    }
    let largest = found.into_iter().max();
    largest
        .unwrap_or_else(|| panic!("no {part} in {}", folder.display()))
        .1
}

/// With a file damaged in this way the agent says so and ends, and leaves the file as it is.
fn fails_to_start(agent: &mut Agent, file: &Path, damaged: &[u8], said: &str) {
    std::fs::write(file, damaged).expect("damage the file");
    let before = agent.log_tail();
    agent.run();
    let status = until("the agent gives up", || agent.ended());
    let log = agent.log_tail();
    assert_eq!(status.code(), Some(1), "{log}");
    let new = log.strip_prefix(&before).unwrap_or(&log);
    assert!(!new.contains("panicked"), "{new}");
    let reason = |line: &str| line.contains(said) && line.contains("damaged");
    assert!(new.lines().any(reason), "no clear reason:\n{new}");
    let now = std::fs::read(file).expect("the file is there");
    assert!(now == damaged, "{} was changed", file.display());
    agent.kill();
}
