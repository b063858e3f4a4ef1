//! `raw_exec` with real processes. This binary is its own supervisor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use nomad_drivers::raw_exec::{RawExec, RawExecConfig};
use nomad_drivers::{
    Driver, DriverError, ExecOutput, ExecRequest, Health, LogSettings, TaskConfig, TaskDirs,
    TaskHandle, TaskResources, TaskState,
};
use nomad_supervisor::{ClientOptions, SupervisorClient, testing};
use serde_json::{Value, json};

/// Not a test of its own: the entry point of a supervisor started by the others.
#[test]
fn supervisor_entry() {
    testing::serve_if_asked();
}

struct Bench {
    tmp: tempfile::TempDir,
    supervisor: SupervisorClient,
    driver: RawExec,
}

impl Bench {
    async fn new(config: RawExecConfig) -> Self {
        let tmp = tempfile::tempdir().expect("temporary directory");
        for dir in ["alloc/logs", "web/local", "web/secrets"] {
            std::fs::create_dir_all(tmp.path().join(dir)).expect("mkdir");
        }
        let dir = tmp.path().join("state");
        let launch = testing::launch("supervisor_entry", &dir).expect("launch");
        let supervisor = SupervisorClient::connect(ClientOptions::new(dir, Some(launch)))
            .await
            .expect("connect");
        let driver = RawExec::new(&config, supervisor.clone()).expect("driver");
        Self {
            tmp,
            supervisor,
            driver,
        }
    }

