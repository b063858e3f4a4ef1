//! Replays the recorded steps of the group `parsing` whose request is `/v1/jobs/parse`.
//!
//! The recordings are found through NOMAD_SHARED, by default `../shared` beside the checkout; without them the tests
//! say so and pass.
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};

use nomad_jobspec::{Isolated, Options, Source, parse};
use serde_json::Value;

fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("NOMAD_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    if path.join("conformance/golden/a.json").is_file() {
        return Some(path);
    }
    eprintln!("skipped: no recordings below {}", path.display());
    None
}

fn recorded(shared: &Path) -> Value {
    let text = std::fs::read(shared.join("conformance/golden/a.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["parsing"].clone()
}

/// Answers as the endpoint does: the job's JSON, or the diagnostics.
fn answer(text: &str, variables: Option<&str>, canonicalize: bool) -> Result<Value, String> {
    let options = Options {
        variable_files: variables
            .into_iter()
            .map(|text| Source {
                name: "input.hcl",
                text,
            })
            .collect(),
        ..Options::default()
    };
    match parse(
        Source {
            name: "input.hcl",
            text,
        },
        &options,
        &Isolated,
    ) {
        Ok(mut parsed) => {
            if canonicalize {
                parsed.job.canonicalize();
            }
            Ok(serde_json::to_value(&parsed.job).unwrap())
        }
        Err(failure) => Err(failure.to_string()),
    }
}

fn differences(want: &Value, got: &Value, path: &str, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                differences(
                    value,
                    b.get(name).unwrap_or(&Value::Null),
                    &format!("{path}.{name}"),
                    found,
                );
            }
            for name in b.keys().filter(|name| !a.contains_key(*name)) {
                found.push(format!("{path}.{name}: only ours"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}[{at}]"), found);
            }
        }
        _ if want == got => {}
        _ => found.push(format!("{path}: want {want}, got {got}")),
    }
}

#[test]
fn job_files_parse_as_recorded() {
    let Some(shared) = shared() else { return };
    let recorded = recorded(&shared);
    let mut failures = Vec::new();
    for (step, file, variables, canonicalize) in [
        ("full", "full", None, true),
        ("full-not-canonical", "full", None, false),
        ("service", "service", None, true),
        (
            "service-with-variables",
            "service",
            Some("count = 5\ngreeting = \"hi\"\n"),
            true,
        ),
        ("batch", "batch", None, true),
        ("periodic", "periodic", None, true),
        ("system", "system", None, true),
    ] {
        let text =
            std::fs::read_to_string(shared.join(format!("conformance/jobs/{file}.nomad.hcl")))
                .unwrap();
        match answer(&text, variables, canonicalize) {
            Ok(job) => differences(&recorded[step]["json"], &job, step, &mut failures),
            Err(text) => failures.push(format!("{step}: {text}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The steps that `scenarios.py` writes as `bad("name", <string literal>)`.
fn inline_steps(shared: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(shared.join("conformance/scenarios.py")).unwrap();
    let mut steps = Vec::new();
    for part in text.split("\n    bad(\"").skip(1) {
        let (name, rest) = part.split_once("\", ").unwrap();
        let quote = if rest.starts_with("'''") { "'''" } else { "'" };
        let body = rest[quote.len()..]
            .split(&format!("{quote})"))
            .next()
            .unwrap();
        let decoded = body
            .replace("\\n", "\n")
            .replace("\\\"", "\"")
            .replace("\\'", "'");
        steps.push((name.to_owned(), decoded));
    }
    steps
}

#[test]
fn inline_texts_parse_or_fail_as_recorded() {
    let Some(shared) = shared() else { return };
    let recorded = recorded(&shared);
    let steps = inline_steps(&shared);
    assert!(
        steps.len() >= 12,
        "only {} steps found in scenarios.py",
        steps.len()
    );
    let mut failures = Vec::new();
    for (name, text) in steps {
        let want = &recorded[&name];
        match answer(&text, None, true) {
            Ok(job) if want["status"] == 200 => {
                differences(&want["json"], &job, &name, &mut failures)
            }
            Ok(_) => failures.push(format!("{name}: no error, want {}", want["text"])),
            Err(text) if want["status"] == 200 => failures.push(format!("{name}: {text}")),
            Err(text) => {
                let want = want["text"]
                    .as_str()
                    .unwrap()
                    .strip_prefix("Failed to parse job: ")
                    .unwrap();
                // Where the reference knows no place, we do.
                let message = |line: &str| match line.strip_prefix("<nil>: ") {
                    Some(message) => (String::new(), message.to_owned()),
                    None => line
                        .split_once(": ")
                        .map(|(a, b)| (a.to_owned(), b.to_owned()))
                        .unwrap(),
                };
                let (want_place, want_text) = message(want.lines().next().unwrap());
                let (place, text) = message(text.lines().next().unwrap());
                if !text.starts_with(&want_text) || (!want_place.is_empty() && place != want_place)
                {
                    failures.push(format!(
                        "{name}: want {want_place}: {want_text}, got {place}: {text}"
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
