//! Reading, writing and canonicalizing submissions.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{DecodeError, Job, ServerDefaults, decode};
use crate::ids::{IdSource, Uuid};

const LIMIT: usize = 1 << 20;

/// Ids that count.
struct Counting(u8);

impl IdSource for Counting {
    fn next_uuid(&mut self) -> Uuid {
        self.0 += 1;
        Uuid([self.0; 16])
    }
}

/// The recorded answers of the group `parsing`, or `None` with a word to the reader where they are absent.
fn recordings() -> Option<Value> {
    recorded_groups().map(|all| all["parsing"].clone())
}

fn recorded_groups() -> Option<Value> {
    let shared = std::env::var_os("NOMAD_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("conformance/golden/a.json");
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice::<Value>(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: no recordings at {}", path.display());
            None
        }
    }
}

#[test]
fn every_recorded_job_is_read_and_written_unchanged() {
    let Some(parsing) = recordings() else { return };
    let mut seen = 0;
    for (name, step) in parsing.as_object().unwrap() {
        let recorded = &step["json"];
        if recorded.get("TaskGroups").is_none() {
            continue;
        }
        let job: Job = decode(recorded.to_string().as_bytes(), LIMIT).unwrap();
        assert_eq!(serde_json::to_value(&job).unwrap(), *recorded, "{name}");
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} jobs among the recordings");
}

#[test]
fn canonicalizing_gives_the_recorded_canonical_job() {
    let Some(parsing) = recordings() else { return };
    let plain = parsing["full-not-canonical"]["json"].to_string();
    let mut job: Job = decode(plain.as_bytes(), LIMIT).unwrap();
    job.canonicalize();
    assert_eq!(serde_json::to_value(&job).unwrap(), parsing["full"]["json"]);
}

#[test]
fn canonical_jobs_stay_as_they_are() {
    let Some(parsing) = recordings() else { return };
    for name in [
        "full",
        "service",
        "batch",
        "periodic",
        "system",
        "functions",
    ] {
        let recorded = &parsing[name]["json"];
        let mut job: Job = decode(recorded.to_string().as_bytes(), LIMIT).unwrap();
        job.canonicalize();
        assert_eq!(serde_json::to_value(&job).unwrap(), *recorded, "{name}");
    }
}

#[test]
fn keys_match_in_any_case_and_unknown_ones_are_passed_over() {
    let job: Job = decode(
        br#"{"iD": "a", "TASKGROUPS": [null, {"name": "g", "COUNT": 2, "colour": {"x": [1]}}], "priority": null}"#,
        LIMIT,
    )
    .unwrap();
    assert_eq!(job.id.as_deref(), Some("a"));
    let groups = job.task_groups.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].count, Some(2));
    assert_eq!(job.priority, None);
}