    async fn enabled() -> Self {
        Self::new(RawExecConfig {
            enabled: true,
            ..RawExecConfig::default()
        })
        .await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn task(&self, config: Value) -> TaskConfig {
        let Value::Object(config) = config else {
            panic!("a map")
        };
        TaskConfig {
            id: "0aa1/web/00000001".into(),
            alloc_id: "0aa1".into(),
            task: "web".into(),
            env: BTreeMap::from([
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("SECRET_KEY".to_owned(), "s".to_owned()),
            ]),
            config,
            resources: TaskResources {
                cpu_mhz: 100,
                memory_mib: 64,
                ticks_per_percent: 24.0,
                cgroup: format!(
                    "{}/{}.scope",
                    slice(),
                    self.tmp.path().file_name().expect("name").display()
                ),
                ..TaskResources::default()
            },
            dirs: TaskDirs {
                alloc_dir: self.tmp.path().to_owned(),
                shared_alloc_dir: self.path("alloc"),
                task_dir: self.path("web"),
                local_dir: self.path("web/local"),
                secrets_dir: self.path("web/secrets"),
                log_dir: self.path("alloc/logs"),
            },
            logs: Some(LogSettings {
                max_files: 3,
                max_file_size_bytes: 1 << 20,
            }),
            kill_timeout: Duration::from_secs(5),
            ..TaskConfig::default()
        }
    }

    fn sh(&self, script: &str) -> TaskConfig {
        self.task(json!({"command": "/bin/sh", "args": ["-c", script]}))
    }

    async fn run(&self, task: TaskConfig) -> (i32, String) {
        let id = task.id.clone();
        self.driver.start_task(task).await.expect("start");
        let exit = self.driver.wait_task(&id).await.expect("wait");
        self.driver.destroy_task(&id, false).await.expect("destroy");
        (
            exit.exit_code,
            std::fs::read_to_string(self.path("alloc/logs/web.stdout.0")).expect("log"),
        )
    }

    async fn stop(self) {
        self.supervisor.shutdown(true).await.expect("shutdown");
        // The parent of the tests' cgroups goes with the last test that used it.
        if let Some(root) = &self.supervisor.capabilities().cgroup_root {
            let _ = std::fs::remove_dir(root.join(slice()));
        }
    }
}

/// The parent of this process's cgroups.
fn slice() -> String {
    format!("nomad-drivers-test-{}.slice", std::process::id())
}

const ID: &str = "0aa1/web/00000001";

#[tokio::test]
async fn a_task_runs_to_its_end_and_is_forgotten() {
    let bench = Bench::enabled().await;
    let (code, log) = bench.run(bench.sh("pwd; echo $SECRET_KEY; exit 3")).await;
    assert_eq!(
        (code, log),
        (3, format!("{}\ns\n", bench.path("web").display()))
    );
    assert!(matches!(
        bench.driver.wait_task(ID).await,
        Err(DriverError::NotFound { .. })
    ));
    assert!(matches!(
        bench.driver.inspect_task(ID).await,
        Err(DriverError::NotFound { .. })
    ));
    bench
        .driver
        .destroy_task(ID, false)
        .await
        .expect("twice is no error");
    bench.stop().await;
}

#[tokio::test]
async fn the_fingerprint_follows_the_configuration() {
    let bench = Bench::enabled().await;
    let on = bench.driver.fingerprint().await;
    assert_eq!(
        (on.health, on.description.as_str()),
        (Health::Healthy, "Healthy")
    );
    assert_eq!(
        on.attributes,
        BTreeMap::from([("driver.raw_exec".to_owned(), "true".to_owned())])
    );
    bench.stop().await;

    let bench = Bench::new(RawExecConfig::default()).await;
    assert_eq!(bench.driver.fingerprint().await.health, Health::Undetected);
    let error = bench
        .driver
        .start_task(bench.sh("true"))
        .await
        .expect_err("disabled");
    assert_eq!(
        error.to_string(),
        "driver raw_exec is disabled in the agent's configuration"
    );
    bench.stop().await;
}

#[tokio::test]
async fn mistakes_of_a_task_are_told_before_anything_starts() {
    let bench = Bench::enabled().await;
    let wrong = bench.task(json!({"comand": "x", "args": "y"}));
    let errors = bench.driver.validate(&wrong.config).expect_err("mistakes");
    assert_eq!(errors.len(), 3);
    let error = bench.driver.start_task(wrong).await.expect_err("mistakes");
    assert!(
        error.to_string().ends_with("config.command: is required"),
        "{error}"
    );
    assert!(!error.recoverable());
    let error = bench
        .driver
        .start_task(bench.task(json!({"command": "no-such-tool"})))
        .await
        .expect_err("missing");
    assert_eq!(
        error.to_string(),
        "executable file \"no-such-tool\" not found in the task directory or PATH"
    );
    let unknown = TaskConfig {
        user: "no-such-user".into(),
        ..bench.sh("true")
    };
    let error = bench
        .driver
        .start_task(unknown)
        .await
        .expect_err("unknown user");
    assert_eq!(
        error.to_string(),
        "failed to identify user \"no-such-user\": unknown user"
    );
    let signal = TaskConfig {
        kill_signal: "SIGNOPE".into(),
        ..bench.sh("true")
    };
    assert_eq!(
        bench
            .driver
            .start_task(signal)
            .await
            .expect_err("signal")
            .to_string(),
        "unknown signal \"SIGNOPE\""
    );
    bench.stop().await;
}

#[tokio::test]
async fn denied_variables_and_users_are_kept_out() {
    let config = RawExecConfig {
        enabled: true,
        denied_envvars: vec!["SECRET_*".into()],
        denied_host_uids: "65534".into(),
        ..RawExecConfig::default()
    };
    let bench = Bench::new(config).await;
    let mut task = bench.task(json!({"command": "env", "denied_envvars": ["HOME*"]}));
    task.env.insert("HOMEWORK".into(), "x".into());
    assert_eq!(
        bench.run(task).await,
        (0, "PATH=/usr/bin:/bin\n".to_owned())
    );
    let nobody = TaskConfig {
        user: "65534".into(),
        ..bench.sh("true")
    };
    let error = bench.driver.start_task(nobody).await.expect_err("denied");
    assert_eq!(error.to_string(), "running as uid 65534 is disallowed");
    bench.stop().await;
}

#[tokio::test]
async fn files_of_the_task_are_found_and_made_executable() {
    let bench = Bench::enabled().await;
    std::fs::write(bench.path("web/local/tool"), "#!/bin/sh\necho mine; pwd\n").expect("write");
    let mut task = bench.task(json!({"command": "tool", "work_dir": "/usr"}));
    task.user = if rustix::process::geteuid().is_root() {
        "nobody".into()
    } else {
        String::new()
    };
    // Reachable by others.
    for dir in ["", "web", "web/local"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(bench.path(dir), std::fs::Permissions::from_mode(0o755))
            .expect("chmod");
    }
    assert_eq!(bench.run(task).await, (0, "mine\n/usr\n".to_owned()));
    bench.stop().await;
}

#[tokio::test]
async fn signals_and_stops_reach_the_task() {
    let bench = Bench::enabled().await;
    let log = bench.path("alloc/logs/web.stdout.0");
    let ready = async || {
        for _ in 0..2000 {
            if std::fs::read_to_string(&log).is_ok_and(|l| l.starts_with("ready")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not ready");
    };
    let mut task = bench
        .sh("trap 'echo hup' HUP; trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done");
    task.kill_signal = "SIGTERM".into();
    bench.driver.start_task(task).await.expect("start");
    ready().await;
    bench
        .driver
        .signal_task(ID, "SIGHUP")
        .await
        .expect("signal");
    assert!(matches!(
        bench.driver.signal_task(ID, "SIGX").await,
        Err(DriverError::Signal(_))
    ));
    assert!(
        matches!(
            bench.driver.destroy_task(ID, false).await,
            Err(DriverError::Failed(_))
        ),
        "it runs"
    );
    let status = bench.driver.inspect_task(ID).await.expect("inspect");
    assert_eq!((status.state, status.exit), (TaskState::Running, None));
    bench
        .driver
        .stop_task(ID, "", Duration::from_secs(10))
        .await
        .expect("stop");
    let exit = bench.driver.wait_task(ID).await.expect("wait");
    assert_eq!(
        (exit.exit_code, exit.signal, exit.successful()),
        (9, 0, false)
    );
    assert_eq!(std::fs::read_to_string(&log).expect("log"), "ready\nhup\n");
    assert_eq!(
        bench.driver.inspect_task(ID).await.expect("inspect").state,
        TaskState::Exited
    );
    bench.driver.destroy_task(ID, false).await.expect("destroy");

    let deaf = TaskConfig {
        id: "b".into(),
        logs: None,
        ..bench.sh("trap '' INT; while :; do sleep 0.02; done")
    };
    bench.driver.start_task(deaf).await.expect("start");
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench
        .driver
        .stop_task("b", "SIGINT", Duration::from_millis(100))
        .await
        .expect("stop");
    let exit = bench.driver.wait_task("b").await.expect("wait");
    assert_eq!((exit.exit_code, exit.signal), (137, 9));
    bench.stop().await;
}

#[tokio::test]
async fn a_task_is_found_again_by_its_handle() {
    let bench = Bench::enabled().await;
    let started = bench
        .driver
        .start_task(bench.sh("sleep 0.4; exit 6"))
        .await
        .expect("start");
    let kept = serde_json::to_string(&started.handle).expect("encode");
    // A restarted agent: a new driver, a new client, the handle from its state.
    let config = RawExecConfig {
        enabled: true,
        ..RawExecConfig::default()
    };
    let launch = testing::launch("supervisor_entry", &bench.path("state")).expect("launch");
    let client = SupervisorClient::connect(ClientOptions::new(bench.path("state"), Some(launch)))
        .await
        .expect("connect");
    let driver = RawExec::new(&config, client).expect("driver");
    let handle: TaskHandle = serde_json::from_str(&kept).expect("decode");
    assert!(
        matches!(
            driver.wait_task(ID).await,
            Err(DriverError::NotFound { .. })
        ),
        "not yet"
    );
    driver.recover_task(&handle).await.expect("recover");
    assert_eq!(driver.wait_task(ID).await.expect("wait").exit_code, 6);
    driver
        .recover_task(&handle)
        .await
        .expect("also when it has ended");

    let mut stranger = handle.clone();
    stranger.driver_state["pid"] = json!(1);
    assert!(matches!(
        driver.recover_task(&stranger).await,
        Err(DriverError::BadHandle { .. })
    ));
    driver.destroy_task(ID, false).await.expect("destroy");
    assert!(matches!(
        driver.recover_task(&handle).await,
        Err(DriverError::NotFound { .. })
    ));
    bench.stop().await;
}

#[tokio::test]
async fn commands_run_beside_the_task() {
    let bench = Bench::enabled().await;
    std::fs::write(
        bench.path("web/local/hello"),
        "#!/bin/sh\necho hello $1; echo err >&2; exit 4\n",
    )
    .expect("write");
    bench
        .driver
        .start_task(bench.sh("sleep 20"))
        .await
        .expect("start");
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let request = |command: &[&str]| ExecRequest {
        command: command.iter().map(|s| (*s).to_owned()).collect(),
        env: env.clone(),
        ..ExecRequest::default()
    };
    let limit = Duration::from_secs(10);
    let done = bench
        .driver
        .exec_task(ID, request(&["hello", "you"]), limit)
        .await
        .expect("exec");
    assert_eq!(
        (done.stdout.as_slice(), done.stderr.as_slice()),
        (&b"hello you\n"[..], &b"err\n"[..])
    );
    assert_eq!(done.exit.exit_code, 4);
    // Only the end of a long output is kept.
    let done = bench
        .driver
        .exec_task(ID, request(&["seq", "1", "10000"]), limit)
        .await
        .expect("exec");
    assert_eq!(done.stdout.len(), 4096);
    assert!(done.stdout.ends_with(b"9999\n10000\n"));
    let late = bench
        .driver
        .exec_task(ID, request(&["sleep", "20"]), Duration::from_millis(200))
        .await;
    assert!(matches!(late, Err(DriverError::Timeout { .. })));
    let missing = bench
        .driver
        .exec_task(ID, request(&["no-such-tool"]), limit)
        .await
        .expect_err("missing");
    assert!(
        missing.to_string().contains("\"no-such-tool\" not found"),
        "{missing}"
    );
    assert!(
        bench
            .driver
            .exec_task(ID, request(&[]), limit)
            .await
            .is_err()
    );

    let mut stream = bench
        .driver
        .exec_stream(ID, request(&["cat"]))
        .await
        .expect("exec");
    stream
        .input
        .stdin(Bytes::from_static(b"ping"))
        .await
        .expect("stdin");
    assert_eq!(
        stream.output.next().await.expect("output"),
        ExecOutput::Stdout(Bytes::from_static(b"ping"))
    );
    bench.stop().await;
}

#[tokio::test]
async fn statistics_have_the_apis_shape() {
    let bench = Bench::enabled().await;
    bench
        .driver
        .start_task(bench.sh("while :; do :; done"))
        .await
        .expect("start");
    bench.driver.task_stats(ID).await.expect("first");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let usage = bench.driver.task_stats(ID).await.expect("second");
    let cpu = &usage.resource_usage.cpu_stats;
    assert!(cpu.percent > 5.0 && cpu.percent < 150.0, "{cpu:?}");
    assert!((cpu.total_ticks - cpu.percent * 24.0).abs() < 1e-6);
    assert!(usage.resource_usage.memory_stats.rss > 0 && usage.pids.len() == 1);
    let json = serde_json::to_value(&usage).expect("json");
    assert!(
        json["ResourceUsage"]["MemoryStats"]["RSS"].is_u64() && json["Timestamp"].is_i64(),
        "{json}"
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_foreign_cgroup_must_exist() {
    let bench = Bench::enabled().await;
    let task = bench.task(json!({"command": "/bin/true", "cgroup_v2_override": "no/such.scope"}));
    let error = bench
        .driver
        .start_task(task)
        .await
        .expect_err("missing cgroup");
    assert!(
        error.to_string().contains("no/such.scope")
            || error.to_string().contains("cgroups cannot be used"),
        "{error}"
    );
    let task =
        bench.task(json!({"command": "/bin/true", "cgroup_v1_override": [{"memory": "no/such"}]}));
    let error = bench
        .driver
        .start_task(task)
        .await
        .expect_err("missing cgroup");
    assert!(
        error
            .to_string()
            .starts_with("open /sys/fs/cgroup/memory/no/such/cgroup.procs: "),
        "{error}"
    );
    bench.stop().await;
}
