//! Jobs of every field, made from the table and a seed: what is printed reads back as the same job.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use nomad_core::spec::{Job, decode};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::table::{Field, Form};
use super::{print, table};
use crate::{Isolated, Options, Source, format, parse};

/// What the parser fills in by itself or cannot do without: the block and the field.
const ALWAYS: [(&str, &str); 20] = [
    ("job", "Name"),
    ("constraint", "Operand"),
    ("affinity", "Operand"),
    ("group/scaling", "Max"),
    ("lifecycle", "Hook"),
    ("template", "ChangeMode"),
    ("template", "Splay"),
    ("template", "Perms"),
    ("template", "ErrMissingKey"),
    ("change_script", "Command"),
    ("change_script", "Args"),
    ("change_script", "Timeout"),
    ("change_script", "FailOnError"),
    ("change_script", "RunOnFirstRender"),
    ("vault", "Env"),
    ("vault", "DisableFile"),
    ("vault", "ChangeMode"),
    ("schedule", "Cron"),
    ("config", ""),
    ("port", "Value"),
];

/// The types that an attribute may have in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalar {
    Text,
    Small,
    Signed,
    Unsigned,
    Flag,
    Texts,
    Numbers,
    TextMap,
    ListMap,
}

const PROBES: [(Scalar, &str); 9] = [
    (Scalar::Signed, "-5000000000"),
    (Scalar::Unsigned, "5000000000"),
    (Scalar::Small, "1"),
    (Scalar::Text, "\"s\""),
    (Scalar::Flag, "true"),
    (Scalar::Texts, "[\"s\"]"),
    (Scalar::Numbers, "[1]"),
    (Scalar::TextMap, "{\"k\": \"s\"}"),
    (Scalar::ListMap, "{\"k\": [\"s\"]}"),
];

/// The type of each attribute, found by asking the decoder, by its path.
fn scalars() -> &'static BTreeMap<String, Scalar> {
    static FOUND: OnceLock<BTreeMap<String, Scalar>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = BTreeMap::new();
        probe("job", table::JOB, &|json| json, &mut found);
        found
    })
}

fn probe(
    path: &str,
    table: &[Field],
    wrap: &dyn Fn(Json) -> Json,
    found: &mut BTreeMap<String, Scalar>,
) {
    for (name, hcl, form) in table {
        let here = format!("{path}/{name}");
        let inner = format!("{path}/{hcl}");
        match form {
            Form::One(table) => probe(&inner, table, &|json| wrap(json!({ *name: json })), found),
            Form::Many(table) | Form::Labelled(_, table) => {
                probe(&inner, table, &|json| wrap(json!({ *name: [json] })), found)
            }
            Form::ByName(_, table) => probe(
                &inner,
                table,
                &|json| wrap(json!({ *name: { "k": json } })),
                found,
            ),
            Form::Ports => probe(
                &inner,
                table::PORT,
                &|json| wrap(json!({ *name: [json] })),
                found,
            ),
            Form::TaskScaling => probe(
                &inner,
                table::SCALING,
                &|json| wrap(json!({ *name: [json] })),
                found,
            ),
            Form::Set | Form::Plain | Form::Map | Form::Entries => {
                let scalar = PROBES.iter().find(|(_, text)| {
                    let value: Json = serde_json::from_str(text).unwrap();
                    let job = wrap(json!({ *name: value }));
                    decode::<Job>(job.to_string().as_bytes(), 1 << 20).is_ok()
                });
                let (scalar, _) = scalar.unwrap_or_else(|| panic!("{here} takes nothing"));
                found.insert(here, *scalar);
            }
            Form::Span | Form::PlainSpan | Form::Free | Form::Implied => {}
        }
    }
}

/// A stream of numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    fn text(&mut self) -> String {
        let pieces = [
            "",
            "a",
            "web-1",
            "ünï",
            "\"",
            "\\",
            "\n",
            "\t",
            "\r",
            "${attr.kernel.name}",
            "${",
            "%{ if x }",
            "$${NOMAD_DC}",
            "$",
            "%",
            "${NOMAD_PORT_http}",
            "}",
            "}}",
            "${node.class}}",
            "${meta.a b}",
            "\u{1}",
            "\u{2028}",
            "🦀",
            "<<EOT",
            "#",
            "//",
            " ",
            "{{ env \"A\" }}",
            "$$${x}",
            "null",
            "5",
        ];
        let count = self.below(4);
        (0..count).map(|_| self.one(&pieces)).collect()
    }

    fn identifier(&mut self) -> String {
        self.one(&["a", "b-c", "d_e", "Content-Type", "x1", "dynamic_", "é"])
            .to_owned()
    }
}

struct Maker {
    random: Random,
    /// In how many of 100 cases a field is set.
    density: u64,
}

