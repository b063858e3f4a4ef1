//! Recorded verdicts, and rules one by one.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Report, Rules, cron_error, validate};
use crate::ids::{IdSource, Uuid};
use crate::spec::{Job, ServerDefaults, decode};

struct Counting(u8);

impl IdSource for Counting {
    fn next_uuid(&mut self) -> Uuid {
        self.0 += 1;
        Uuid([self.0; 16])
    }
}

fn verdict(job: &Value) -> Report {
    let mut job: Job = decode(job.to_string().as_bytes(), 1 << 20).unwrap();
    job.canonicalize();
    job.mutate(&ServerDefaults::default(), &mut Counting(0))
        .unwrap();
    validate(&job, &Rules::default())
}

fn recordings() -> Option<Value> {
    let shared = std::env::var_os("NOMAD_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("conformance/golden/a.json");
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice::<Value>(&text).unwrap()["parsing"].clone()),
        Err(_) => {
            eprintln!("skipped: no recordings at {}", path.display());
            None
        }
    }
}

/// The jobs that the recorded steps validate, made as the recording made them.
fn submissions(parsing: &Value) -> Vec<(&'static str, Value)> {
    let ok = &parsing["service"]["json"];
    let changed = |pointer: &str, value: Value| {
        let mut job = ok.clone();
        *job.pointer_mut(pointer).unwrap() = value;
        job
    };
    let mut twice = ok.clone();
    let group = twice["TaskGroups"][0].clone();
    twice["TaskGroups"].as_array_mut().unwrap().push(group);
    vec![
        ("validate-ok", ok.clone()),
        ("validate-empty", json!({"ID": "x"})),
        ("validate-type", changed("/Type", json!("circus"))),
        ("validate-count", changed("/TaskGroups/0/Count", json!(-1))),
        ("validate-duplicate-group", twice),
        ("validate-priority", changed("/Priority", json!(1000))),
        (
            "validate-driver",
            changed("/TaskGroups/0/Tasks/0/Driver", json!("")),
        ),
        (
            "validate-memory",
            changed("/TaskGroups/0/Tasks/0/Resources/MemoryMB", json!(1)),
        ),
        ("validate-id", changed("/ID", json!("has space"))),
        (
            "validate-regexp",
            changed(
                "/Constraints",
                json!([{"LTarget": "${x}", "RTarget": "(", "Operand": "regexp"}]),
            ),
        ),
        ("validate-update", changed("/Update/MaxParallel", json!(-1))),
        (
            "validate-service-name",
            changed("/TaskGroups/0/Services/0/Name", json!("bad_name!")),
        ),
        ("validate-full", parsing["full"]["json"].clone()),
    ]
}

