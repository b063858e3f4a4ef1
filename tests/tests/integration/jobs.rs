//! Types of jobs, and what changes of them do.

use crate::binary;
use serde_json::{Value, json};
use tests::{Agent, job, process, until};

#[test]
fn every_type_of_job_runs() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    agent.register(&job::service("svc", 2, "exec sleep 600"));
    agent.register(&job::batch("bat", 3, "echo batch $NOMAD_ALLOC_INDEX"));
    let group = |script| json!({"Tasks": [job::task("t", script)]});
    agent.register(&job::job("sys", "system", group("exec sleep 600")));
    agent.register(&job::job("sysb", "sysbatch", group("echo once")));
    agent.wait_allocs("svc", "running", 2);
    agent.wait_allocs("sys", "running", 1);
    let once = agent.wait_allocs("sysb", "complete", 1);
    assert_eq!(agent.logs(&once[0], "t", "stdout"), "once\n");
    let mut batch: Vec<String> = agent
        .wait_allocs("bat", "complete", 3)
        .iter()
        .map(|alloc| agent.logs(alloc, "t", "stdout"))
        .collect();
    batch.sort();
    assert_eq!(batch, ["batch 0\n", "batch 1\n", "batch 2\n"]);
    for (id, status) in [
        ("svc", "running"),
        ("sys", "running"),
        ("bat", "dead"),
        ("sysb", "dead"),
    ] {
        until(&format!("job {id} is {status}"), || {
            (agent.json(&format!("/v1/job/{id}"))["Status"] == status).then_some(())
        });
    }
    let summary = agent.json("/v1/job/bat/summary");
    assert_eq!(summary["Summary"]["g"]["Complete"], json!(3), "{summary}");
}

#[test]
fn counts_go_up_and_down_and_jobs_stop() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let script = "exec sleep 600";
    agent.register(&job::service("n", 2, script));
    let first = agent.wait_allocs("n", "running", 2);
    agent.register(&job::service("n", 4, script));
    let more = agent.wait_allocs("n", "running", 4);
    for alloc in &first {
        assert!(more.iter().any(|m| m["ID"] == alloc["ID"]), "kept in place");
    }
    agent.register(&job::service("n", 1, script));
    let left = agent.wait_allocs("n", "running", 1);
    assert!(left[0]["Name"] == "n.g[0]", "{}", left[0]["Name"]);
    agent.wait_alloc(more_than(&more, &left[0]), &["complete"]);

    let pids = process::of_alloc(&left[0]);
    agent.stop_job("n", "");
    agent.wait_alloc(id(&left[0]), &["complete"]);
    assert!(pids.iter().all(|pid| !process::alive(*pid)));
    let stopped = agent.json("/v1/job/n");
    assert_eq!(stopped["Stop"], json!(true));
    until("the job is dead", || {
        (agent.json("/v1/job/n")["Status"] == "dead").then_some(())
    });
    agent.stop_job("n", "?purge=true");
    assert_eq!(agent.get("/v1/job/n").expect("an answer").status, 404);
}

fn more_than<'a>(all: &'a [Value], kept: &Value) -> &'a str {
    let other = all.iter().find(|alloc| alloc["ID"] != kept["ID"]);
    id(other.expect("there was another"))
}

fn id(alloc: &Value) -> &str {
    alloc["ID"].as_str().expect("allocations have ids")
}

#[test]
fn a_destructive_update_rolls_one_by_one() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    agent.register(&job::service("roll", 3, "echo one; exec sleep 600"));
    let old = agent.wait_allocs("roll", "running", 3);
    until("the first deployment succeeds", || {
        let d = agent.json("/v1/job/roll/deployment");
        (d["Status"] == "successful").then_some(())
    });
    agent.register(&job::service("roll", 3, "echo two; exec sleep 600"));
    let mut fewest = usize::MAX;
    let new = until("all three are replaced", || {
        let mut allocs = agent.allocs("roll");
        allocs.retain(|a| a["ClientStatus"] == "running" && a["DesiredStatus"] == "run");
        fewest = fewest.min(allocs.len());
        allocs.retain(|a| a["JobVersion"] == json!(1));
        (allocs.len() == 3).then_some(allocs)
    });
    // The list is read while allocations change hands, so one more may be between two states.
    assert!(fewest >= 1, "max_parallel is 1, yet {fewest} ran");
    for alloc in &new {
        assert_eq!(agent.wait_line(alloc, "t", "tw"), "o");
        assert!(old.iter().all(|o| o["ID"] != alloc["ID"]));
    }
    for alloc in &old {
        agent.wait_alloc(id(alloc), &["complete"]);
    }
    until("the second deployment succeeds", || {
        let d = agent.json("/v1/job/roll/deployment");
        (d["Status"] == "successful" && d["JobVersion"] == json!(1)).then_some(())
    });
    let versions = agent.json("/v1/job/roll/versions");
    assert_eq!(versions["Versions"].as_array().map(Vec::len), Some(2));
}

#[test]
fn ports_are_given_and_refused() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let ports = |id: &str, fixed: u16| {
        job::job(
            id,
            "service",
            json!({
                "Networks": [{
                    "Mode": "host",
                    "ReservedPorts": [{"Label": "fixed", "Value": fixed}],
                    "DynamicPorts": [{"Label": "any"}],
                }],
                "Tasks": [job::task("t", "echo $NOMAD_PORT_fixed $NOMAD_PORT_any $NOMAD_ADDR_any; exec sleep 600")],
            }),
        )
    };
    // Nothing listens on it: a port of a job is a promise among jobs.
    let fixed = 19_500;
    agent.register(&ports("one", fixed));
    let alloc = agent.wait_allocs("one", "running", 1).remove(0);
    let line = agent.wait_line(&alloc, "t", "19500 ");
    let (port, address) = line.split_once(' ').expect("two values");
    let number: u16 = port.parse().expect("a number");
    assert!((20_000..=32_000).contains(&number), "{number}");
    assert!(address.ends_with(&format!(":{port}")), "{address}");
    agent.register(&ports("two", fixed));
    let blocked = until("an evaluation waits for the port", || {
        let evals = agent.json("/v1/job/two/evaluations");
        let evals = evals.as_array()?;
        evals.iter().find(|e| e["Status"] == "blocked").cloned()
    });
    assert_eq!(blocked["JobID"], "two");
    assert!(agent.allocs("two").is_empty());
    agent.stop_job("one", "");
    agent.wait_allocs("two", "running", 1);
}
