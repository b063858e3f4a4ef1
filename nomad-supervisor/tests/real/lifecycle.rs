//! Starting, ending, killing, removing, measuring.

use std::time::{Duration, Instant};

use nomad_supervisor::{
    CgroupSpec, Credentials, ErrorKind, Event, ExitStatus, Limits, Notice, ResourceLimit, TaskSpec,
};

use crate::node::{Node, alive, slice, until};

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    let node = Node::new().await;
    for (script, status, code) in [
        ("exit 0", ExitStatus::Exited { code: 0 }, 0),
        ("exit 7", ExitStatus::Exited { code: 7 }, 7),
        (
            "kill -9 $$",
            ExitStatus::Signaled {
                signal: 9,
                core_dumped: false,
            },
            137,
        ),
        (
            "kill -2 $$",
            ExitStatus::Signaled {
                signal: 2,
                core_dumped: false,
            },
            130,
        ),
    ] {
        node.client
            .start_task(Node::quiet(script, script))
            .await
            .expect("start");
        let exit = node.client.wait(script).await.expect("wait");
        assert_eq!(
            (exit.status, exit.status.exit_code()),
            (status, Some(code)),
            "{script}"
        );
        // Asking again is answered again, until it is removed.
        assert_eq!(node.client.wait(script).await.expect("wait"), exit);
        node.client.remove(script).await.expect("remove");
        assert_eq!(
            node.client.wait(script).await.expect_err("gone").kind(),
            Some(ErrorKind::NotFound)
        );
    }
    assert_eq!(node.client.list().await.expect("list"), []);
    node.stop().await;
}

#[tokio::test]
async fn a_task_gets_exactly_its_environment_directory_and_limits() {
    let node = Node::new().await;
    let mut spec = node.script(
        "t",
        "env | sort; pwd; ulimit -n; ulimit -c; cat /proc/self/oom_score_adj; echo \"$@\"",
    );
    spec.args.extend(["sh".into(), "a b".into(), "c".into()]);
    spec.env.insert("GREETING".into(), "a=b\nc".into());
    spec.cwd = node.logs();
    spec.rlimits = vec![
        ResourceLimit {
            resource: libc::RLIMIT_CORE,
            soft: 0,
            hard: 0,
        },
        ResourceLimit {
            resource: libc::RLIMIT_NOFILE,
            soft: 77,
            hard: 99,
        },
    ];
    spec.oom_score_adj = Some(321);
    node.client.start_task(spec).await.expect("start");
    assert!(node.client.wait("t").await.expect("wait").status.success());
    let logs = node.logs();
    let expected = format!(
        "GREETING=a=b\nPATH=/usr/bin:/bin\nPWD={0}\nc\n{0}\n77\n0\n321\na b c\n",
        logs.display()
    );
    assert_eq!(
        node.log("t.stdout.0"),
        expected,
        "{}",
        node.log("t.stderr.0")
    );
    node.stop().await;
}

#[tokio::test]
async fn a_task_can_run_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let node = Node::new().await;
    // Through /dev/stderr it opens its FIFO once more, which takes the FIFO's owner.
    let script = "id -u; id -g; id -G; cat /proc/self/status | grep ^Sig >/dev/null; echo again > /dev/stderr";
    let credentials = Some(Credentials {
        uid: 65534,
        gid: 65533,
        groups: vec![65533, 65532],
    });
    node.client
        .start_task(TaskSpec {
            credentials,
            ..node.script("t", script)
        })
        .await
        .expect("start");
    assert!(
        node.client.wait("t").await.expect("wait").status.success(),
        "{}",
        node.log("t.stderr.0")
    );
    assert_eq!(node.log("t.stdout.0"), "65534\n65533\n65533 65532\n");
    assert_eq!(node.log("t.stderr.0"), "again\n");
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_with_the_reason() {
    let node = Node::new().await;
    let missing = TaskSpec {
        command: "/no/such/program".into(),
        ..node.script("t", "")
    };
    let error = node
        .client
        .start_task(missing)
        .await
        .expect_err("missing program");
    assert_eq!(error.kind(), Some(ErrorKind::Start));
    assert_eq!(
        error.to_string(),
        "execute the program /no/such/program: No such file or directory (os error 2)"
    );

    let nowhere = TaskSpec {
        cwd: "/no/such/directory".into(),
        ..node.script("t", "")
    };
    let error = node
        .client
        .start_task(nowhere)
        .await
        .expect_err("missing directory");
    assert!(
        error
            .to_string()
            .starts_with("enter the working directory /no/such/directory: "),
        "{error}"
    );

    let mut no_logs = node.script("t", "");
    no_logs.logs.as_mut().expect("logs").dir = "/no/such/logs".into();
    let error = node
        .client
        .start_task(no_logs)
        .await
        .expect_err("missing log directory");
    assert!(
        error
            .to_string()
            .starts_with("open log directory /no/such/logs: "),
        "{error}"
    );

    // Nothing is left of the attempts, and the name is free.
    assert_eq!(node.client.list().await.expect("list"), []);
    assert!(std::fs::read_dir(node.logs()).expect("logs").all(|e| {
        !e.expect("entry")
            .file_name()
            .to_string_lossy()
            .ends_with("fifo")
    }));
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let again = node
        .client
        .start_task(Node::quiet("t", "true"))
        .await
        .expect_err("twice");
    assert_eq!(again.kind(), Some(ErrorKind::AlreadyExists));
    assert_eq!(
        node.client.remove("t").await.expect_err("running").kind(),
        Some(ErrorKind::Running)
    );
    assert_eq!(
        node.client
            .signal("x", 1)
            .await
            .expect_err("unknown")
            .kind(),
        Some(ErrorKind::NotFound)
    );
    node.stop().await;
}

