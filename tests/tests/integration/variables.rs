//! Variables: what is written is there after a crash, in no file in clear, and in the templates that ask for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::binary;
use serde_json::{Value, json};
use tests::{Agent, job, until};

/// Two halves, so that this test's own text is not what a search finds.
fn secret() -> String {
    ["hunter2", "correcthorse"].join("-")
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("list folder") {
        let path = entry.expect("entry").path();
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => files_below(&path, found),
            Ok(meta) if meta.is_file() => found.push(path),
            // Gone meanwhile, or no file.
            _ => {}
        }
    }
}

/// Files of the agent that hold the text.
fn leaks(agent: &Agent, text: &str) -> Vec<PathBuf> {
    let mut files = vec![agent.root().join("agent.log")];
    files_below(&agent.data_dir().join("server"), &mut files);
    assert!(files.len() > 5, "{files:?}");
    files.retain(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    });
    files
}

fn put(agent: &Agent, path: &str, items: &Value) -> Value {
    let body = json!({"Items": items});
    let written = agent.put(&format!("/v1/var/{path}"), &body);
    written
        .and_then(|answer| answer.json())
        .unwrap_or_else(|error| panic!("write {path}: {error:#}"))
}

fn states(agent: &Agent) -> Vec<String> {
    let keys = agent.json("/v1/operator/keyring/keys");
    let keys = keys.as_array().expect("keys").iter();
    keys.map(|key| key["State"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn variables_survive_kill_9_and_are_nowhere_in_clear() {
    let binary = binary!();
    let mut agent = Agent::start(&binary);
    let items = json!({"password": secret(), "user": "me"});
    let written = put(&agent, "app/db", &items);
    for number in 0..20 {
        put(&agent, &format!("many/{number}"), &json!({"n": secret()}));
    }
    agent.kill();
    agent.run();
    agent.wait_ready();
    assert_eq!(agent.json("/v1/var/app/db"), written);

    // A rotation during which the agent dies is finished by the next one.
    let rotated = agent.put("/v1/operator/keyring/rotate?full", &json!(null));
    assert_eq!(rotated.expect("rotate").status, 200);
    agent.kill();
    agent.run();
    agent.wait_ready();
    until("the first key is out of use", || {
        let mut now = states(&agent);
        now.sort();
        (now == ["active", "deprecated"]).then_some(())
    });
    assert_eq!(agent.json("/v1/var/app/db"), written);
    assert_eq!(agent.json("/v1/var/many/19")["Items"]["n"], json!(secret()));
    assert_eq!(leaks(&agent, &secret()), Vec::<PathBuf>::new());
    // The search itself finds what is not secret.
    let data = agent.data_dir();
    let found = leaks(&agent, "many/19");
    assert!(
        found.iter().any(|path| path.starts_with(&data)),
        "{found:?}"
    );

    let keystore = agent.data_dir().join("server/keystore");
    let mut keys = Vec::new();
    files_below(&keystore, &mut keys);
    let [key] = &keys[..] else {
        panic!("one key wraps the others: {keys:?}");
    };
    let mode = |path: &Path| fs::metadata(path).expect("look").permissions().mode() & 0o777;
    assert_eq!((mode(&keystore), mode(key)), (0o700, 0o600));
}

#[test]
fn a_template_reads_its_variable_and_follows_it() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    put(&agent, "nomad/jobs/reads", &json!({"greeting": "first"}));
    let mut task = job::task(
        "t",
        "while :; do read -r x < local/out && echo \"got $x\"; sleep 0.2; done",
    );
    task["Templates"] = json!([{
        "EmbeddedTmpl": "{{ with nomadVar \"nomad/jobs/reads\" }}{{ .greeting }}{{ end }}\n",
        "DestPath": "local/out", "ChangeMode": "noop", "Splay": 0,
        "Wait": {"Min": 50_000_000, "Max": 500_000_000},
    }]);
    agent.register(&job::job("reads", "service", json!({"Tasks": [task]})));
    let alloc = agent.wait_allocs("reads", "running", 1).remove(0);
    agent.wait_line(&alloc, "t", "got first");
    put(&agent, "nomad/jobs/reads", &json!({"greeting": "second"}));
    agent.wait_line(&alloc, "t", "got second");
}

#[test]
fn a_conflict_tells_what_is_stored_and_a_lock_keeps_others_out() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let written = put(&agent, "shared", &json!({"a": "1"}));
    let body = json!({"Items": {"a": "2"}});
    let conflict = agent.put("/v1/var/shared?cas=1", &body).expect("answer");
    assert_eq!(conflict.status, 409);
    let stored: Value = serde_json::from_slice(&conflict.body).expect("JSON");
    assert_eq!(stored, written);

    let locked = agent.put("/v1/var/shared?lock-acquire", &body);
    let locked = locked.and_then(|answer| answer.json()).expect("lock");
    let id = locked["Lock"]["ID"].as_str().expect("id of the lock");
    let holding = json!({"Lock": {"ID": id}});
    let status = |path: &str, body: &Value| agent.put(path, body).expect("answer").status;
    assert_eq!(status("/v1/var/shared", &body), 409);
    assert_eq!(status("/v1/var/shared?lock-acquire", &body), 409);
    assert_eq!(status("/v1/var/shared?lock-renew", &holding), 200);
    assert_eq!(status("/v1/var/shared?lock-release", &holding), 200);
    assert_eq!(status("/v1/var/shared", &body), 200);
    let output = agent.cli(&["var", "get", "-item", "a", "shared"]);
    assert_eq!(output.stdout, b"2");
}

#[test]
fn jobs_keep_to_what_their_namespace_allows() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let namespace = json!({"Name": "team", "Capabilities": {"DisabledTaskDrivers": ["raw_exec"]}});
    let made = agent.put("/v1/namespace/team", &namespace).expect("answer");
    assert_eq!(made.status, 200);
    let mut batch = job::batch("b", 1, "true");
    batch["Job"]["Namespace"] = json!("team");
    let refused = agent.put("/v1/jobs", &batch).expect("answer");
    assert!(refused.text().contains("raw_exec"), "{}", refused.text());
    let namespace = json!({"Name": "team"});
    agent.put("/v1/namespace/team", &namespace).expect("answer");
    agent.register(&batch);
    let jobs = agent.json("/v1/jobs?namespace=*");
    assert_eq!(jobs[0]["Namespace"], "team");
    assert_eq!(agent.json("/v1/jobs"), json!([]));
}
