//! Lives of allocations.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use nomad_client::ExecOptions;
use nomad_core::alloc::{ClientStatus, DesiredStatus};
use nomad_core::job::{JobType, LifecycleHook, TaskLifecycle};
use nomad_drivers::ExecOutput;

use crate::world::{World, kinds, shell};

#[tokio::test]
async fn a_batch_task_runs_and_its_output_is_read() {
    let world = World::new().await;
    let script = "echo $NOMAD_TASK_NAME in $NOMAD_ALLOC_ID; test -w $NOMAD_TASK_DIR && echo ok";
    let alloc = World::alloc(JobType::Batch, vec![shell("t", script)]);
    let begun = Instant::now();
    let id = world.assign(alloc);
    let state = world.status(id, ClientStatus::Complete).await;
    println!("assigned to complete: {:?}", begun.elapsed());
    assert_eq!(
        kinds(&state, "t"),
        ["Received", "Task Setup", "Started", "Terminated"]
    );
    assert_eq!(state.client_description, "All tasks have completed");
    assert_eq!(world.stdout(id, "t").await, format!("t in {id}\nok\n"));
    world.end().await;
}

#[tokio::test]
async fn a_failing_task_is_restarted_once_and_fails() {
    let world = World::new().await;
    let alloc = World::alloc(JobType::Batch, vec![shell("t", "echo run; exit 7")]);
    let id = world.assign(alloc);
    let state = world.status(id, ClientStatus::Failed).await;
    let task = &state.task_states["t"];
    assert_eq!((task.restarts, task.failed), (1, true));
    let texts: Vec<&str> = task
        .events
        .iter()
        .map(|event| event.display_message.as_str())
        .collect();
    assert_eq!(texts[3], "Exit Code: 7");
    assert_eq!(
        texts.last(),
        Some(&"Exceeded allowed attempts 1 in interval 1h0m0s and mode is \"fail\"")
    );
    world.until_stdout(id, "t", "run\nrun\n").await;
    world.end().await;
}

#[tokio::test]
async fn a_service_is_stopped_with_its_signal() {
    let world = World::new().await;
    let mut task = shell(
        "web",
        "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done",
    );
    task.kill_signal = "SIGTERM".to_owned();
    let alloc = World::alloc(JobType::Service, vec![task]);
    let id = world.assign(alloc.clone());
    world.until_stdout(id, "web", "up\n").await;
    let mut stopped = alloc;
    stopped.desired_status = DesiredStatus::Stop;
    stopped.alloc_modify_index = 2;
    world.assign(stopped);
    let state = world.status(id, ClientStatus::Complete).await;
    assert_eq!(
        kinds(&state, "web"),
        [
            "Received",
            "Task Setup",
            "Started",
            "Killing",
            "Terminated",
            "Killed"
        ]
    );
    assert_eq!(world.stdout(id, "web").await, "up\nbye\n");
    world.end().await;
}

#[tokio::test]
async fn hooks_run_in_their_stages() {
    let world = World::new().await;
    let hook = |name: &str, hook| {
        let mut task = shell(name, &format!("echo {name} >> $NOMAD_ALLOC_DIR/data/order"));
        task.lifecycle = Some(TaskLifecycle {
            hook,
            sidecar: false,
        });
        task
    };
    let tasks = vec![
        hook("z-first", LifecycleHook::Prestart),
        shell("main", "echo main >> $NOMAD_ALLOC_DIR/data/order"),
        hook("a-last", LifecycleHook::Poststop),
    ];
    let alloc = World::alloc(JobType::Batch, tasks);
    let id = world.assign(alloc);
    world.status(id, ClientStatus::Complete).await;
    let mut file = world.client.fs_open(id, "alloc/data/order").await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    assert_eq!(text, "z-first\nmain\na-last\n");
    world.end().await;
}

#[tokio::test]
async fn users_restart_signal_measure_and_look_inside() {
    let world = World::new().await;
    let task = shell(
        "web",
        "trap 'echo got it' USR1; echo up; while :; do sleep 0.01; done",
    );
    let alloc = World::alloc(JobType::Service, vec![task]);
    let id = world.assign(alloc);
    world.until_stdout(id, "web", "up\n").await;

    world
        .client
        .signal_alloc(id, "web", "SIGUSR1")
        .await
        .unwrap();
    world.until_stdout(id, "web", "up\ngot it\n").await;
    let error = world.client.signal_alloc(id, "zzz", "SIGUSR1").await;
    assert_eq!(error.unwrap_err().to_string(), "Task not found");
    let error = world.client.signal_alloc(id, "web", "SIGNOPE").await;
    assert_eq!(error.unwrap_err().to_string(), "invalid signal \"SIGNOPE\"");

    let usage = world.client.alloc_stats(id, "").await.unwrap();
    assert!(usage.tasks["web"].resource_usage.memory_stats.rss > 0);

    let options = ExecOptions {
        command: vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            "read x; echo $x $NOMAD_TASK_NAME; exit 4".to_owned(),
        ],
        ..ExecOptions::default()
    };
    let mut exec = world.client.exec(id, "web", options).await.unwrap();
    exec.stdin(Bytes::from_static(b"hello\n")).await.unwrap();
    exec.close_stdin().await.unwrap();
    let mut out = Vec::new();
    let status = loop {
        match exec.next().await.unwrap() {
            ExecOutput::Stdout(bytes) => out.extend_from_slice(&bytes),
            ExecOutput::Stderr(bytes) => panic!("{bytes:?}"),
            ExecOutput::Exited(status) => break status,
        }
    };
    assert_eq!(String::from_utf8(out).unwrap(), "hello web\n");
    assert_eq!(status.exit_code(), Some(4));

    let error = world.client.restart_alloc(id, "zz", false).unwrap_err();
    assert_eq!(error.to_string(), "Could not find task runner for task: zz");
    let error = world.client.restart_alloc(id, "web", true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "task name cannot be set when restarting all tasks"
    );
    world.client.restart_alloc(id, "web", false).unwrap();
    let state = world
        .until(id, |state| {
            let task = &state.task_states["web"];
            task.restarts == 1 && state.client_status == ClientStatus::Running
        })
        .await;
    let wanted = ["Restart Signaled", "Terminated", "Restarting", "Started"];
    let kinds = kinds(&state, "web");
    assert_eq!(kinds[kinds.len() - 4..], wanted);
    world.end().await;
}