impl Maker {
    fn object(&mut self, path: &str, table: &[Field]) -> Map<String, Json> {
        let mut object = Map::new();
        let block = path.rsplit('/').next().unwrap_or(path);
        for (name, hcl, form) in table {
            let needed = ALWAYS.iter().any(|(of, field)| {
                field == name && (*of == block || path.ends_with(&format!("/{of}")))
            });
            // Deep blocks are made rarely, so that jobs stay small.
            let deep = path.matches('/').count() as u64;
            let chance = match form {
                Form::One(_) | Form::Many(_) | Form::Labelled(..) | Form::ByName(..) => {
                    self.density / (1 + deep / 5)
                }
                _ => self.density,
            };
            let chance = if matches!(*name, "TaskGroups" | "Tasks") {
                90
            } else {
                chance
            };
            if needed || matches!(form, Form::Implied) || self.random.below(100) < chance {
                self.field(path, name, hcl, *form, &mut object);
            }
        }
        object
    }

    fn field(
        &mut self,
        path: &str,
        name: &str,
        hcl: &str,
        form: Form,
        object: &mut Map<String, Json>,
    ) {
        let inner = format!("{path}/{hcl}");
        let count = 1 + self.random.below(2);
        let value = match form {
            Form::Implied => match (path.ends_with("/periodic"), path.contains("/task/")) {
                (true, _) => json!("cron"),
                (false, true) => return,
                (false, false) => json!("horizontal"),
            },
            Form::Set | Form::Plain | Form::Map | Form::Entries => {
                let scalar = scalars()[&format!("{path}/{name}")];
                self.scalar(scalar, matches!(form, Form::Entries), name)
            }
            Form::Span | Form::PlainSpan => {
                let unit = self
                    .random
                    .one(&[1, 1_000_000, 1_000_000_000, 3_600_000_000_000]);
                json!((self.random.below(2_000) as i64 - 1_000) * unit)
            }
            Form::Free => {
                let mut map = Map::new();
                for _ in 0..=self.random.below(3) {
                    map.insert(self.random.identifier(), self.free(0));
                }
                Json::Object(map)
            }
            Form::One(table) => Json::Object(self.object(&inner, table)),
            Form::Many(table) => {
                let items = (0..count).map(|_| Json::Object(self.object(&inner, table)));
                items.collect()
            }
            Form::Labelled(label, table) => {
                let items = (0..count).map(|_| {
                    let mut item = self.object(&inner, table);
                    item.insert(label.to_owned(), json!(self.random.text()));
                    Json::Object(item)
                });
                items.collect()
            }
            Form::ByName(label, table) => {
                let mut map = Map::new();
                for _ in 0..count {
                    let key = self.random.text();
                    let mut item = self.object(&inner, table);
                    item.insert(label.to_owned(), json!(key));
                    map.insert(key, Json::Object(item));
                }
                Json::Object(map)
            }
            Form::Ports => {
                let items = (0..count).map(|_| {
                    let mut item = self.object(&inner, table::PORT);
                    let fixed = 1 + self.random.below(65_535);
                    let number = if name == "ReservedPorts" { fixed } else { 0 };
                    item.insert("Value".to_owned(), json!(number));
                    item.insert("Label".to_owned(), json!(self.random.text()));
                    Json::Object(item)
                });
                items.collect()
            }
            Form::TaskScaling => {
                let kinds = &["vertical_cpu", "vertical_mem"][..count as usize];
                let items = kinds.iter().map(|kind| {
                    let mut item = self.object(&inner, table::SCALING);
                    item.insert("Type".to_owned(), json!(kind));
                    Json::Object(item)
                });
                items.collect()
            }
        };
        object.insert(name.to_owned(), value);
    }

    fn scalar(&mut self, scalar: Scalar, identifiers: bool, name: &str) -> Json {
        match scalar {
            Scalar::Text if name == "Operand" => {
                json!(self.random.one(&["=", "!=", "regexp", "is_set"]))
            }
            // A default identity is told by its name, so names there are made where it is known which it is.
            Scalar::Text => json!(self.random.text()),
            Scalar::Small => json!(self.random.below(100)),
            Scalar::Signed => json!(self.random.next() as i64 >> self.random.below(63)),
            Scalar::Unsigned => json!(self.random.next() >> (1 + self.random.below(63))),
            Scalar::Flag => json!(self.random.below(2) == 1),
            Scalar::Texts => (0..self.random.below(3))
                .map(|_| self.random.text())
                .collect(),
            Scalar::Numbers => (0..self.random.below(3))
                .map(|_| self.random.below(65_536))
                .collect(),
            Scalar::TextMap | Scalar::ListMap => {
                let mut map = Map::new();
                for _ in 0..self.random.below(3) {
                    let key = if identifiers {
                        self.random.identifier()
                    } else {
                        self.random.text()
                    };
                    let value = if scalar == Scalar::TextMap {
                        json!(self.random.text())
                    } else {
                        json!([self.random.text()])
                    };
                    map.insert(key, value);
                }
                Json::Object(map)
            }
        }
    }