#[tokio::test]
async fn a_signal_goes_to_the_main_process() {
    let node = Node::new().await;
    let script = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.01; done";
    node.client
        .start_task(node.script("t", script))
        .await
        .expect("start");
    until("it is ready", || node.log("t.stdout.0") == "ready\n").await;
    node.client
        .signal("t", libc::SIGUSR1)
        .await
        .expect("signal");
    assert_eq!(
        node.client.wait("t").await.expect("wait").status,
        ExitStatus::Exited { code: 3 }
    );
    assert_eq!(node.log("t.stdout.0"), "ready\ngot it\n");
    let late = node
        .client
        .signal("t", libc::SIGUSR1)
        .await
        .expect_err("ended");
    assert_eq!(late.kind(), Some(ErrorKind::NotRunning));
    node.stop().await;
}

#[tokio::test]
async fn a_task_that_ignores_the_signal_is_killed_after_the_timeout() {
    let node = Node::new().await;
    let script = "trap '' INT; echo ready; while :; do sleep 0.05; done";
    node.client
        .start_task(node.script("t", script))
        .await
        .expect("start");
    until("it is ready", || node.log("t.stdout.0") == "ready\n").await;
    let begun = Instant::now();
    let exit = node
        .client
        .kill("t", None, Some(Duration::from_millis(300)))
        .await
        .expect("kill");
    assert_eq!(
        exit.status,
        ExitStatus::Signaled {
            signal: 9,
            core_dumped: false
        }
    );
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(5),
        "{took:?}"
    );
    // Killing what has ended gives its end.
    assert_eq!(node.client.kill("t", None, None).await.expect("kill"), exit);
    node.stop().await;
}

#[tokio::test]
async fn a_task_that_obeys_is_not_waited_for() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let begun = Instant::now();
    let exit = node
        .client
        .kill("t", Some(libc::SIGTERM), Some(Duration::from_secs(20)))
        .await
        .expect("kill");
    assert_eq!(exit.status.exit_code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(5));
    node.stop().await;
}

/// Parents, children and grandchildren, one of which has left the process group.
const TREE: &str = "sleep 31 & (sleep 32 & sleep 33) & setsid sh -c 'sleep 34 & sleep 35' & \
    sleep 0.1; ps -e -o pid,args | grep '[s]leep 3[1-5]' | awk '{print $1}'; echo done; ";

fn pids_of(log: &str) -> Vec<i32> {
    log.lines().filter_map(|l| l.parse().ok()).collect()
}

fn cgroup(name: &str) -> Option<CgroupSpec> {
    Some(CgroupSpec {
        path: format!("{}/{name}.scope", slice()),
        foreign: false,
    })
}

