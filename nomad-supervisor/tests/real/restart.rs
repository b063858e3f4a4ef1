//! Deaths of the agent and of the supervisor.

use std::time::Duration;

use nomad_supervisor::{
    CgroupSpec, ClientOptions, ExitStatus, LogSpec, Notice, RunError, SupervisorClient,
    SupervisorConfig, TaskSpec,
};
use rustix::process::Signal;

use crate::logs::assert_counts;
use crate::node::{Node, alive, signal, slice, until};

#[tokio::test]
async fn a_client_may_go_and_another_finds_everything() {
    let node = Node::new().await;
    let running = node
        .client
        .start_task(node.script("running", "sleep 0.3; echo late; exit 3"))
        .await
        .expect("start");
    node.client
        .start_task(Node::quiet("ended", "exit 9"))
        .await
        .expect("start");
    node.client.wait("ended").await.expect("wait");
    let client = node.another_client().await;
    let tasks = client.list().await.expect("list");
    assert_eq!(tasks.len(), 2);
    assert_eq!(
        tasks[0].exit.expect("ended").status,
        ExitStatus::Exited { code: 9 }
    );
    assert_eq!(
        (tasks[1].handle.pid, tasks[1].exit, tasks[1].adopted),
        (running.pid, None, false)
    );
    drop(node.client.clone());
    assert_eq!(
        client.wait("running").await.expect("wait").status,
        ExitStatus::Exited { code: 3 }
    );
    assert_eq!(node.log("running.stdout.0"), "late\n");
    node.stop().await;
}

#[tokio::test]
async fn a_supervisor_that_was_told_to_end_is_not_replaced_until_it_is_needed() {
    let node = Node::new().await;
    let pid = node.client.capabilities().pid;
    node.client.shutdown(true).await.expect("shutdown");
    until("the supervisor has ended", || !alive(pid)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let options = ClientOptions {
        connect_timeout: Duration::from_millis(50),
        ..ClientOptions::new(node.state_dir(), None)
    };
    assert!(SupervisorClient::connect(options).await.is_err());
    node.client.ping().await.expect("a new one");
    node.stop().await;
}

#[tokio::test]
async fn a_killed_supervisor_is_replaced_and_tasks_are_found_again() {
    let mut node = Node::new().await;
    let cgroup = Some(CgroupSpec {
        path: format!("{}/adopt.scope", slice()),
        foreign: false,
    });
    let spec = TaskSpec {
        cgroup,
        ..node.script("t", "echo one; sleep 0.5; echo two; exit 3")
    };
    let handle = node.client.start_task(spec).await.expect("start");
    node.client
        .start_task(Node::quiet("ended", "exit 9"))
        .await
        .expect("start");
    node.client.wait("ended").await.expect("wait");
    let waiting = tokio::spawn({
        let client = node.client.clone();
        async move { client.wait("t").await }
    });
    let took = node.kill_supervisor().await;
    eprintln!("a new supervisor answered {took:?} after kill -9 of the old");
    let info = node.client.inspect("t").await.expect("inspect");
    assert!(info.adopted && info.exit.is_none());
    assert_eq!(info.handle, handle);
    let ended = node.client.inspect("ended").await.expect("inspect");
    assert_eq!(
        ended.exit.expect("kept").status,
        ExitStatus::Exited { code: 9 }
    );
    // The wait that was under way is answered by the new supervisor.
    let status = waiting.await.expect("join").expect("wait").status;
    if node.client.capabilities().exit_info {
        assert_eq!(status, ExitStatus::Exited { code: 3 });
    } else {
        assert!(!status.success());
    }
    assert_eq!(node.log("t.stdout.0"), "one\ntwo\n");
    node.client.remove("t").await.expect("remove");
    node.stop().await;
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_when_the_supervisor_is_killed_again_and_again() {
    const LINES: u64 = 2_500_000;
    let mut node = Node::new().await;
    let mut spec = node.script("t", &format!("seq 1 {LINES}; echo 1 >&2"));
    spec.logs = Some(LogSpec {
        max_files: 10_000,
        max_file_size: 200_000,
        ..spec.logs.expect("logs")
    });
    node.client.start_task(spec).await.expect("start");
    let mut kills = 0;
    while node
        .client
        .inspect("t")
        .await
        .expect("inspect")
        .exit
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(3)).await;
        node.kill_supervisor().await;
        kills += 1;
    }
    assert!(kills > 2, "only {kills} kills");
    let files = node.rotated("t.stdout");
    assert!(files.iter().all(|(_, text)| text.len() <= 200_000));
    let all: String = files.into_iter().map(|(_, text)| text).collect();
    assert_counts(&all, 1, LINES);
    assert_eq!(node.log("t.stderr.0"), "1\n");
    eprintln!("{LINES} lines survived {kills} kills");
    node.stop().await;
}

