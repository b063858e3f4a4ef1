//! What tasks see, how they are ended, and what becomes of their output.

use crate::binary;
use serde_json::{Value, json};
use tests::{Agent, Options, http, job, process, until};

#[test]
fn tasks_see_their_environment_interpolated() {
    let binary = binary!();
    let options = Options {
        config: "client {\n  meta {\n    rack = \"r7\"\n  }\n}\n".to_owned(),
        ..Options::default()
    };
    let agent = Agent::with(&binary, &options);
    let mut shown = job::batch("env", 1, "env; pwd");
    shown["Job"]["Meta"] = json!({"Owner": "team"});
    let group = &mut shown["Job"]["TaskGroups"][0];
    group["Meta"] = json!({"tier": "${attr.kernel.name}"});
    let task = &mut group["Tasks"][0];
    task["Env"] = json!({
        "RACK": "${meta.rack}", "NODE": "${node.unique.name}", "WHO": "${NOMAD_JOB_NAME}-${NOMAD_ALLOC_INDEX}",
        "META": "${NOMAD_META_Owner}", "PLAIN": "a $b c",
    });
    task["Config"]["args"][1] = json!("env; echo arg=${NOMAD_TASK_NAME}/${node.datacenter}");
    agent.register(&shown);
    let alloc = agent.wait_allocs("env", "complete", 1).remove(0);
    let log = agent.logs(&alloc, "t", "stdout");
    let id = alloc["ID"].as_str().expect("id");
    let dir = agent.data_dir().join("alloc").join(id);
    let expected = [
        ("RACK", "r7".to_owned()),
        ("NODE", "it".to_owned()),
        ("WHO", "env-0".to_owned()),
        ("META", "team".to_owned()),
        ("PLAIN", "a $b c".to_owned()),
        ("NOMAD_ALLOC_ID", id.to_owned()),
        ("NOMAD_ALLOC_NAME", "env.g[0]".to_owned()),
        ("NOMAD_GROUP_NAME", "g".to_owned()),
        ("NOMAD_TASK_NAME", "t".to_owned()),
        ("NOMAD_JOB_ID", "env".to_owned()),
        ("NOMAD_NAMESPACE", "default".to_owned()),
        ("NOMAD_REGION", "global".to_owned()),
        ("NOMAD_DC", "dc1".to_owned()),
        ("NOMAD_CPU_LIMIT", "5".to_owned()),
        ("NOMAD_MEMORY_LIMIT", "10".to_owned()),
        ("NOMAD_META_OWNER", "team".to_owned()),
        ("NOMAD_META_Owner", "team".to_owned()),
        ("NOMAD_ALLOC_DIR", dir.join("alloc").display().to_string()),
        ("NOMAD_TASK_DIR", dir.join("t/local").display().to_string()),
        (
            "NOMAD_SECRETS_DIR",
            dir.join("t/secrets").display().to_string(),
        ),
        ("arg", "t/dc1".to_owned()),
    ];
    for (name, value) in expected {
        let line = format!("{name}={value}");
        assert!(
            log.lines().any(|have| have == line),
            "{line} is not in:\n{log}"
        );
    }
}

#[test]
fn kill_signal_and_kill_timeout_are_kept() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let mut group = json!({"Count": 1, "RestartPolicy": job::never()});
    let mut polite = job::task(
        "polite",
        "trap 'echo usr1; exit 0' USR1; echo up; while true; do sleep 0.01; done",
    );
    polite["KillSignal"] = json!("SIGUSR1");
    let mut deaf = job::task(
        "deaf",
        "trap 'echo heard' INT TERM; echo up; while true; do sleep 0.01; done",
    );
    deaf["KillTimeout"] = json!(300_000_000);
    group["Tasks"] = json!([polite, deaf]);
    agent.register(&job::job("kill", "service", group));
    let alloc = agent.wait_allocs("kill", "running", 1).remove(0);
    agent.wait_line(&alloc, "polite", "up");
    agent.wait_line(&alloc, "deaf", "up");
    let pids = process::of_alloc(&alloc);
    assert!(pids.len() >= 2, "{pids:?}");
    agent.stop_job("kill", "");
    let ended = agent.wait_alloc(alloc["ID"].as_str().expect("id"), &["complete", "failed"]);
    assert!(pids.iter().all(|pid| !process::alive(*pid)), "{pids:?}");
    assert!(agent.logs(&ended, "polite", "stdout").ends_with("usr1\n"));
    assert!(agent.logs(&ended, "deaf", "stdout").ends_with("heard\n"));
    let terminated = |task: &str| {
        let events = job::state(&ended, task)["Events"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        events
            .into_iter()
            .find(|e| e["Type"] == "Terminated")
            .expect("it terminated")
    };
    assert_eq!(terminated("polite")["Signal"], json!(0));
    assert_eq!(terminated("deaf")["Signal"], json!(9));
}

