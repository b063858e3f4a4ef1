//! Job files as JSON, as small as the API takes them.

use serde_json::{Value, json};

/// A job with one group `g`.
pub fn job(id: &str, kind: &str, group: Value) -> Value {
    let mut group = group;
    if group.get("Name").is_none() {
        group["Name"] = json!("g");
    }
    json!({"Job": {
        "ID": id, "Name": id, "Type": kind, "Datacenters": ["*"], "TaskGroups": [group],
    }})
}

/// A task that runs a shell script.
pub fn task(name: &str, script: &str) -> Value {
    json!({
        "Name": name, "Driver": "raw_exec",
        "Config": {"command": "/bin/sh", "args": ["-c", script]},
        "Resources": {"CPU": 5, "MemoryMB": 10},
    })
}

/// A service of one task `t`, healthy as soon as it runs.
pub fn service(id: &str, count: u32, script: &str) -> Value {
    let mut job = job(
        id,
        "service",
        json!({"Count": count, "Tasks": [task("t", script)]}),
    );
    job["Job"]["Update"] = json!({
        "MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": 10_000_000,
        "HealthyDeadline": 60_000_000_000_u64, "ProgressDeadline": 120_000_000_000_u64,
    });
    job
}

/// A batch job of one task `t` that is tried once.
pub fn batch(id: &str, count: u32, script: &str) -> Value {
    job(
        id,
        "batch",
        json!({"Count": count, "RestartPolicy": never(), "ReschedulePolicy": {"Attempts": 0, "Unlimited": false}, "Tasks": [task("t", script)]}),
    )
}

/// The restart policy that never restarts.
pub fn never() -> Value {
    json!({"Attempts": 0, "Interval": 60_000_000_000_u64, "Delay": 100_000_000, "Mode": "fail"})
}

/// Restarts quickly, at most `attempts` times.
pub fn restarts(attempts: u32) -> Value {
    json!({"Attempts": attempts, "Interval": 600_000_000_000_u64, "Delay": 100_000_000, "Mode": "fail"})
}

/// The allocation's state of a task.
pub fn state<'a>(alloc: &'a Value, task: &str) -> &'a Value {
    &alloc["TaskStates"][task]
}

/// The kinds of a task's events, oldest first.
pub fn events(alloc: &Value, task: &str) -> Vec<String> {
    let events = state(alloc, task)["Events"].as_array();
    events
        .into_iter()
        .flatten()
        .map(|event| event["Type"].as_str().unwrap_or_default().to_owned())
        .collect()
}