#[test]
fn only_the_first_value_is_read() {
    let job: Job = decode(br#"{"ID": "a"} and more"#, LIMIT).unwrap();
    assert_eq!(job.id.as_deref(), Some("a"));
}

#[test]
fn wrong_types_are_refused() {
    for body in [
        json!({"Priority": "high"}),
        json!({"Priority": 1.5}),
        json!({"Priority": 1e30}),
        json!({"TaskGroups": {}}),
        json!({"TaskGroups": [{"ShutdownDelay": "30s"}]}),
        json!({"Affinities": [{"Weight": 200}]}),
        json!({"Meta": {"a": 1}}),
        json!({"Payload": "!"}),
    ] {
        let error = decode::<Job>(body.to_string().as_bytes(), LIMIT).unwrap_err();
        assert!(matches!(error, DecodeError::Type(_)), "{body}: {error}");
    }
}

#[test]
fn syntax_errors_have_gos_words() {
    for (body, text) in [
        (
            "{nope",
            "invalid character 'n' looking for beginning of object key string",
        ),
        ("", "EOF"),
        ("{", "unexpected EOF"),
        ("{\"a\":1", "unexpected EOF"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        (
            "{\"a\":1 2}",
            "invalid character '2' after object key:value pair",
        ),
        ("[1 2]", "invalid character '2' after array element"),
        (
            "[1,]",
            "invalid character ']' looking for beginning of value",
        ),
        (
            "nul1",
            "invalid character '1' in literal null (expecting 'l')",
        ),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        ("\"\n\"", "invalid character '\\n' in string literal"),
        ("-x", "invalid character 'x' in numeric literal"),
        (
            "1.x",
            "invalid character 'x' after decimal point in numeric literal",
        ),
        (
            "1ex",
            "invalid character 'x' in exponent of numeric literal",
        ),
    ] {
        assert_eq!(
            decode::<Job>(body.as_bytes(), LIMIT)
                .unwrap_err()
                .to_string(),
            text,
            "{body}"
        );
    }
}

#[test]
fn size_and_depth_are_bounded() {
    assert_eq!(
        decode::<Job>(&[b' '; 10], 5),
        Err(DecodeError::TooLarge { limit: 5 })
    );
    let deep = format!(
        "{{\"Meta\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(decode::<Job>(deep.as_bytes(), LIMIT).is_err());
}

#[test]
fn registered_jobs_are_stored_as_recorded() {
    let Some(all) = recorded_groups() else { return };
    for (parsed, read) in [
        ("service", "read"),
        ("batch", "batch-read"),
        ("system", "system-read"),
    ] {
        let submitted = all["parsing"][parsed]["json"].to_string();
        let mut job: Job = decode(submitted.as_bytes(), LIMIT).unwrap();
        job.canonicalize();
        job.mutate(&ServerDefaults::default(), &mut Counting(0))
            .unwrap();
        let mut stored = serde_json::to_value(job.into_job().unwrap()).unwrap();
        let mut wanted = all["jobs"][read]["json"].clone();
        for value in [&mut stored, &mut wanted] {
            // What the cluster sets later.
            for key in [
                "Status",
                "StatusDescription",
                "Stable",
                "SubmitTime",
                "CreateIndex",
                "ModifyIndex",
                "JobModifyIndex",
            ] {
                value.as_object_mut().unwrap().remove(key);
            }
        }
        assert_eq!(stored, wanted, "{parsed}");
    }
}

#[test]
fn stored_jobs_can_be_submitted_again() {
    let Some(all) = recorded_groups() else { return };
    let recorded = &all["jobs"]["read"]["json"];
    let stored: crate::job::Job = serde_json::from_value(recorded.clone()).unwrap();
    let mut job = Job::from_stored(&stored);
    job.canonicalize();
    job.mutate(&ServerDefaults::default(), &mut Counting(0))
        .unwrap();
    let again = job.into_job().unwrap();
    assert!(!stored.spec_changed(&again));
}

#[test]
fn a_sidecar_brings_a_task_a_port_and_constraints() {
    let Some(parsing) = recordings() else { return };
    let mut job: Job = decode(parsing["full"]["json"].to_string().as_bytes(), LIMIT).unwrap();
    job.mutate(&ServerDefaults::default(), &mut Counting(0))
        .unwrap();
    let stored = job.into_job().unwrap();
    let group = &stored.task_groups[0];
    let proxy = group.task("connect-proxy-full-g").unwrap();
    assert_eq!(proxy.kind, "connect-proxy:full-g");
    assert_eq!(proxy.driver, "docker");
    assert_eq!(proxy.kill_timeout, crate::Nanos::secs(5));
    assert_eq!(proxy.shutdown_delay, crate::Nanos::ZERO);
    assert!(
        group.networks[0]
            .dynamic_ports
            .iter()
            .any(|port| port.label.starts_with("connect-proxy-") && port.to == -1)
    );
    let lefts: Vec<&str> = group
        .constraints
        .iter()
        .map(|c| c.ltarget.as_str())
        .collect();
    for wanted in [
        "${attr.vault.version}",
        "${attr.os.signals}",
        "${attr.consul.version}",
        "${attr.plugins.cni.version.bridge}",
    ] {
        assert!(lefts.contains(&wanted), "{wanted} among {lefts:?}");
    }
}

#[test]
fn scaling_policies_keep_their_ids() {
    let Some(parsing) = recordings() else { return };
    let stored = |ids: &mut Counting, before: Option<&crate::job::Job>| {
        let text = parsing["full"]["json"].to_string();
        let job: Job = decode(text.as_bytes(), LIMIT).unwrap();
        let mut stored = job.into_job().unwrap();
        super::assign_scaling_ids(&mut stored, before, ids);
        stored
    };
    let mut ids = Counting(0);
    let first = stored(&mut ids, None);
    let second = stored(&mut ids, Some(&first));
    let id = |job: &crate::job::Job| job.task_groups[0].scaling.clone().unwrap().id;
    assert_eq!(id(&first), id(&second));
    let task = |job: &crate::job::Job| job.task_groups[0].tasks[0].scaling_policies[0].id.clone();
    assert_eq!(task(&first), task(&second));
    assert_ne!(id(&first), task(&first));
}

#[test]
fn a_batch_job_read_from_the_api_may_be_sent_back() {
    let zeros = json!({
        "Stagger": 0, "MaxParallel": 0, "HealthCheck": "", "MinHealthyTime": 0, "HealthyDeadline": 0,
        "ProgressDeadline": 0, "AutoRevert": false, "AutoPromote": false, "Canary": 0,
    });
    for (kind, update, kept) in [
        ("batch", zeros.clone(), false),
        ("batch", json!({"MaxParallel": 2}), true),
        ("service", zeros, true),
    ] {
        let job = json!({"ID": "a", "Type": kind, "Update": update, "TaskGroups": [{"Name": "g"}]});
        let mut job: Job = decode(job.to_string().as_bytes(), LIMIT).unwrap();
        job.canonicalize();
        let group = &job.task_groups.as_deref().unwrap()[0];
        assert_eq!(group.update.is_some(), kept, "{kind}");
    }
}