#[test]
fn signals_and_restarts_are_delivered() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let script = "trap 'echo hup' HUP; echo up $$; while true; do sleep 0.01; done";
    agent.register(&job::service("sig", 1, script));
    let alloc = agent.wait_allocs("sig", "running", 1).remove(0);
    let id = alloc["ID"].as_str().expect("id");
    let first = agent.wait_line(&alloc, "t", "up ");
    let body = json!({"Signal": "SIGHUP", "Task": "t"});
    let answer = agent.put(&format!("/v1/client/allocation/{id}/signal"), &body);
    assert_eq!(answer.expect("an answer").status, 200);
    agent.wait_line(&alloc, "t", "hup");
    let answer = agent.put(
        &format!("/v1/client/allocation/{id}/restart"),
        &json!({"TaskName": "t"}),
    );
    assert_eq!(answer.expect("an answer").status, 200);
    until("the task runs as another process", || {
        let log = agent.logs(&alloc, "t", "stdout");
        let pid = log
            .lines()
            .filter_map(|line| line.strip_prefix("up "))
            .next_back()?
            .to_owned();
        (pid != first).then_some(())
    });
    until("the restart is counted", || {
        let now = agent.json(&format!("/v1/allocation/{id}"));
        let counted = job::state(&now, "t")["Restarts"] == json!(1);
        (counted && now["ClientStatus"] == "running").then_some(())
    });
}

#[test]
fn logs_rotate_and_are_read_by_offset() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    // 48,000 lines of 64 bytes are 3 MB; two files of 1 MB are kept.
    let script = "seq -f '%063.0f' 1 48000; echo wrong >&2";
    let mut noisy = job::batch("noisy", 1, script);
    noisy["Job"]["TaskGroups"][0]["Tasks"][0]["LogConfig"] =
        json!({"MaxFiles": 2, "MaxFileSizeMB": 1});
    agent.register(&noisy);
    let alloc = agent.wait_allocs("noisy", "complete", 1).remove(0);
    let id = alloc["ID"].as_str().expect("id");
    assert_eq!(agent.logs(&alloc, "t", "stderr"), "wrong\n");
    let files = agent.json(&format!("/v1/client/fs/ls/{id}?path=/alloc/logs"));
    let mut sizes: Vec<(String, u64)> = files
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| {
            (
                f["Name"].as_str().expect("name").to_owned(),
                f["Size"].as_u64().expect("size"),
            )
        })
        .filter(|(name, _)| name.starts_with("t.stdout."))
        .collect();
    sizes.sort();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    assert!(sizes.iter().all(|(_, size)| *size <= 1 << 20), "{sizes:?}");
    let kept = agent.logs(&alloc, "t", "stdout");
    let total: u64 = sizes.iter().map(|(_, size)| size).sum();
    assert_eq!(kept.len() as u64, total);
    assert!(kept.ends_with("48000\n"));
    // What is kept is one piece: each line follows the one before it.
    let whole = &kept[kept.find('\n').expect("lines") + 1..];
    let numbers: Vec<u64> = whole
        .lines()
        .map(|l| l.parse().expect("a number"))
        .collect();
    assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]));
    let end = get(
        &agent,
        &format!("/v1/client/fs/logs/{id}?task=t&type=stdout&plain=true&origin=end&offset=64"),
    );
    assert_eq!(end, format!("{:063}\n", 48_000));
    let frames = get(
        &agent,
        &format!("/v1/client/fs/logs/{id}?task=t&type=stderr&origin=start"),
    );
    let frame: Value = serde_json::Deserializer::from_str(&frames)
        .into_iter()
        .next()
        .expect("a frame")
        .expect("JSON");
    assert_eq!(frame["Data"], "d3JvbmcK", "{frame}");
    let absent = agent.get(&format!(
        "/v1/client/fs/logs/{id}?task=absent&type=stdout&plain=true"
    ));
    let absent = absent.expect("an answer");
    assert_eq!(absent.status, 400);
    assert_eq!(absent.text(), "unknown task name \"absent\"");
}

fn get(agent: &Agent, path: &str) -> String {
    let response = http::request(agent.http_port, "GET", path, b"").expect("an answer");
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}