    fn free(&mut self, depth: usize) -> Json {
        match self.random.below(if depth < 3 { 8 } else { 5 }) {
            0 => Json::Null,
            1 => json!(self.random.below(2) == 1),
            2 => json!(self.random.next() as i64 >> self.random.below(63)),
            3 => json!(self.random.one(&[0.5, -1.25, 1e-7, 123_456.789, 0.1])),
            4 => json!(self.random.text()),
            5 | 6 => (0..self.random.below(3))
                .map(|_| self.free(depth + 1))
                .collect(),
            _ => {
                let mut map = Map::new();
                for _ in 0..self.random.below(3) {
                    map.insert(self.random.text(), self.free(depth + 1));
                }
                Json::Object(map)
            }
        }
    }
}

/// A job with fields as the density says.
fn job_of(seed: u64, density: u64) -> Job {
    let mut maker = Maker {
        random: Random(seed),
        density,
    };
    let mut object = maker.object("job", table::JOB);
    object.insert("ID".to_owned(), json!(maker.random.text()));
    let mut job: Job = decode(Json::Object(object).to_string().as_bytes(), 64 << 20)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    // The name tells a task's default identity from the others.
    for task in job
        .task_groups
        .iter_mut()
        .flatten()
        .flat_map(|it| it.tasks.iter_mut().flatten())
    {
        if let Some(identity) = &mut task.identity {
            identity.name = if seed.is_multiple_of(2) {
                ""
            } else {
                "default"
            }
            .to_owned();
        }
        for identity in task.identities.iter_mut().flatten() {
            if matches!(identity.name.as_str(), "" | "default") {
                identity.name = "other".to_owned();
            }
        }
    }
    job
}

fn read(text: &str) -> Job {
    let source = Source { name: "x", text };
    match parse(source, &Options::default(), &Isolated) {
        Ok(parsed) => parsed.job,
        Err(failure) => panic!("{failure}\n{text}"),
    }
}

/// The first places in which two jobs differ.
fn same(a: &Job, b: &Job, text: &str) {
    if a != b {
        let (a, b) = (
            serde_json::to_string_pretty(a).unwrap(),
            serde_json::to_string_pretty(b).unwrap(),
        );
        let differ: Vec<String> = a
            .lines()
            .zip(b.lines())
            .filter(|(a, b)| a != b)
            .take(5)
            .map(|(a, b)| format!("{a}  !=  {b}"))
            .collect();
        panic!("{}\n{text}", differ.join("\n"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// What is printed reads back as the same job, also after formatting.
    #[test]
    fn printed_jobs_are_the_same(seed in any::<u64>(), density in 3_u64..40) {
        let job = job_of(seed, density);
        let text = print(&job).unwrap();
        let again = read(&text);
        same(&job, &again, &text);
        let formatted = format(Source { name: "x", text: &text }).unwrap();
        same(&job, &read(&formatted), &formatted);
        prop_assert_eq!(print(&again).unwrap(), text);
    }

    /// The same job from a file and from its JSON is equal, as it is read and with its defaults.
    #[test]
    fn files_and_json_give_equal_jobs(seed in any::<u64>(), density in 3_u64..40) {
        let mut from_file = read(&print(&job_of(seed, density)).unwrap());
        let json = serde_json::to_vec(&from_file).unwrap();
        let mut from_json: Job = decode(&json, 64 << 20).unwrap();
        prop_assert_eq!(&from_file, &from_json);
        from_file.canonicalize();
        from_json.canonicalize();
        prop_assert_eq!(&from_file, &from_json);
        // Defaults are filled in once and for all.
        let json = serde_json::to_vec(&from_file).unwrap();
        let mut again: Job = decode(&json, 64 << 20).unwrap();
        again.canonicalize();
        prop_assert_eq!(&from_file, &again);
        prop_assert_eq!(from_file.into_job().ok(), from_json.into_job().ok());
    }
}

#[test]
fn what_no_file_can_say_is_refused() {
    for (field, value) in [
        ("Stop", json!(true)),
        ("Version", json!(3)),
        ("Payload", json!("YQ==")),
    ] {
        let json = json!({ "ID": "x", field: value });
        let job: Job = decode(json.to_string().as_bytes(), 1 << 20).unwrap();
        let error = print(&job).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
    let json = json!({ "TaskGroups": [{ "Tasks": [{ "Config": { "not a name": 1 } }] }] });
    let job: Job = decode(json.to_string().as_bytes(), 1 << 20).unwrap();
    assert!(print(&job).is_err());
}

#[test]
fn references_for_the_client_stay_readable() {
    let json = json!({ "ID": "x", "Meta": { "a": "${node.class}-${secret}", "b": "$${attr.x}" } });
    let job: Job = decode(json.to_string().as_bytes(), 1 << 20).unwrap();
    let text = print(&job).unwrap();
    assert!(text.contains(r#""${node.class}-$${secret}""#), "{text}");
    same(
        &read(&text),
        &Job {
            name: Some("x".to_owned()),
            ..job
        },
        &text,
    );
}
