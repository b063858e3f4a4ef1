//! Starting, stopping and starting agents again.

use crate::binary;
use rustix::process::Signal;
use serde_json::json;
use tests::{Agent, Options, job, process, until};

#[test]
fn a_second_agent_on_one_data_dir_is_refused() {
    let binary = binary!();
    let first = Agent::start(&binary);
    let mut second = Agent::prepare(&binary, &Options::default()).expect("prepare");
    let path = second.root().join("agent.hcl");
    let config = std::fs::read_to_string(&path).expect("read configuration");
    let own = second.data_dir().display().to_string();
    let shared = config.replace(&own, &first.data_dir().display().to_string());
    std::fs::write(&path, shared).expect("write configuration");
    second.run();
    let status = until("the second agent ends", || second.ended());
    assert_eq!(status.code(), Some(1));
    let log = second.log_tail();
    assert!(log.contains("is used by another agent"), "{log}");
    assert!(log.contains(&first.pid().to_string()), "{log}");
    assert_eq!(first.json("/v1/nodes")[0]["Status"], "ready");
}

#[test]
fn unknown_configuration_keys_are_errors_with_their_place() {
    let binary = binary!();
    let extra = "clinet {\n  enabled = true\n}\ntelemetry {\n  prometheus = true\n}\n";
    let options = Options {
        config: extra.to_owned(),
        dev: true,
        ..Options::default()
    };
    let agent = Agent::prepare(&binary, &options).expect("prepare");
    let config = std::fs::read_to_string(agent.root().join("agent.hcl")).expect("read");
    let line = |needle: &str| {
        let at = config.lines().position(|line| line.contains(needle));
        format!("agent.hcl:{}:", at.expect("line is there") + 1)
    };
    let output = agent.command().output().expect("run agent");
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    for (place, key) in [
        (line("clinet"), "clinet"),
        (line("prometheus"), "prometheus"),
    ] {
        assert!(
            printed
                .lines()
                .any(|l| l.contains(&place) && l.contains(key)),
            "{key} at {place} is not in:\n{printed}"
        );
    }
}

#[test]
fn a_dev_agent_stops_its_tasks() {
    let binary = binary!();
    let options = Options {
        dev: true,
        ..Options::default()
    };
    let mut agent = Agent::with(&binary, &options);
    agent.register(&job::service("dev", 1, "echo up; exec sleep 600"));
    let alloc = agent.wait_allocs("dev", "running", 1).remove(0);
    agent.wait_line(&alloc, "t", "up");
    let pids = process::of_alloc(&alloc);
    assert_eq!(pids.len(), 1, "{pids:?}");
    agent.signal(Signal::INT);
    until("its task is gone", || {
        (!process::alive(pids[0])).then_some(())
    });
}

#[test]
fn a_dev_agent_leaves_nothing_behind() {
    let binary = binary!();
    let options = Options {
        dev: true,
        ..Options::default()
    };
    let left = |agent: &Agent| {
        let entries = std::fs::read_dir(agent.root()).expect("list folder");
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.retain(|name| name != "agent.hcl" && name != "agent.log");
        names
    };
    // One that ends when it is asked, and one that has to be killed.
    for script in [
        "echo up; exec sleep 600",
        "trap '' INT TERM; echo up; while true; do sleep 600; done",
    ] {
        let mut agent = Agent::with(&binary, &options);
        agent.register(&job::service("dev", 2, script));
        let allocs = agent.wait_allocs("dev", "running", 2);
        for alloc in &allocs {
            agent.wait_line(alloc, "t", "up");
        }
        // Signalled in the middle of work.
        agent.register(&job::batch("more", 5, "echo up; exec sleep 600"));
        let pids: Vec<u32> = allocs.iter().flat_map(process::of_alloc).collect();
        assert_eq!(left(&agent).len(), 1, "no temporary folder");
        agent.signal(Signal::INT);
        assert!(left(&agent).is_empty(), "{:?} is left", left(&agent));
        until("its tasks are gone", || {
            pids.iter().all(|pid| !process::alive(*pid)).then_some(())
        });
    }
}

