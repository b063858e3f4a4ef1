//! `mock_driver`: every knob does what it says, in pretended time.

use std::time::Duration;

use nomad_drivers::mock::{MockConfig, MockDriver};
use nomad_drivers::{
    Driver, DriverError, ExecRequest, Health, LogSettings, TaskConfig, TaskDirs, TaskState,
};
use serde_json::{Value, json};
use tokio::time::Instant;

fn task(config: Value) -> TaskConfig {
    let Value::Object(config) = config else {
        panic!("a map")
    };
    TaskConfig {
        id: "t".into(),
        task: "web".into(),
        config,
        ..TaskConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn it_runs_for_its_time_and_ends_as_told() {
    let driver = MockDriver::default();
    let begun = Instant::now();
    let config = json!({"start_block_for": "2s", "run_for": "10s", "exit_code": 3, "exit_signal": 9, "exit_err_msg": "oops"});
    driver.start_task(task(config)).await.expect("start");
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(
        driver.inspect_task("t").await.expect("inspect").state,
        TaskState::Running
    );
    let exit = driver.wait_task("t").await.expect("wait");
    assert_eq!(begun.elapsed().as_secs(), 12);
    assert_eq!(
        (exit.exit_code, exit.signal, exit.error.as_deref()),
        (3, 9, Some("oops"))
    );
    assert_eq!(
        driver.inspect_task("t").await.expect("inspect").exit,
        Some(exit)
    );
    driver.destroy_task("t", false).await.expect("destroy");
    assert!(matches!(
        driver.wait_task("t").await,
        Err(DriverError::NotFound { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn it_fails_to_start_as_told() {
    let driver = MockDriver::default();
    for recoverable in [true, false] {
        let config = json!({"start_error": "no luck", "start_error_recoverable": recoverable});
        let error = driver
            .start_task(task(config))
            .await
            .expect_err("told to fail");
        assert_eq!(
            (error.to_string().as_str(), error.recoverable()),
            ("no luck", recoverable)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_takes_its_time_to_be_killed() {
    let driver = MockDriver::default();
    for (kill_after, timeout, seconds) in [("3s", 10, 3), ("30s", 5, 5), ("0s", 5, 0)] {
        driver
            .start_task(task(json!({"run_for": "1h", "kill_after": kill_after})))
            .await
            .expect("start");
        let begun = Instant::now();
        assert!(driver.destroy_task("t", false).await.is_err(), "it runs");
        driver
            .stop_task("t", "SIGINT", Duration::from_secs(timeout))
            .await
            .expect("stop");
        assert_eq!(begun.elapsed().as_secs(), seconds);
        assert_eq!(driver.wait_task("t").await.expect("wait").exit_code, 0);
        driver.destroy_task("t", false).await.expect("destroy");
    }
    driver
        .start_task(task(json!({"run_for": "1h", "kill_after": "1h"})))
        .await
        .expect("start");
    driver.destroy_task("t", true).await.expect("by force");
}

#[tokio::test(start_paused = true)]
async fn it_has_a_network_if_told() {
    let driver = MockDriver::default();
    let config =
        json!({"driver_ip": "10.0.0.9", "driver_advertise": true, "driver_port_map": "http:8080"});
    let network = driver
        .start_task(task(config))
        .await
        .expect("start")
        .network
        .expect("network");
    assert_eq!(
        (
            network.ip.as_str(),
            network.auto_advertise,
            network.port_map["http"]
        ),
        ("10.0.0.9", true, 8080)
    );
    let bad = driver
        .start_task(task(json!({"driver_port_map": "http:x"})))
        .await
        .expect_err("bad port");
    assert_eq!(bad.to_string(), "invalid port \"x\" in driver_port_map");
}

#[tokio::test(start_paused = true)]
async fn its_plugin_may_exit_and_the_task_is_found_again() {
    let driver = MockDriver::default();
    let started = driver
        .start_task(task(json!({"run_for": "10s", "plugin_exit_after": "2s"})))
        .await
        .expect("start");
    let error = driver.wait_task("t").await.expect_err("the plugin exits");
    assert_eq!(error.to_string(), "the plugin has exited");
    let again = MockDriver::default();
    again.recover_task(&started.handle).await.expect("recover");
    assert!(again.wait_task("t").await.expect("wait").successful());
}

#[tokio::test(start_paused = true)]
async fn signals_and_commands_answer_as_told() {
    let driver = MockDriver::default();
    let config = json!({
        "run_for": "1h", "signal_error": "deaf",
        "exec_command": {"run_for": "1s", "exit_code": 5, "stdout_string": "a", "stdout_repeat": 2, "stderr_string": "b"},
    });
    driver.start_task(task(config)).await.expect("start");
    assert_eq!(
        driver
            .signal_task("t", "SIGHUP")
            .await
            .expect_err("deaf")
            .to_string(),
        "deaf"
    );
    let request = ExecRequest {
        command: vec!["x".into()],
        ..ExecRequest::default()
    };
    let done = driver
        .exec_task("t", request.clone(), Duration::from_secs(5))
        .await
        .expect("exec");
    assert_eq!(
        (
            done.stdout.as_slice(),
            done.stderr.as_slice(),
            done.exit.exit_code
        ),
        (&b"aaa"[..], &b"b"[..], 5)
    );
    let late = driver
        .exec_task("t", request, Duration::from_millis(10))
        .await;
    assert!(matches!(late, Err(DriverError::Timeout { .. })));
}

#[tokio::test(start_paused = true)]
async fn it_prints_into_rotated_files() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let config = json!({"run_for": "20s", "stdout_string": "12345\n", "stdout_repeat": 9, "stdout_repeat_duration": "1s",
        "stderr_string": "e"});
    let config = TaskConfig {
        dirs: TaskDirs {
            log_dir: tmp.path().to_owned(),
            ..TaskDirs::default()
        },
        logs: Some(LogSettings {
            max_files: 2,
            max_file_size_bytes: 12,
        }),
        ..task(config)
    };
    let driver = MockDriver::default();
    driver.start_task(config).await.expect("start");
    driver.wait_task("t").await.expect("wait");
    let mut files: Vec<_> = std::fs::read_dir(tmp.path())
        .expect("logs")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["web.stderr.0", "web.stdout.3", "web.stdout.4"]);
    assert_eq!(
        std::fs::read_to_string(tmp.path().join("web.stdout.4")).expect("log"),
        "12345\n12345\n"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_shut_down_now_and_then() {
    let config = MockConfig {
        shutdown_periodic_after: 10,
        shutdown_periodic_duration: 5,
        ..MockConfig::default()
    };
    let driver = MockDriver::new(config);
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(driver.fingerprint().await.health);
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    use Health::{Healthy, Undetected};
    assert_eq!(
        seen,
        [Healthy, Healthy, Undetected, Healthy, Healthy, Undetected]
    );
}
