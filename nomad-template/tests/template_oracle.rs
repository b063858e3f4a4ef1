//! Templates that a real Nomad agent rendered: ours must come out the same.
//!
//! The recording is read from `NOMAD_TEMPLATE_ORACLE`, or from `template-oracle/cases.json` below
//! `NOMAD_SHARED` (by default `../shared` beside the checkout). Where ours deliberately differs, a
//! rule of [`differences`] says why; everything else that differs fails.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use nomad_template::data::{InterfaceAddr, Service, ServiceName, Variable, VariableMeta};
use nomad_template::{Answer, Data, DataSource, EngineKind, Limits, Query, RenderInput, Source};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recording {
    variables: BTreeMap<String, BTreeMap<String, String>>,
    env: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    /// The rendered file, if it was rendered.
    result: Option<String>,
    /// Whether the task failed; if not and there is no result, it waited for data.
    #[serde(default)]
    error: bool,
}

/// What became of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Text(String),
    Error(String),
    Waits,
}

impl Outcome {
    /// Whether they are the same but for the text of an error.
    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Error(_), Self::Error(_)) => true,
            (a, b) => a == b,
        }
    }
}

struct Stored {
    variables: BTreeMap<String, BTreeMap<String, String>>,
}

impl DataSource for Stored {
    fn query(&self, query: &Query) -> Answer {
        let meta = |path: &str| VariableMeta {
            namespace: "default".to_owned(),
            path: path.to_owned(),
            ..VariableMeta::default()
        };
        let data = match query {
            Query::Variable { path, namespace } => {
                let here = namespace.as_deref().is_none_or(|ns| ns == "default");
                let items = self.variables.get(path).filter(|_| here);
                Data::Variable(items.map(|items| Variable {
                    meta: meta(path),
                    items: items.clone(),
                }))
            }
            Query::Variables { prefix, .. } => Data::Variables(
                self.variables
                    .keys()
                    .filter(|path| path.starts_with(prefix.as_str()))
                    .map(|path| meta(path))
                    .collect(),
            ),
            Query::Service { name, choose, .. } => {
                let mut found: Vec<Service> =
                    services().into_iter().filter(|s| s.name == *name).collect();
                if let Some((count, _)) = choose {
                    found.truncate(usize::try_from(*count).unwrap_or(usize::MAX));
                }
                Data::Service(found)
            }
            Query::Services { .. } => {
                let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for service in services() {
                    names.entry(service.name).or_default().extend(service.tags);
                }
                Data::Services(
                    names
                        .into_iter()
                        .map(|(name, mut tags)| {
                            tags.sort();
                            tags.dedup();
                            ServiceName { name, tags }
                        })
                        .collect(),
                )
            }
            other => return Answer::Failed(nomad_template::data::not_configured(other)),
        };
        Answer::Ready(Arc::new(data))
    }
}

/// The services of job `svc` of the recording.
fn services() -> Vec<Service> {
    let service = |name: &str, port: u32, tags: &[&str]| Service {
        id: format!("_nomad-task-{port}-group-g-{name}-{port}"),
        name: name.to_owned(),
        node_id: "node".to_owned(),
        address: "127.0.0.1".to_owned(),
        port,
        datacenter: "dc1".to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        job_id: "svc".to_owned(),
        alloc_id: format!("alloc-{port}"),
    };
    vec![
        service("db", 23101, &["sql", "n1"]),
        service("db", 23100, &["sql", "n0"]),
        service("cache", 23102, &["kv"]),
    ]
}

