//! Recorded diffs, and rules about what must be replaced.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Change, DiffType, annotate, group_change, job_diff};
use crate::ids::{IdSource, Uuid};
use crate::job::Job;
use crate::plan::DesiredUpdates;
use crate::spec::{self, ServerDefaults, decode};

struct Counting(u8);

impl IdSource for Counting {
    fn next_uuid(&mut self) -> Uuid {
        self.0 += 1;
        Uuid([self.0; 16])
    }
}

fn recordings() -> Option<Value> {
    let shared = std::env::var_os("NOMAD_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("conformance/golden/a.json");
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: no recordings at {}", path.display());
            None
        }
    }
}

fn stored(submission: &Value) -> Job {
    let mut job: spec::Job = decode(submission.to_string().as_bytes(), 1 << 20).unwrap();
    job.canonicalize();
    job.mutate(&ServerDefaults::default(), &mut Counting(0))
        .unwrap();
    job.into_job().unwrap()
}

fn annotated(old: Option<&Job>, new: &Job, step: &Value) -> Value {
    let mut diff = job_diff(old, Some(new), true);
    let updates: std::collections::BTreeMap<String, DesiredUpdates> =
        serde_json::from_value(step["json"]["Annotations"]["DesiredTGUpdates"].clone()).unwrap();
    annotate(&mut diff, &updates);
    serde_json::to_value(&diff).unwrap()
}

#[test]
fn plans_show_the_recorded_diffs() {
    let Some(all) = recordings() else { return };
    let submitted = &all["parsing"]["service"]["json"];
    let web = stored(submitted);
    let steps = &all["jobs"];
    assert_eq!(
        annotated(None, &web, &steps["plan-new"]),
        steps["plan-new"]["json"]["Diff"]
    );
    assert_eq!(
        annotated(Some(&web), &web, &steps["plan-same"]),
        steps["plan-same"]["json"]["Diff"]
    );

    let mut changed = submitted.clone();
    changed["TaskGroups"][0]["Tasks"][0]["Env"]["GREETING"] = json!("CHANGED");
    changed["TaskGroups"][0]["Count"] = json!(3);
    changed["Meta"]["new"] = json!("x");
    let next = stored(&changed);
    assert_eq!(
        annotated(Some(&web), &next, &steps["plan-update"]),
        steps["plan-update"]["json"]["Diff"]
    );
    let plain = serde_json::to_value(job_diff(Some(&web), Some(&next), true)).unwrap();
    assert_eq!(plain, steps["versions-after"]["json"]["Diffs"][0]);
}

#[test]
fn a_deleted_job_is_deleted_all_through() {
    let Some(all) = recordings() else { return };
    let web = stored(&all["parsing"]["service"]["json"]);
    let diff = job_diff(Some(&web), None, true);
    assert_eq!(diff.kind, DiffType::Deleted);
    assert_eq!(diff.id, "web");
    assert!(
        diff.task_groups
            .iter()
            .all(|group| group.kind == DiffType::Deleted)
    );
    assert!(
        diff.fields
            .iter()
            .all(|field| field.kind == DiffType::Deleted && field.new.is_empty())
    );
}

#[test]
fn unchanged_members_of_a_changed_set_are_shown() {
    let Some(all) = recordings() else { return };
    let submitted = &all["parsing"]["service"]["json"];
    let mut changed = submitted.clone();
    changed["TaskGroups"][0]["Services"][0]["Tags"] = json!(["web", "v3"]);
    let diff = job_diff(Some(&stored(submitted)), Some(&stored(&changed)), true);
    let service = &diff.task_groups[0].objects[0];
    assert_eq!(
        (service.name.as_str(), service.kind),
        ("Service", DiffType::Edited)
    );
    let canary = &service.objects[0];
    assert_eq!(
        (canary.name.as_str(), canary.kind),
        ("CanaryTags", DiffType::None)
    );
    let tags: Vec<(DiffType, &str, &str)> = service.objects[1]
        .fields
        .iter()
        .map(|f| (f.kind, f.old.as_str(), f.new.as_str()))
        .collect();
    assert_eq!(
        tags,
        [
            (DiffType::Added, "", "v3"),
            (DiffType::Deleted, "v2", ""),
            (DiffType::None, "web", "web")
        ]
    );
}

#[test]
fn changes_are_destructive_or_in_place() {
    let Some(all) = recordings() else { return };
    let submitted = &all["parsing"]["full"]["json"];
    let base = stored(submitted);
    let change = |pointer: &str, value: Value| {
        let mut submission = submitted.clone();
        *submission
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer}")) = value;
        let mut job = stored(&submission);
        job.job_modify_index = 1;
        group_change(&base, &job, "g")
    };
    let (g, t) = ("/TaskGroups/0", "/TaskGroups/0/Tasks/0");
    for (pointer, value) in [
        (format!("{t}/Driver"), json!("exec")),
        (format!("{t}/Env/A"), json!("2")),
        (format!("{t}/Config/image"), json!("redis:8")),
        (format!("{t}/Meta/x"), json!("z")),
        ("/Meta".to_owned(), json!({"job": "meta"})),
        (format!("{t}/Resources/MemoryMB"), json!(600)),
        (format!("{t}/Templates/0/Perms"), json!("0600")),
        (format!("{t}/Artifacts/0/GetterMode"), json!("any")),
        (
            format!("{t}/Identities/0/TTL"),
            json!(7_200_000_000_000_i64),
        ),
        (format!("{t}/Name"), json!("other")),
        (format!("{t}/LogConfig/Disabled"), json!(true)),
        (format!("{g}/EphemeralDisk/SizeMB"), json!(900)),
        (format!("{g}/Networks/0/DynamicPorts/0/To"), json!(80)),
        (format!("{g}/Networks/0/ReservedPorts/0/Value"), json!(8081)),
        (format!("{g}/Volumes/data/ReadOnly"), json!(false)),
        (format!("{g}/RestartPolicy/RenderTemplates"), json!(true)),
        (
            format!("{g}/Services/0/Connect/SidecarTask/Resources/CPU"),
            json!(300),
        ),
    ] {
        assert!(
            change(&pointer, value.clone()).is_destructive(),
            "{pointer} = {value}"
        );
    }
    for (pointer, value) in [
        (format!("{g}/Count"), json!(4)),
        ("/Priority".to_owned(), json!(10)),
        (format!("{g}/Update/MaxParallel"), json!(3)),
        (format!("{g}/RestartPolicy/Attempts"), json!(9)),
        (format!("{g}/Services/0/Tags"), json!(["c"])),
        (format!("{g}/Services/0/Checks/0/Path"), json!("/other")),
        (format!("{t}/KillTimeout"), json!(1_000_000_000)),
        (format!("{t}/LogConfig/MaxFiles"), json!(4)),
        (format!("{t}/Leader"), json!(false)),
        ("/Constraints".to_owned(), json!([])),
    ] {
        assert_eq!(
            change(&pointer, value.clone()),
            Change::InPlace,
            "{pointer} = {value}"
        );
    }
    assert_eq!(group_change(&base, &base, "g"), Change::None);
}
