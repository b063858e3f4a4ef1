//! Templates of running tasks: rendered before the start, and again when what they read changes.

use crate::binary;
use serde_json::{Value, json};
use tests::{Agent, job, until};

/// Short waits, so that a change is seen within the test's patience and not merged with the next.
fn template(data: &str, destination: &str, mode: &Value) -> Value {
    let mut block = json!({
        "EmbeddedTmpl": data, "DestPath": destination, "Splay": 0,
        "Wait": {"Min": 50_000_000, "Max": 500_000_000},
    });
    let block_fields = block.as_object_mut().expect("an object");
    block_fields.extend(mode.as_object().cloned().unwrap_or_default());
    block
}

/// A service job whose group announces itself under a name.
fn announcing(id: &str, service: &str) -> Value {
    let group = json!({
        "Networks": [{"DynamicPorts": [{"Label": "p"}]}],
        "Services": [{"Name": service, "PortLabel": "p", "Provider": "nomad"}],
        "Tasks": [job::task("t", "exec sleep 600")],
    });
    job::job(id, "service", group)
}

#[test]
fn a_change_signals_restarts_and_runs_scripts() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let mut task = job::task(
        "t",
        "trap 'echo hup' HUP; echo start $COUNT; while :; do sleep 0.05; done",
    );
    let touch = "echo script >> ${NOMAD_TASK_DIR}/ran";
    task["Templates"] = json!([
        template(
            "{{ range nomadService \"one\" }}{{ .Name }} {{ end }}",
            "local/one",
            &json!({"ChangeMode": "signal", "ChangeSignal": "SIGHUP"})
        ),
        template(
            "COUNT={{ len (nomadService \"two\") }}",
            "secrets/two.env",
            &json!({"ChangeMode": "restart", "Envvars": true})
        ),
        template(
            "{{ len (nomadService \"three\") }}",
            "local/three",
            &json!({"ChangeMode": "script", "ChangeScript": {
                "Command": "/bin/sh", "Args": ["-c", touch], "Timeout": 5_000_000_000_i64
            }})
        ),
    ]);
    agent.register(&job::job("t", "service", json!({"Tasks": [task]})));
    let alloc = agent.wait_allocs("t", "running", 1).remove(0);
    agent.wait_line(&alloc, "t", "start 0");

    agent.register(&announcing("a", "one"));
    agent.wait_line(&alloc, "t", "hup");
    let id = alloc["ID"].as_str().expect("an id");
    let read = |path: &str| {
        let answer = agent.get(&format!("/v1/client/fs/cat/{id}?path=t/local/{path}"));
        answer.map(|answer| answer.text()).unwrap_or_default()
    };
    assert_eq!(read("one"), "one ");

    agent.register(&announcing("c", "three"));
    until("the script has run", || {
        (read("ran") == "script\n").then_some(())
    });
    assert_eq!(read("three"), "1");

    agent.register(&announcing("b", "two"));
    agent.wait_line(&alloc, "t", "start 1");
    let now = agent.json(&format!("/v1/allocation/{id}"));
    assert_eq!(job::state(&now, "t")["Restarts"], json!(1));
    let told = job::events(&now, "t");
    for kind in ["Template", "Signaling", "Restart Signaled"] {
        assert!(told.iter().any(|event| event == kind), "{kind} in {told:?}");
    }
}

#[test]
fn a_template_that_cannot_be_rendered_fails_its_task_with_the_reason() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let mut task = job::task("t", "exec sleep 600");
    task["RestartPolicy"] = job::restarts(0);
    task["Templates"] = json!([template("{{ nonsense }}", "local/x", &json!({}))]);
    let group = json!({"ReschedulePolicy": {"Attempts": 0}, "Tasks": [task]});
    agent.register(&job::job("t", "service", group));
    let alloc = agent.wait_allocs("t", "failed", 1).remove(0);
    let state = job::state(&alloc, "t");
    let text = state["Events"].to_string();
    assert!(
        text.contains("Template failed") && text.contains("nonsense"),
        "{text}"
    );
}