#[tokio::test]
async fn killing_takes_the_whole_tree() {
    let node = Node::new().await;
    let tracked = node.client.capabilities().cgroup_root.is_some();
    let spec = TaskSpec {
        cgroup: cgroup("tree"),
        ..node.script("t", &format!("{TREE} wait"))
    };
    let handle = node.client.start_task(spec).await.expect("start");
    until("the tree stands", || {
        node.log("t.stdout.0").ends_with("done\n")
    })
    .await;
    let pids = pids_of(&node.log("t.stdout.0"));
    assert!(pids.len() >= 5, "{pids:?}");
    assert_eq!(handle.cgroup.is_some(), tracked, "{:?}", handle.warnings);
    node.client
        .kill("t", Some(libc::SIGINT), Some(Duration::from_millis(200)))
        .await
        .expect("kill");
    node.client.remove("t").await.expect("remove");
    if tracked {
        until("all are dead", || pids.iter().all(|p| !alive(*p))).await;
        assert!(
            !handle.cgroup.expect("cgroup").exists(),
            "the cgroup is left behind"
        );
    } else {
        eprintln!(
            "skipped: no writable cgroup2 hierarchy, so what left the process group is not followed"
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn what_an_ended_task_left_running_is_killed_when_it_is_removed() {
    let node = Node::new().await;
    // Without a cgroup: the process group alone, whose leader is gone.
    node.client
        .start_task(node.script("t", "sleep 36 & echo $!"))
        .await
        .expect("start");
    assert!(node.client.wait("t").await.expect("wait").status.success());
    let left = pids_of(&node.log("t.stdout.0"))[0];
    assert!(alive(left));
    node.client.remove("t").await.expect("remove");
    until("it is dead", || !alive(left)).await;
    node.stop().await;
}

#[tokio::test]
async fn statistics_come_for_one_and_for_all() {
    let node = Node::new().await;
    let busy = "i=0; while :; do i=$((i+1)); done";
    node.client
        .start_task(TaskSpec {
            cgroup: cgroup("busy"),
            ..Node::quiet("busy", busy)
        })
        .await
        .expect("start");
    node.client
        .start_task(Node::quiet("idle", "sleep 20"))
        .await
        .expect("start");
    let mut cpu_ns = 0;
    for _ in 0..200 {
        let stats = node.client.stats("busy").await.expect("stats");
        assert!(
            stats.memory.rss_bytes > 0 && stats.pids.len() == 1,
            "{stats:?}"
        );
        cpu_ns = stats.cpu.user_ns + stats.cpu.system_ns;
        if cpu_ns > 20_000_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(cpu_ns > 20_000_000, "a busy task used {cpu_ns} ns");
    let all = node.client.stats_all().await.expect("stats");
    assert_eq!(
        all.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        ["busy", "idle"]
    );
    assert!(all[1].1.memory.rss_bytes > 0);
    node.stop().await;
}

#[tokio::test]
async fn limits_are_written_or_named_as_missing() {
    let node = Node::new().await;
    let limits = Limits {
        pids_max: Some(50),
        memory_max_bytes: Some(64 << 20),
        ..Limits::default()
    };
    let spec = TaskSpec {
        cgroup: cgroup("limits"),
        limits,
        ..Node::quiet("t", "sleep 20")
    };
    let handle = node.client.start_task(spec).await.expect("start");
    for (file, value) in [("pids.max", "50\n"), ("memory.max", "67108864\n")] {
        let set = handle
            .cgroup
            .as_ref()
            .is_some_and(|c| std::fs::read_to_string(c.join(file)).is_ok_and(|v| v == value));
        let told = handle
            .warnings
            .iter()
            .any(|w| w.contains(file) || handle.cgroup.is_none());
        assert!(set || told, "{file}: {:?}", handle.warnings);
    }
    node.stop().await;
}

#[tokio::test]
async fn events_are_pushed() {
    let mut node = Node::new().await;
    let handle = node
        .client
        .start_task(Node::quiet("t", "exit 4"))
        .await
        .expect("start");
    let exit = node.client.wait("t").await.expect("wait");
    let mut seen = Vec::new();
    while let Ok(Notice::Task(event)) = node.notices.recv().await {
        seen.push(event);
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(
        seen,
        [
            Event::Started {
                id: "t".into(),
                pid: handle.pid
            },
            Event::Exited {
                id: "t".into(),
                exit
            }
        ]
    );
    node.stop().await;
}

#[tokio::test]
async fn many_tasks_start_quickly() {
    const TASKS: usize = 200;
    let node = Node::new().await;
    let begun = Instant::now();
    let runs = (0..TASKS).map(|n| {
        let client = node.client.clone();
        let spec = TaskSpec {
            command: "/bin/true".into(),
            args: vec![],
            ..node.script(&format!("t{n}"), "")
        };
        async move {
            let id = spec.id.clone();
            client.start_task(spec).await.expect("start");
            assert!(client.wait(&id).await.expect("wait").status.success());
            client.remove(&id).await.expect("remove");
        }
    });
    futures::future::join_all(runs).await;
    let took = begun.elapsed();
    eprintln!("{TASKS} x /bin/true started, waited for and removed in {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_task_enters_the_network_namespace_it_is_given() {
    let made = std::process::Command::new("unshare")
        .args(["-n", "sleep", "10"])
        .spawn();
    let Ok(mut holder) = made else {
        eprintln!("skipped: unshare is not installed");
        return;
    };
    let path = format!("/proc/{}/ns/net", holder.id());
    let own = std::fs::read_link("/proc/self/ns/net").expect("own namespace");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let Some(theirs) = std::fs::read_link(&path)
        .ok()
        .filter(|theirs| *theirs != own)
    else {
        eprintln!("skipped: network namespaces cannot be made here");
        return;
    };
    let node = Node::new().await;
    let spec = TaskSpec {
        network_namespace: Some(path.into()),
        ..node.script("t", "readlink /proc/self/ns/net")
    };
    node.client.start_task(spec).await.expect("start");
    node.client.wait("t").await.expect("wait");
    assert_eq!(node.log("t.stdout.0").trim_end(), theirs.to_string_lossy());
    holder.kill().expect("kill");
    holder.wait().expect("reap");
    let gone = TaskSpec {
        network_namespace: Some("/no/such/namespace".into()),
        ..Node::quiet("u", "true")
    };
    let error = node.client.start_task(gone).await.expect_err("missing");
    assert_eq!(
        error.to_string(),
        "open /no/such/namespace: No such file or directory (os error 2)"
    );
    node.stop().await;
}
