//! Tasks that fail, and tasks that come before and after others.

use crate::binary;
use serde_json::{Value, json};
use tests::{Agent, job, until};

#[test]
fn a_failing_batch_task_is_restarted_as_often_as_its_policy_says() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let mut failing = job::batch("fails", 1, "echo try; exit 7");
    failing["Job"]["TaskGroups"][0]["RestartPolicy"] = job::restarts(2);
    agent.register(&failing);
    let alloc = agent.wait_allocs("fails", "failed", 1).remove(0);
    assert_eq!(agent.logs(&alloc, "t", "stdout"), "try\n".repeat(3));
    let state = job::state(&alloc, "t");
    assert_eq!(state["Failed"], json!(true));
    assert_eq!(state["State"], "dead");
    assert_eq!(state["Restarts"], json!(2));
    assert_eq!(exit_codes(&alloc), [7, 7, 7]);
    let events = job::events(&alloc, "t");
    assert_eq!(
        events.iter().filter(|e| *e == "Restarting").count(),
        2,
        "{events:?}"
    );
    assert_eq!(
        events.last().map(String::as_str),
        Some("Not Restarting"),
        "{events:?}"
    );
}

#[test]
fn a_failed_service_is_rescheduled() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let marker = agent.root().join("came");
    let script = format!(
        "if mkdir {} 2>/dev/null; then exit 1; fi; exec sleep 600",
        marker.display()
    );
    let mut service = job::service("again", 1, &script);
    let group = &mut service["Job"]["TaskGroups"][0];
    group["RestartPolicy"] = job::never();
    group["ReschedulePolicy"] = json!({
        "Delay": 5_000_000_000_u64, "DelayFunction": "constant", "Unlimited": true, "MaxDelay": 0,
    });
    agent.register(&service);
    let all = until("a second allocation runs", || {
        let all = agent.allocs("again");
        (all.len() == 2 && all[1]["ClientStatus"] == "running").then_some(all)
    });
    assert_eq!(all[0]["ClientStatus"], "failed");
    assert_eq!(all[0]["NextAllocation"], all[1]["ID"]);
    let second = agent.json(&format!(
        "/v1/allocation/{}",
        all[1]["ID"].as_str().expect("id")
    ));
    assert_eq!(second["PreviousAllocation"], all[0]["ID"]);
}

#[test]
fn hooks_run_around_the_main_task() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let log = agent.root().join("order");
    let say = |word: &str| format!("echo {word} >> {}", log.display());
    let hook = |name: &str, hook: &str, sidecar: bool, script: String| {
        let mut task = job::task(name, &script);
        task["Lifecycle"] = json!({"Hook": hook, "Sidecar": sidecar});
        task
    };
    let sidecar = format!(
        "trap '{}; exit 0' TERM INT; {}; while true; do sleep 0.01; done",
        say("side-end"),
        say("side")
    );
    let tasks = [
        hook("after", "poststop", false, say("after")),
        hook("post", "poststart", false, say("post")),
        // The main task stays until the poststart task has had its turn.
        job::task(
            "main",
            &format!(
                "{}; while ! grep -q post {}; do sleep 0.01; done; {}",
                say("main"),
                log.display(),
                say("main-end")
            ),
        ),
        hook("side", "prestart", true, sidecar),
        hook("pre", "prestart", false, say("pre")),
    ];
    agent.register(&job::job(
        "hooks",
        "batch",
        json!({"RestartPolicy": job::never(), "Tasks": tasks}),
    ));
    let alloc = agent.wait_allocs("hooks", "complete", 1).remove(0);
    let order = std::fs::read_to_string(&log).expect("tasks wrote");
    let at = |word: &str| {
        let at = order.lines().position(|line| line == word);
        at.unwrap_or_else(|| panic!("{word} is not in {order:?}"))
    };
    let sequence = ["pre", "main", "post", "main-end", "side-end", "after"];
    assert!(
        sequence.windows(2).all(|two| at(two[0]) < at(two[1])),
        "{order:?}"
    );
    assert!(at("side") < at("main"), "{order:?}");
    for task in ["pre", "post", "main", "side", "after"] {
        assert_eq!(job::state(&alloc, task)["State"], "dead", "{task}");
        assert_eq!(job::state(&alloc, task)["Failed"], json!(false), "{task}");
    }
}

#[test]
fn a_failed_prestart_task_keeps_the_main_task_from_running() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let mut pre = job::task("pre", "exit 3");
    pre["Lifecycle"] = json!({"Hook": "prestart", "Sidecar": false});
    let group = json!({
        "RestartPolicy": job::never(), "ReschedulePolicy": {"Attempts": 0, "Unlimited": false},
        "Tasks": [pre, job::task("main", "echo ran")],
    });
    agent.register(&job::job("stuck", "batch", group));
    let alloc = agent.wait_allocs("stuck", "failed", 1).remove(0);
    let events = job::events(&alloc, "main");
    assert!(events.iter().all(|event| event != "Started"), "{events:?}");
    until("the job is dead", || {
        (agent.json("/v1/job/stuck")["Status"] == "dead").then_some(())
    });
}

fn exit_codes(alloc: &Value) -> Vec<i64> {
    let events = job::state(alloc, "t")["Events"].as_array();
    events
        .into_iter()
        .flatten()
        .filter(|event| event["Type"] == "Terminated")
        .filter_map(|event| event["ExitCode"].as_i64())
        .collect()
}
