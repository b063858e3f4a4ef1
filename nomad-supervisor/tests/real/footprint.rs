//! What idle tasks cost the supervisor.

use std::time::Duration;

use crate::node::Node;

const TASKS: u64 = 300;
/// Bar for the supervisor's own memory per idle task, in KiB.
const MAX_KIB_PER_TASK: u64 = 20;

fn pss_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("Pss:"))
        .expect("Pss");
    line.trim().trim_end_matches(" kB").parse().expect("number")
}

/// CPU time in clock ticks, and how often the process was put on a CPU.
fn activity(pid: i32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks =
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .expect("threads")
        .flatten();
    let switches = threads
        .map(|t| {
            let status = std::fs::read_to_string(t.path().join("status")).expect("status");
            let line = status
                .lines()
                .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))
                .expect("switches");
            line.trim().parse::<u64>().expect("number")
        })
        .sum();
    (ticks, switches)
}

#[tokio::test]
async fn an_idle_task_costs_little_memory_and_no_time() {
    let node = Node::new().await;
    let pid = node.supervisor_pid();
    // What the first tasks need once for all is not counted.
    for n in 0..20 {
        node.client
            .start_task(node.script(&format!("warm{n}"), "exec sleep 60"))
            .await
            .expect("start");
    }
    let before = pss_kib(pid);
    for n in 0..TASKS {
        node.client
            .start_task(node.script(&format!("task{n}"), "exec sleep 60"))
            .await
            .expect("start");
    }
    let grown = pss_kib(pid).saturating_sub(before);
    eprintln!(
        "{TASKS} idle tasks cost {grown} KiB, {} KiB in all",
        pss_kib(pid)
    );
    assert!(
        grown <= MAX_KIB_PER_TASK * TASKS,
        "{grown} KiB for {TASKS} tasks"
    );

    let (ticks, switches) = activity(pid);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (ticks_after, switches_after) = activity(pid);
    assert_eq!(ticks_after, ticks, "CPU time went by");
    assert!(
        switches_after - switches <= 2,
        "woken {} times",
        switches_after - switches
    );
    node.stop().await;
}
