//! Saving the state of the servers to a file, and putting it back.

use std::fs;

use crate::binary;
use serde_json::{Value, json};
use tests::{Agent, Options, http, job, process, until};

fn index(agent: &Agent, path: &str) -> u64 {
    let answer = agent.get(path).expect("an answer");
    let head = answer.head.to_ascii_lowercase();
    head.lines()
        .find_map(|line| line.strip_prefix("x-nomad-index:"))
        .and_then(|index| index.trim().parse().ok())
        .expect("an index")
}

fn text(output: &std::process::Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_snapshot_brings_purged_jobs_back() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    agent.register(&job::service("stays", 1, "exec sleep 600"));
    agent.register(&job::service("back", 2, "exec sleep 600"));
    agent.register(&job::batch("done", 1, "true"));
    let stays = agent.wait_allocs("stays", "running", 1).remove(0);
    agent.wait_allocs("back", "running", 2);
    agent.wait_allocs("done", "complete", 1);
    let saved = agent.cli(&["operator", "snapshot", "save", "state.snap"]);
    assert!(saved.status.success(), "{}", text(&saved));
    let inspected = agent.cli(&["operator", "snapshot", "inspect", "state.snap"]);
    assert!(inspected.status.success(), "{}", text(&inspected));

    agent.stop_job("back", "?purge=true");
    agent.register(&job::service("later", 1, "exec sleep 600"));
    let later = agent.wait_allocs("later", "running", 1).remove(0);
    until("the purged job is gone", || {
        let running = agent.allocs("back");
        let ended = running
            .iter()
            .all(|alloc| alloc["ClientStatus"] == "complete");
        (agent.get("/v1/job/back").ok()?.status == 404 && ended).then_some(())
    });
    let before = index(&agent, "/v1/jobs");

    // What is broken changes nothing.
    let whole = fs::read(agent.root().join("state.snap")).expect("the file");
    let jobs = || -> Vec<Value> {
        let jobs = agent.json("/v1/jobs");
        let jobs = jobs.as_array().expect("a list");
        jobs.iter().map(|job| job["ID"].clone()).collect()
    };
    let now = jobs();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let broken: [(&str, &[u8]); 4] = [
        ("nothing", b""),
        (
            "something else",
            b"not a snapshot at all, but long enough to look at",
        ),
        ("half", &whole[..whole.len() / 2]),
        ("one bit", &flipped),
    ];
    for (what, bytes) in broken {
        let answer = http::request(agent.http_port, "PUT", "/v1/operator/snapshot", bytes)
            .expect("an answer");
        assert_eq!(answer.status, 500, "{what}");
        assert!(
            answer
                .text()
                .starts_with("failed to restore from snapshot: "),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(jobs(), now, "{what}");
    }

    let restored = agent.cli(&["operator", "snapshot", "restore", "state.snap"]);
    assert!(restored.status.success(), "{}", text(&restored));
    assert!(index(&agent, "/v1/jobs") > before, "indexes go up");
    assert_eq!(jobs(), [json!("back"), json!("done"), json!("stays")]);
    // What runs is brought in line: what was purged runs again, what came later ends, the rest is left alone.
    agent.wait_allocs("back", "running", 2);
    until("two processes run for the job", || {
        let allocs = agent.wait_allocs("back", "running", 2);
        let alive = allocs
            .iter()
            .all(|alloc| !process::of_alloc(alloc).is_empty());
        alive.then_some(())
    });
    until("what came later ends", || {
        process::of_alloc(&later).is_empty().then_some(())
    });
    let now = agent.wait_allocs("stays", "running", 1).remove(0);
    assert_eq!(now["ID"], stays["ID"]);
    assert!(!process::of_alloc(&now).is_empty());
    assert_eq!(agent.allocs("done").len(), 1);

    // Writes go on above all that, also over a restart, which replays the log.
    let top = index(&agent, "/v1/jobs");
    agent.register(&job::service("stays", 2, "exec sleep 600"));
    agent.wait_allocs("stays", "running", 2);
    assert!(index(&agent, "/v1/jobs") > top);
    agent.kill();
    agent.run();
    agent.wait_ready();
    agent.wait_allocs("stays", "running", 2);
    agent.wait_allocs("back", "running", 2);
}

#[test]
fn a_snapshot_of_a_longer_life_is_restored_in_a_new_cluster() {
    let binary = binary!();
    let old = Agent::start(&binary);
    for n in 0..60 {
        old.register(&job::service("many", 1, &format!("exec sleep {}", 600 + n)));
    }
    old.wait_allocs("many", "running", 1);
    let saved = old.cli(&["operator", "snapshot", "save", "state.snap"]);
    assert!(saved.status.success(), "{}", text(&saved));
    let top = old.json("/v1/job/many")["ModifyIndex"]
        .as_u64()
        .expect("an index");
    let archive = fs::read(old.root().join("state.snap")).expect("the file");
    drop(old);

    let config = "server {\n  min_heartbeat_ttl = \"1s\"\n  heartbeat_grace = \"1s\"\n  failover_heartbeat_ttl = \"3s\"\n}\n";
    let mut new = Agent::with(
        &binary,
        &Options {
            config: config.to_owned(),
            ..Options::default()
        },
    );
    let answer = http::request(new.http_port, "PUT", "/v1/operator/snapshot", &archive);
    assert_eq!(answer.expect("an answer").status, 200);
    assert!(index(&new, "/v1/jobs") > top);
    // Its own node is still there, the old one is lost, and the job moves to the new one.
    new.wait_ready();
    until("the job runs on the new node", || {
        let mut allocs = new.allocs("many");
        let own = new.node_id()?;
        allocs.retain(|alloc| alloc["NodeID"] == json!(own) && alloc["ClientStatus"] == "running");
        (allocs.len() == 1).then_some(())
    });
    // New objects are newer than all that came with the snapshot, over a restart too.
    let registered = new.register(&job::service("new", 1, "exec sleep 600"));
    assert!(registered["JobModifyIndex"].as_u64() > Some(top));
    new.wait_allocs("new", "running", 1);
    new.kill();
    new.run();
    new.wait_ready();
    assert_eq!(
        new.json("/v1/job/new")["JobModifyIndex"],
        registered["JobModifyIndex"]
    );
    let again = new.register(&job::service("new", 2, "exec sleep 600"));
    assert!(again["JobModifyIndex"].as_u64() > registered["JobModifyIndex"].as_u64());
    new.wait_allocs("new", "running", 2);
}