#[tokio::test]
async fn a_task_that_ends_while_no_supervisor_lives_is_not_taken_for_a_success() {
    let mut node = Node::new().await;
    let script = "sleep 0.3; echo last words; exit 0";
    node.client
        .start_task(node.script("t", script))
        .await
        .expect("start");
    // Stopped, it is no help either, but its successor cannot start before it is gone.
    let pid = node.supervisor_pid();
    signal(pid, Signal::STOP);
    let task = rustix_children(pid);
    until("the task has ended", || task.iter().all(|p| !alive(*p))).await;
    node.kill_supervisor().await;
    let exit = node.client.wait("t").await.expect("wait");
    // The descriptor store held a pidfd, so a recent kernel tells us; otherwise nobody knows.
    if node.client.capabilities().exit_info {
        assert_eq!(exit.status, ExitStatus::Exited { code: 0 });
    } else {
        assert_eq!(exit.status, ExitStatus::Lost);
        assert_eq!(exit.status.exit_code(), None);
    }
    // It held the FIFO, too, so what it said last is not lost.
    until("the last words are there", || {
        node.log("t.stdout.0") == "last words\n"
    })
    .await;
    node.stop().await;
}

fn rustix_children(pid: i32) -> Vec<i32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let own: Vec<i32> = text
        .split_whitespace()
        .filter_map(|p| p.parse().ok())
        .collect();
    if !own.is_empty() {
        return own;
    }
    // In a test binary the supervisor runs on another thread than the first.
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .expect("threads")
        .flatten();
    tasks
        .filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok())
        .flat_map(|c| {
            c.split_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

#[tokio::test]
async fn a_process_that_took_over_the_pid_is_not_adopted() {
    let mut node = Node::new().await;
    let handle = node
        .client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let (client, pid) = (node.another_client().await, node.supervisor_pid());
    let wrong = handle.start_time_ticks + 1;
    // The journal of a machine on which the pid has meanwhile gone to another process.
    signal(pid, Signal::STOP);
    let journal = node.state_dir().join(nomad_supervisor::JOURNAL_NAME);
    let bytes = std::fs::read(&journal).expect("journal");
    let patched = patch_start_time(&bytes, handle.start_time_ticks, wrong);
    std::fs::write(&journal, patched).expect("write");
    node.kill_supervisor().await;
    let exit = client.wait("t").await.expect("wait");
    assert_eq!(exit.status, ExitStatus::Lost);
    assert!(alive(handle.pid), "the stranger was killed");
    client.remove("t").await.expect("remove");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(alive(handle.pid), "the stranger was killed");
    signal(handle.pid, Signal::KILL);
    node.stop().await;
}

/// Replaces the start time in the journal's first record and mends the checksum.
fn patch_start_time(bytes: &[u8], from: u64, to: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (from, to) = (rmp_number(from), rmp_number(to));
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|w| w == from)
        .expect("start time");
    bytes[at..at + to.len()].copy_from_slice(&to);
    let length = u32::from_be_bytes(bytes[8..12].try_into().expect("length")) as usize;
    let crc = crc32(&bytes[16..16 + length]);
    bytes[12..16].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn rmp_number(n: u64) -> Vec<u8> {
    rmp_serde::to_vec(&n).expect("number")
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ if c & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[tokio::test]
async fn tasks_survive_the_supervisor_and_are_not_started_twice() {
    let mut node = Node::new().await;
    let handle = node
        .client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    node.client.shutdown(false).await.expect("shutdown");
    until("a new supervisor is there", || {
        node.notices
            .try_recv()
            .is_ok_and(|n| matches!(n, Notice::Connected(tasks) if tasks.len() == 1))
    })
    .await;
    assert!(alive(handle.pid));
    assert_eq!(
        node.client.inspect("t").await.expect("inspect").handle,
        handle
    );
    node.stop().await;
    until("the task is dead", || !alive(handle.pid)).await;
}

#[tokio::test]
async fn an_ended_task_does_not_take_the_log_of_its_successor() {
    let mut node = Node::new().await;
    let first = node.script("a", "echo one");
    node.client.start_task(first.clone()).await.expect("start");
    node.client.wait("a").await.expect("wait");
    let args = vec!["-c".into(), "sleep 0.3; seq 1 50000".into()];
    let second = TaskSpec {
        id: "b".into(),
        args,
        ..first
    };
    node.client.start_task(second).await.expect("start");
    node.kill_supervisor().await;
    node.client.wait("b").await.expect("wait");
    let log = node.log("a.stdout.0");
    assert_counts(log.strip_prefix("one\n").expect("first"), 1, 50_000);
    node.stop().await;
}

#[tokio::test]
async fn a_directory_has_one_supervisor() {
    let node = Node::new().await;
    let pid = node.supervisor_pid();
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(pid)).expect("session");
    assert_eq!(session.as_raw_pid(), pid, "not a session of its own");
    let config = SupervisorConfig::new(node.state_dir());
    let second = tokio::task::spawn_blocking(move || nomad_supervisor::run(config))
        .await
        .expect("join");
    assert!(
        matches!(second, Err(RunError::AlreadyRunning { .. })),
        "{second:?}"
    );
    node.client.ping().await.expect("the first is unharmed");
    node.stop().await;
}

#[tokio::test]
async fn a_deep_directory_and_a_missing_supervisor() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let deep = tmp.path().join("a".repeat(100)).join("b".repeat(60));
    let launch = nomad_supervisor::testing::launch("supervisor_entry", &deep).expect("launch");
    let client = SupervisorClient::connect(ClientOptions::new(&deep, Some(launch)))
        .await
        .expect("connect");
    client.ping().await.expect("ping");
    client.shutdown(true).await.expect("shutdown");
    drop(client);

    let options = ClientOptions {
        connect_timeout: Duration::from_millis(30),
        ..ClientOptions::new(tmp.path(), None)
    };
    let error = SupervisorClient::connect(options)
        .await
        .err()
        .expect("nobody there");
    assert!(error.to_string().starts_with("connect to "), "{error}");
}

#[tokio::test]
async fn garbage_on_the_socket_harms_nobody_else() {
    use tokio::io::AsyncWriteExt;
    let node = Node::new().await;
    for garbage in [
        &b"\xff\xff\xff\xffxx"[..],
        b"\0\0\0\x04\xc1\xc1\xc1\xc1",
        b"\0\0",
    ] {
        let mut socket =
            tokio::net::UnixStream::connect(node.state_dir().join(nomad_supervisor::SOCKET_NAME))
                .await
                .expect("connect");
        socket.write_all(garbage).await.expect("write");
        socket.shutdown().await.expect("shutdown");
    }
    node.client.ping().await.expect("ping");
    node.stop().await;
}

#[tokio::test]
async fn starts_interrupted_by_deaths_never_run_a_program_twice() {
    const TASKS: usize = 60;
    let mut node = Node::new().await;
    let ran = |n: usize| node.logs().join(format!("ran{n}"));
    let paths: Vec<_> = (0..TASKS).map(ran).collect();
    let starts: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| {
            let client = node.client.clone();
            let id = format!("t{n}");
            let spec = Node::quiet(&id, &format!("echo ran >> {}", path.display()));
            tokio::spawn(async move {
                client.start_task(spec).await.expect("start");
                client.wait(&id).await.expect("wait").status
            })
        })
        .collect();
    for _ in 0..5 {
        node.kill_supervisor().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let exit_info = node.client.capabilities().exit_info;
    for (start, path) in starts.into_iter().zip(&paths) {
        let status = start.await.expect("join");
        let runs = std::fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .count();
        assert_eq!(runs, 1, "a program ran {runs} times, ended by {status:?}");
        assert!(status.success() || !exit_info, "{status:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn what_tasks_say_and_how_they_end_is_known_although_agent_and_supervisor_were_dead() {
    const TASKS: usize = 20;
    let node = Node::new().await;
    let exit_info = node.client.capabilities().exit_info;
    let id = |n: usize| format!("t{n}");
    let mut pids = Vec::new();
    for n in 0..TASKS {
        let script = format!("sleep 0.3; echo last words; exit {n}");
        let started = node.client.start_task(node.script(&id(n), &script)).await;
        pids.push(started.expect("start").pid);
    }
    let supervisor = node.supervisor_pid();
    // Stopped while its client goes, so that nobody starts another one.
    let node = node.without_client().await;
    signal(supervisor, Signal::KILL);
    until("all have ended", || pids.iter().all(|pid| !alive(*pid))).await;
    let client = node.another_client().await;
    for n in 0..TASKS {
        let status = client.wait(&id(n)).await.expect("wait").status;
        if exit_info {
            assert_eq!(status, ExitStatus::Exited { code: n as i32 });
        } else {
            assert_eq!(status, ExitStatus::Lost);
        }
        assert_eq!(node.log(&format!("t{n}.stdout.0")), "last words\n");
    }
    client.shutdown(true).await.expect("shutdown");
    until("the descriptor store has ended", || {
        node.fdstores().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_descriptor_store_that_was_killed_is_started_again_and_holds_what_runs() {
    let node = Node::new().await;
    let script = "sleep 0.6; echo last words; exit 4";
    let first = node.client.start_task(node.script("first", script)).await;
    let [store] = node.fdstores()[..] else {
        panic!("not one descriptor store: {:?}", node.fdstores());
    };
    signal(store, Signal::KILL);
    until("the store is gone", || node.fdstores().is_empty()).await;
    // The next start notices.
    node.client
        .start_task(Node::quiet("second", "exit 5"))
        .await
        .expect("start");
    assert_eq!(node.fdstores().len(), 1);
    let (exit_info, supervisor) = (node.client.capabilities().exit_info, node.supervisor_pid());
    let node = node.without_client().await;
    signal(supervisor, Signal::KILL);
    let pid = first.expect("start").pid;
    until("the task has ended", || !alive(pid)).await;
    let client = node.another_client().await;
    let status = client.wait("first").await.expect("wait").status;
    assert!(
        status == ExitStatus::Exited { code: 4 } || !exit_info,
        "{status:?}"
    );
    assert_eq!(node.log("first.stdout.0"), "last words\n");
    client.shutdown(true).await.expect("shutdown");
}