/// The environment of task `t` of job `tpl`, with the recording's own on top.
fn environment(recorded: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = [
        ("NOMAD_JOB_NAME", "tpl"),
        ("NOMAD_JOB_ID", "tpl"),
        ("NOMAD_GROUP_NAME", "g"),
        ("NOMAD_TASK_NAME", "t"),
        ("NOMAD_ALLOC_NAME", "tpl.g[0]"),
        ("NOMAD_ALLOC_INDEX", "0"),
        ("NOMAD_NAMESPACE", "default"),
        ("NOMAD_DC", "dc1"),
        ("NOMAD_REGION", "global"),
        ("NOMAD_META_color", "blue"),
        ("NOMAD_META_COLOR", "blue"),
        ("NOMAD_MEMORY_LIMIT", "20"),
        ("NOMAD_CPU_LIMIT", "10"),
        ("attr.kernel.name", "linux"),
        ("node.datacenter", "dc1"),
        ("node.region", "global"),
        ("node.class", ""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    env.extend(recorded.clone());
    env
}

fn input(recording: &Recording, strict: bool) -> RenderInput {
    let loopback = InterfaceAddr {
        name: "lo".to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        prefix_len: 8,
        up: true,
        default_route: false,
    };
    RenderInput {
        env: Arc::new(environment(&recording.env)),
        data: Arc::new(Stored {
            variables: recording.variables.clone(),
        }),
        interfaces: Arc::from([loopback]),
        now_ns: 1_700_000_000_000_000_000,
        strict,
        ..RenderInput::default()
    }
}

fn render(template: &str, input: &RenderInput) -> Outcome {
    let source = Source::new("case", template);
    let compiled = EngineKind::Go.engine().compile(&source, &Limits::default());
    match compiled.and_then(|compiled| compiled.render(input)) {
        Err(error) => Outcome::Error(error.to_string()),
        Ok(rendered) if rendered.missing.is_empty() => {
            Outcome::Text(String::from_utf8_lossy(&rendered.output).into_owned())
        }
        Ok(_) => Outcome::Waits,
    }
}

/// Why ours may differ from the recording here, or `None` if it may not.
fn differences(case: &Case, ours: &Outcome, strict: &Outcome) -> Option<&'static str> {
    // Rendered with the reference's strictness it must fail here too, and for a listed reason.
    if let (true, Outcome::Text(_), Outcome::Error(error)) = (case.error, ours, strict) {
        let reasons = [
            (
                "got dependency.NomadVarItem",
                "the reference takes no item of a Variable where a string is wanted, only its .Value; ours takes both",
            ),
            (
                "expected []interface {}; got []",
                "the reference refuses the []string of split where it wants []interface {}; ours takes any list",
            ),
            (
                "not defined",
                "the reference lacks those of sprig's functions that depend on time and chance; ours has them",
            ),
        ];
        let reason = reasons.into_iter().find(|(text, _)| error.contains(text));
        return reason.map(|(_, reason)| reason);
    }
    if !case.error
        && case.result.is_none()
        && matches!(ours, Outcome::Error(_))
        && case.template.contains("toTOML")
    {
        return Some("the reference waits for ever on a value that has no TOML form; ours says so");
    }
    None
}

fn recording_path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("NOMAD_TEMPLATE_ORACLE") {
        return Some(path.into());
    }
    let shared = std::env::var_os("NOMAD_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("template-oracle/cases.json");
    path.is_file().then_some(path)
}

#[test]
fn recorded_templates_come_out_the_same() {
    let Some(path) = recording_path() else {
        println!("skipped: no recording found; set NOMAD_SHARED or NOMAD_TEMPLATE_ORACLE");
        println!("template-oracle: 0 passed, 0 failed, 1 skipped");
        return;
    };
    let text =
        std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let recording: Recording = serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("parse {}: {error}", path.display()));
    let (lenient, strict) = (input(&recording, false), input(&recording, true));
    let (mut passed, mut failed) = (0, 0);
    for case in &recording.cases {
        let want = match &case.result {
            Some(text) => Outcome::Text(text.clone()),
            None if case.error => Outcome::Error(String::new()),
            None => Outcome::Waits,
        };
        let ours = render(&case.template, &lenient);
        if ours.agrees(&want) {
            passed += 1;
        } else if let Some(reason) = differences(case, &ours, &render(&case.template, &strict)) {
            passed += 1;
            println!(
                "differs: {:?}\n  ours:   {ours:?}\n  reason: {reason}",
                case.template
            );
        } else {
            failed += 1;
            println!(
                "FAILED: {:?}\n  want: {want:?}\n  ours: {ours:?}",
                case.template
            );
        }
    }
    println!("template-oracle: {passed} passed, {failed} failed, 0 skipped");
    assert_eq!(failed, 0, "templates come out differently");
}