#[tokio::test]
async fn mistakes_in_jobs_fail_the_task_with_a_reason() {
    let world = World::new().await;
    let mut unknown = shell("t", "true");
    unknown.driver = "no_such_driver".to_owned();
    let mut bad_config = shell("t", "echo ${no.such.thing}");
    bad_config
        .config
        .insert("argss".to_owned(), serde_json::json!(1));
    let mut missing = shell("t", "true");
    missing
        .config
        .insert("command".to_owned(), serde_json::json!("/no/such/program"));
    let mut artifact = shell("t", "true");
    artifact.artifacts = vec![Default::default()];
    for (task, text) in [
        (unknown, "failed to find driver \"no_such_driver\""),
        (
            bad_config,
            "config.args[1]: unknown variable \"no.such.thing\"",
        ),
        (missing, "not found in the task directory or path"),
        (artifact, "artifacts"),
    ] {
        let alloc = World::alloc(JobType::Batch, vec![task]);
        let id = world.assign(alloc);
        let state = world.status(id, ClientStatus::Failed).await;
        let texts: Vec<&str> = state.task_states["t"]
            .events
            .iter()
            .map(|event| event.display_message.as_str())
            .collect();
        assert!(
            texts.iter().any(|have| have.to_lowercase().contains(text)),
            "{text}: {texts:?}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn a_dispatched_payload_is_written() {
    let world = World::new().await;
    let mut task = shell("t", "cat $NOMAD_TASK_DIR/in/data.txt");
    task.dispatch_payload = Some(nomad_core::job::DispatchPayload {
        file: "in/data.txt".to_owned(),
    });
    let mut alloc = World::alloc(JobType::Batch, vec![task]);
    let job = Arc::make_mut(alloc.job.as_mut().unwrap());
    job.payload = b"payload!".to_vec();
    let id = world.assign(alloc);
    world.status(id, ClientStatus::Complete).await;
    assert_eq!(world.stdout(id, "t").await, "payload!");
    world.end().await;
}

#[tokio::test]
async fn tasks_outlive_the_agent() {
    let mut world = World::new().await;
    let script =
        "echo $$; while test ! -e $NOMAD_ALLOC_DIR/data/go; do sleep 0.01; done; echo done; exit 5";
    let alloc = World::alloc(JobType::Service, vec![shell("web", script)]);
    let id = world.assign(alloc.clone());
    let pid = loop {
        if world.client.alloc_state(id).unwrap().client_status == ClientStatus::Running {
            let text = world.stdout(id, "web").await;
            if text.ends_with('\n') {
                break text;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    };
    let before = world.client.alloc_state(id).unwrap();
    world.restart_agent().await;
    let after = world.status(id, ClientStatus::Running).await;
    assert_eq!(before.task_states, after.task_states, "nothing was counted");

    // It ends while no agent is there; the true code is told afterwards.
    world.client.shutdown().await;
    std::fs::write(world.path(id).join("alloc/data/go"), "").unwrap();
    let supervisor = world.supervisor().await;
    let task = supervisor.list().await.unwrap()[0].handle.id.clone();
    supervisor.wait(&task).await.unwrap();
    world.restart_agent().await;
    world.assign(alloc);
    let state = world
        .until(id, |state| state.task_states["web"].restarts == 1)
        .await;
    let texts: Vec<&str> = state.task_states["web"]
        .events
        .iter()
        .map(|event| event.display_message.as_str())
        .collect();
    assert!(texts.contains(&"Exit Code: 5"), "{texts:?}");
    let text = world.stdout(id, "web").await;
    assert!(text.starts_with(&format!("{pid}done\n")), "{text}");
    world.end().await;
}

#[tokio::test]
async fn a_process_that_no_allocation_owns_is_ended() {
    let mut world = World::new().await;
    let supervisor = world.supervisor().await;
    let spec = nomad_supervisor::TaskSpec {
        id: "stranger/t/1".to_owned(),
        command: "/bin/sleep".into(),
        args: vec!["1000".to_owned()],
        cwd: "/".into(),
        ..nomad_supervisor::TaskSpec::default()
    };
    supervisor.start_task(spec).await.unwrap();
    world.restart_agent().await;
    let deadline = Instant::now() + crate::world::PATIENCE;
    while !supervisor.list().await.unwrap().is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    world.end().await;
}

#[tokio::test]
async fn ended_allocations_are_collected_and_removed_ones_are_killed() {
    let world = World::new().await;
    let batch = World::alloc(JobType::Batch, vec![shell("t", "true")]);
    let ended = world.assign(batch);
    let service = World::alloc(JobType::Service, vec![shell("t", "sleep 1000")]);
    let running = world.assign(service);
    world.status(ended, ClientStatus::Complete).await;
    world.status(running, ClientStatus::Running).await;
    assert!(!world.client.gc(running).await);
    let deadline = Instant::now() + crate::world::PATIENCE;
    while world.client.gc_all().await == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    assert_eq!(world.client.alloc_ids(), [running]);
    assert!(!world.path(ended).exists());
    world.end().await;
}