#[test]
fn verdicts_are_as_recorded() {
    let Some(parsing) = recordings() else { return };
    for (step, job) in submissions(&parsing) {
        let recorded = &parsing[step]["json"];
        let report = verdict(&job);
        let errors: Vec<Value> = report
            .errors
            .as_slice()
            .iter()
            .map(|text| json!(text))
            .collect();
        let wanted = recorded["ValidationErrors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert_eq!(errors, wanted, "{step}");
        assert_eq!(
            json!(report.errors.error_text()),
            recorded["Error"],
            "{step}"
        );
        assert_eq!(
            json!(report.warnings.warning_text()),
            recorded["Warnings"],
            "{step}"
        );
    }
}

/// A small good job with `patch` merged in.
fn job_with(pointer: &str, value: Value) -> Value {
    let mut job = json!({
        "ID": "j",
        "TaskGroups": [{
            "Name": "g",
            "Networks": [{"Mode": "bridge", "DynamicPorts": [{"Label": "http"}], "ReservedPorts": [{"Label": "fixed", "Value": 8080}]}],
            "Services": [{"Name": "web", "PortLabel": "http", "Provider": "nomad"}],
            "ShutdownDelay": 1,
            "Volumes": {"data": {"Name": "data", "Type": "host", "Source": "data"}},
            "Tasks": [{
                "Name": "t",
                "Driver": "raw_exec",
                "Templates": [{"DestPath": "local/x", "EmbeddedTmpl": "x"}],
                "Artifacts": [{"GetterSource": "https://example.com/x"}],
            }],
        }],
    });
    let mut at = &mut job;
    for key in pointer.split('/').skip(1) {
        at = match key.parse::<usize>() {
            Ok(index) => {
                let list = at.as_array_mut().unwrap();
                while list.len() <= index {
                    list.push(json!({}));
                }
                &mut list[index]
            }
            Err(_) => &mut at[key],
        };
        if at.is_null() && pointer.ends_with(key) {
            break;
        }
        if at.is_null() {
            *at = json!({});
        }
    }
    *at = value;
    job
}

#[test]
fn the_small_job_is_good() {
    let report = verdict(&job_with("/ID", json!("j")));
    assert_eq!(report, Report::default());
}

#[test]
fn each_rule_refuses_what_breaks_it() {
    let group = "/TaskGroups/0";
    let task = "/TaskGroups/0/Tasks/0";
    let mut missed = Vec::new();
    for (pointer, value, words) in [
        (
            "/ID".to_owned(),
            json!("a\u{0}b"),
            "Job ID contains a null character",
        ),
        (
            "/Datacenters".to_owned(),
            json!([""]),
            "datacenter must be non-empty",
        ),
        ("/Payload".to_owned(), json!("eA=="), "payload"),
        (
            "/Periodic".to_owned(),
            json!({"Spec": "* * * * *"}),
            "Periodic can only be used",
        ),
        (
            "/UI".to_owned(),
            json!({"Description": "x".repeat(1001)}),
            "UI description",
        ),
        (
            "/Spreads".to_owned(),
            json!([{"Attribute": "${node.class}", "Weight": 0}]),
            "weight",
        ),
        (
            "/Affinities".to_owned(),
            json!([{"LTarget": "a", "Operand": "is_set", "RTarget": ""}]),
            "Unknown affinity type",
        ),
        (
            "/Multiregion".to_owned(),
            json!({"Regions": [{"Name": "a"}]}),
            "Multiregion",
        ),
        (
            "/Constraints".to_owned(),
            json!([{"LTarget": "${node.region}", "Operand": "=", "RTarget": "x"}]),
            "unsupported attribute",
        ),
        (
            "/Constraints".to_owned(),
            json!([{"LTarget": "x", "Operand": "version", "RTarget": ">= a"}]),
            "Malformed constraint",
        ),
        (
            "/Constraints".to_owned(),
            json!([{"LTarget": "x", "Operand": "semver", "RTarget": "~> 1.0"}]),
            "Semver",
        ),
        (
            format!("{group}/RestartPolicy"),
            json!({"Attempts": 0, "Mode": "delay"}),
            "ambiguous",
        ),
        (
            format!("{group}/RestartPolicy"),
            json!({"Attempts": 10, "Delay": 600_000_000_000_i64}),
            "can't restart",
        ),
        (
            format!("{group}/ReschedulePolicy"),
            json!({"Attempts": 3, "Interval": 600_000_000_000_i64}),
            "ambiguous",
        ),
        (
            format!("{group}/ReschedulePolicy"),
            json!({"Unlimited": false, "Attempts": 10, "Interval": 60_000_000_000_i64, "Delay": 30_000_000_000_i64, "DelayFunction": "constant"}),
            "fewer than 10 attempts",
        ),
        (
            format!("{group}/EphemeralDisk"),
            json!({"SizeMB": 1}),
            "minimum DiskMB",
        ),
        (
            format!("{group}/Update"),
            json!({"AutoPromote": true}),
            "Auto Promote requires",
        ),
        (
            format!("{group}/Update"),
            json!({"HealthyDeadline": 1}),
            "Minimum healthy time",
        ),
        (
            format!("{group}/Migrate"),
            json!({"HealthCheck": "x"}),
            "Invalid HealthCheck",
        ),
        (
            format!("{group}/MaxRunDuration"),
            json!(1),
            "max_run_duration can only be set",
        ),
        (
            format!("{group}/Disconnect"),
            json!({"LostAfter": 1, "StopOnClientAfter": 1}),
            "cannot be used in the same",
        ),
        (
            format!("{group}/Scaling"),
            json!({"Min": 5, "Max": 3}),
            "must not be less than minimum",
        ),
        (
            format!("{group}/Scaling"),
            json!({"Min": 0}),
            "maximum count must be specified",
        ),
        (
            format!("{group}/Volumes/data/Source"),
            json!(""),
            "empty source",
        ),
        (
            format!("{group}/Volumes/data"),
            json!({"Type": "csi", "Source": "x"}),
            "attachment mode",
        ),
        (
            format!("{group}/Networks/0/Hostname"),
            json!("a b"),
            "not a valid DNS name",
        ),
        (
            format!("{group}/Networks/0/DynamicPorts/0/To"),
            json!(70_000),
            "cannot be mapped",
        ),
        (
            format!("{group}/Networks/0/DynamicPorts/0/Label"),
            json!("fixed"),
            "already in use",
        ),
        (
            format!("{group}/Networks/0/DynamicPorts/0/IgnoreCollision"),
            json!(true),
            "ignore_collision",
        ),
        (
            format!("{group}/Networks/0/CNI"),
            json!({"Args": {"a;": "b"}}),
            "invalid ';'",
        ),
        (
            format!("{group}/Services/0/Provider"),
            json!("etcd"),
            "Service provider",
        ),
        (
            format!("{group}/Services/0/AddressMode"),
            json!("driver"),
            "only services defined in a \\\"task\\\"",
        ),
        (
            format!("{group}/Services/0/Checks"),
            json!([{"Type": "http", "Path": "/", "Interval": 1_000_000_000, "Timeout": 1}]),
            "cannot be lower than 1s",
        ),
        (
            format!("{group}/Services/0/Checks"),
            json!([{"Type": "script", "Command": "x", "TaskName": "t", "Interval": 1_000_000_000, "Timeout": 1_000_000_000}]),
            "invalid check type",
        ),
        (
            format!("{group}/Services/0/Checks"),
            json!([{"Type": "http", "Interval": 1_000_000_000, "Timeout": 1_000_000_000}]),
            "must have http path",
        ),
        (
            format!("{group}/Services/0/Connect"),
            json!({"Native": true}),
            "Connect",
        ),
        (format!("{task}/Name"), json!("a/b"), "slashes"),
        (format!("{task}/Name"), json!("alloc"), "may not be"),
        (
            format!("{task}/KillTimeout"),
            json!(3_600_000_000_000_i64),
            "ProgressDeadline",
        ),
        (
            format!("{task}/Resources"),
            json!({"CPU": 100, "Cores": 2}),
            "not both",
        ),
        (
            format!("{task}/Resources"),
            json!({"MemoryMB": 100, "MemoryMaxMB": 50}),
            "MemoryMaxMB",
        ),
        (
            format!("{task}/Resources"),
            json!({"MemoryMB": 100, "SecretsMB": 200}),
            "SecretsMB",
        ),
        (
            format!("{task}/Resources"),
            json!({"NUMA": {"Affinity": "none", "Devices": ["x"]}}),
            "numa device",
        ),
        (
            format!("{task}/Resources"),
            json!({"NUMA": {"Affinity": "require"}}),
            "Enterprise",
        ),
        (
            format!("{task}/LogConfig"),
            json!({"MaxFiles": 300, "MaxFileSizeMB": 1}),
            "log storage",
        ),
        (
            format!("{task}/Constraints"),
            json!([{"Operand": "distinct_hosts"}]),
            "disallowed Operand",
        ),
        (
            format!("{task}/Templates/0/DestPath"),
            json!("../../x"),
            "escapes",
        ),
        (format!("{task}/Templates/0/Perms"), json!("9"), "octal"),
        (
            format!("{task}/Templates/0/ChangeMode"),
            json!("script"),
            "script path",
        ),
        (
            format!("{task}/Templates/0/Engine"),
            json!("php"),
            "unknown template engine",
        ),
        (
            format!("{task}/Artifacts/0/GetterMode"),
            json!("zip"),
            "invalid artifact mode",
        ),
        (
            format!("{task}/Artifacts/0/GetterOptions"),
            json!({"checksum": "md5:00"}),
            "invalid md5 checksum",
        ),
        (
            format!("{task}/Artifacts/0/RelativeDest"),
            json!("../../x"),
            "escapes",
        ),
        (format!("{task}/Vault"), json!({}), "not enabled"),
        (
            format!("{task}/Actions"),
            json!([{"Name": "a b", "Command": "x"}]),
            "invalid name",
        ),
        (
            format!("{task}/DispatchPayload"),
            json!({"File": "../../../x"}),
            "escapes",
        ),
        (
            format!("{task}/Lifecycle"),
            json!({"Hook": "midstart", "Sidecar": false}),
            "invalid hook",
        ),
        (
            format!("{task}/Lifecycle"),
            json!({"Hook": "prestart"}),
            "at least one task without",
        ),
        (
            format!("{task}/VolumeMounts"),
            json!([{"Volume": "none"}]),
            "undefined volume",
        ),
        (
            format!("{task}/VolumeMounts"),
            json!([{"Volume": "data", "PropagationMode": "x"}]),
            "propagation mode",
        ),
        (
            format!("{task}/CSIPluginConfig"),
            json!({"Type": "node"}),
            "PluginID",
        ),
        (
            format!("{task}/Identities"),
            json!([{"Name": "a", "ChangeMode": "signal"}]),
            "change_signal must be",
        ),
        (
            format!("{task}/Identity"),
            json!({"TTL": 5}),
            "ttl for default",
        ),
        (
            format!("{task}/Secrets"),
            json!([{"Name": "a", "Provider": "vault", "Path": "x"}]),
            "no vault block",
        ),
        (
            format!("{task}/Schedule"),
            json!({"Cron": {"Start": "x"}}),
            "Enterprise",
        ),
    ] {
        let report = verdict(&job_with(&pointer, value.clone()));
        let text = format!("{:?}", report.errors.error_text());
        if !text.contains(words) {
            missed.push(format!("{pointer} = {value}: want {words:?} in {text}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn cron_expressions_are_told_from_others() {
    for good in [
        "* * * * *",
        "*/15 0-5 1,15 JAN-mar Mon",
        "0 0 L * *",
        "0 0 15W * 5L",
        "0 0 * * 2#3",
        "30 0 0 1 1 * 2030",
        "@daily",
        "0 3 1 1 *",
    ] {
        assert_eq!(cron_error(good), None, "{good}");
    }
    for bad in [
        "",
        "* * * *",
        "60 * * * *",
        "* * 0 * *",
        "*/0 * * * *",
        "a * * * *",
        "@reboot",
        "* * * * * * * *",
        "5-1 * * * *",
    ] {
        assert!(cron_error(bad).is_some(), "{bad}");
    }
}

#[test]
fn good_jobs_are_admitted_and_bad_ones_told_about() {
    use super::{AdmissionError, admit};
    let submit = |value: &Value| {
        let job: Job = decode(value.to_string().as_bytes(), 1 << 20).unwrap();
        admit(
            job,
            &ServerDefaults::default(),
            &Rules::default(),
            &mut Counting(0),
        )
    };
    let admitted = submit(&job_with("/Priority", json!(7))).unwrap();
    assert_eq!(admitted.job.priority, 7);
    assert!(admitted.warnings.is_empty());
    let error = submit(&job_with("/Type", json!("circus"))).unwrap_err();
    assert!(matches!(error, AdmissionError::Invalid(_)));
    assert!(error.to_string().contains("Invalid job type: \"circus\""));
}