#[test]
fn tasks_and_jobs_outlive_a_restart_of_the_agent() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    let count = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done";
    agent.register(&job::service("lives", 2, count));
    agent.register(&job::batch("done", 1, "echo finished"));
    let before = agent.wait_allocs("lives", "running", 2);
    let done = agent.wait_allocs("done", "complete", 1).remove(0);
    let pids: Vec<_> = before.iter().map(process::of_alloc).collect();
    let index = agent.json("/v1/job/lives")["JobModifyIndex"].clone();
    // Asked to go in order, a client with a data directory leaves its tasks alone.
    agent.signal(Signal::INT);
    let seen = std::fs::read_dir(agent.data_dir().join("alloc"))
        .expect("list allocations")
        .count();
    assert_eq!(seen, 3);
    agent.run();
    agent.wait_ready();
    assert_eq!(agent.json("/v1/job/lives")["JobModifyIndex"], index);
    let after = agent.wait_allocs("lives", "running", 2);
    for (alloc, pids) in before.iter().zip(&pids) {
        let id = alloc["ID"].as_str().expect("id");
        let now = after
            .iter()
            .find(|now| now["ID"] == alloc["ID"])
            .unwrap_or_else(|| panic!("allocation {id} is gone"));
        // The shell's own sleep comes and goes.
        let shell = pids.iter().min().expect("it runs");
        assert!(
            process::of_alloc(now).contains(shell),
            "{shell} of {id} ended"
        );
        assert_eq!(job::state(now, "t")["Restarts"], json!(0));
        let last: u64 = agent
            .logs(now, "t", "stdout")
            .lines()
            .count()
            .try_into()
            .expect("count");
        agent.wait_line(now, "t", &(last + 20).to_string());
        let log = agent.logs(now, "t", "stdout");
        // The last line may be half written.
        let whole = &log[..=log.rfind('\n').expect("lines")];
        for (at, line) in whole.lines().enumerate() {
            assert_eq!(line, (at + 1).to_string(), "line {at} of {id}");
        }
    }
    let done_now = agent.json(&format!(
        "/v1/allocation/{}",
        done["ID"].as_str().expect("id")
    ));
    assert_eq!(done_now["ClientStatus"], "complete");
    assert_eq!(agent.logs(&done_now, "t", "stdout"), "finished\n");
    assert_eq!(agent.allocs("done").len(), 1);
}

#[test]
fn a_hangup_reloads_the_level_of_the_log() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    let path = agent.root().join("agent.hcl");
    let config = std::fs::read_to_string(&path).expect("read configuration");
    let log = agent.root().join("agent.log");
    let logged = || std::fs::read_to_string(&log).unwrap_or_default();
    let level = |name: &str| config.replace("\"DEBUG\"", &format!("\"{name}\""));
    std::fs::write(&path, level("ERROR")).expect("write configuration");
    process::signal(agent.pid(), Signal::HUP);
    until("the signal is told", || {
        logged()
            .contains("==> Reloading configuration...")
            .then_some(())
    });
    // A broken file changes nothing, and is named with its line.
    std::fs::write(&path, format!("nonsense = 1\n{}", level("TRACE"))).expect("write");
    process::signal(agent.pid(), Signal::HUP);
    until("the mistake is named", || {
        logged()
            .contains("agent.hcl:1: unexpected keys nonsense")
            .then_some(())
    });
    assert!(!logged().contains("configuration reloaded"), "INFO was off");
    std::fs::write(&path, level("INFO")).expect("write configuration");
    process::signal(agent.pid(), Signal::HUP);
    until("the new level holds", || {
        logged()
            .contains("configuration reloaded log_level=INFO")
            .then_some(())
    });
    assert_eq!(agent.ended(), None);
}
