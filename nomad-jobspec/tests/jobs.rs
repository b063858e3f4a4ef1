//! Whole job files: variables, locals, dynamic blocks, HCL-JSON, and what is said about mistakes.

use std::fmt::Write as _;

use nomad_jobspec::{Diagnostic, Failure, Host, Isolated, Job, Options, Source, format, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse_with(text: &str, options: &Options<'_>, host: &dyn Host) -> Result<Job, Failure> {
    parse(
        Source {
            name: "x.nomad.hcl",
            text,
        },
        options,
        host,
    )
    .map(|parsed| parsed.job)
}

fn job(text: &str) -> Value {
    match parse_with(text, &Options::default(), &Isolated) {
        Ok(job) => serde_json::to_value(job).unwrap(),
        Err(failure) => panic!("{failure}"),
    }
}

fn mistakes(text: &str) -> Vec<Diagnostic> {
    parse_with(text, &Options::default(), &Isolated)
        .unwrap_err()
        .diagnostics
}

fn first_line(text: &str) -> String {
    mistakes(text)[0].to_string()
}

/// Environment with one variable.
struct Environment(&'static str, &'static str);

impl Host for Environment {
    fn variables(&self) -> Vec<(String, String)> {
        vec![(self.0.to_owned(), self.1.to_owned())]
    }
}

#[test]
fn the_strongest_value_of_a_variable_wins() {
    let text =
        "variable \"p\" {\n type = number\n default = 1\n}\njob \"x\" {\n priority = var.p\n}\n";
    let priority =
        |options: &Options<'_>, host: &dyn Host| parse_with(text, options, host).unwrap().priority;
    let file = |text| Source {
        name: "v.hcl",
        text,
    };
    assert_eq!(priority(&Options::default(), &Isolated), Some(1));
    assert_eq!(
        priority(&Options::default(), &Environment("p", "2")),
        Some(2)
    );
    let mut options = Options {
        variable_files: vec![file("p = 3"), file("p = 4")],
        ..Options::default()
    };
    assert_eq!(priority(&options, &Environment("p", "2")), Some(4));
    options.variables = vec![
        ("p".to_owned(), "5".to_owned()),
        ("p".to_owned(), "6".to_owned()),
    ];
    assert_eq!(priority(&options, &Environment("p", "2")), Some(6));
}

#[test]
fn collections_are_given_as_expressions() {
    let text = "variable \"l\" {\n type = list(object({ a = number, b = string }))\n}\njob \"x\" {\n meta {\n v = jsonencode(var.l)\n }\n}\n";
    let options = Options {
        variables: vec![(
            "l".to_owned(),
            "[{ a = \"1\", b = true, c = 3 }]".to_owned(),
        )],
        ..Options::default()
    };
    let job = parse_with(text, &options, &Isolated).unwrap();
    assert_eq!(job.meta.unwrap()["v"], r#"[{"a":1,"b":"true"}]"#);
    let bad = Options {
        variables: vec![("l".to_owned(), "[".to_owned())],
        ..Options::default()
    };
    assert!(parse_with(text, &bad, &Isolated).is_err());
}

#[test]
fn undeclared_variables_are_told_only_where_it_is_strict() {
    let text = "variable \"region\" {\n default = \"a\"\n}\njob \"x\" {\n region = var.region\n}\n";
    let mut options = Options {
        variables: vec![("regoin".to_owned(), "b".to_owned())],
        ..Options::default()
    };
    assert!(parse_with(text, &options, &Isolated).is_ok());
    options.strict = true;
    let failure = parse_with(text, &options, &Isolated).unwrap_err();
    assert!(
        failure.to_string().contains("Did you mean \"region\"?"),
        "{failure}"
    );
}

#[test]
fn variable_declarations_are_checked() {
    for (text, words) in [
        ("variable \"a\" {\n type = any\n}", "exact type is required"),
        (
            "variable \"a\" {\n default = upper(\"x\")\n}",
            "Functions may not be called here",
        ),
        (
            "variable \"a\" {\n default = var.b\n}",
            "Variables may not be used here",
        ),
        (
            "variable \"a\" {\n type = number\n default = \"x\"\n}",
            "not compatible with the variable's type",
        ),
        (
            "variable \"a b\" {\n default = 1\n}",
            "Invalid variable name",
        ),
        (
            "variable \"a\" {\n default = 1\n}\nvariable \"a\" {\n default = 2\n}",
            "Duplicate a variable",
        ),
        (
            "variable \"a\" {\n default = 1\n validation {\n condition = true\n error_message = \"x\"\n }\n}",
            "must refer to var.a",
        ),
        (
            "variable \"a\" {\n default = 1\n validation {\n condition = var.a == 1\n error_message = \" \"\n }\n}",
            "error message",
        ),
        (
            "variable \"a\" {\n default = 1\n colour = 2\n}",
            "Unsupported argument",
        ),
        (
            "variable \"a\" {\n type = list(string)\n}",
            "Unset variable \"a\"",
        ),
    ] {
        let found = mistakes(&format!("{text}\njob \"x\" {{}}\n"));
        assert!(
            found.iter().any(|d| d.to_string().contains(words)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn locals_come_in_any_order() {
    let job = job(
        "locals {\n a = \"${local.b}!\"\n}\nlocals {\n b = upper(\"x\")\n}\njob \"x\" {\n meta = { v = local.a, \"dotted.key\" = 1 }\n}\n",
    );
    assert_eq!(job["Meta"], json!({"v": "X!", "dotted.key": "1"}));
    let line = first_line("locals {\n a = local.b\n b = local.a\n}\njob \"x\" {}\n");
    assert!(line.contains("Self-referencing local value"), "{line}");
    assert!(
        first_line("job \"x\" {\n meta {\n a = local.none\n }\n}\n")
            .contains("attribute named \"none\"")
    );
}

#[test]
fn dynamic_blocks_nest_and_see_outer_iterators() {
    let text = r#"
job "x" {
  dynamic "group" {
    for_each = { a = [1, 2], b = [] }
    iterator = g
    labels   = [g.key]
    content {
      network {
        dynamic "port" {
          for_each = g.value
          labels   = ["${g.key}-${port.value}"]
          content {
            static = port.value > 1 ? 80 : 0
          }
        }
      }
      dynamic "constraint" {
        for_each = toset
        content {}
      }
    }
  }
}
"#;
    let found = mistakes(text);
    assert!(
        found[0]
            .to_string()
            .contains("Cannot use a string value in for_each"),
        "{found:?}"
    );
    let job = job(&text
        .replace("toset", "[\"${attr.x}\"]")
        .replace("content {}", "content {\n attribute = constraint.value\n }"));
    let groups = job["TaskGroups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let network = &groups[0]["Networks"][0];
    assert_eq!(network["DynamicPorts"][0]["Label"], "a-1");
    assert_eq!(network["ReservedPorts"][0]["Label"], "a-2");
    assert_eq!(groups[1]["Networks"][0]["DynamicPorts"], Value::Null);
    assert_eq!(groups[1]["Constraints"][0]["LTarget"], "${attr.x}");
    for (change, words) in [
        (("labels   = [g.key]", ""), "\"labels\" is required"),
        (("for_each = g.value", ""), "\"for_each\" is required"),
        (
            ("dynamic \"port\"", "dynamic \"prot\""),
            "Blocks of type \"prot\" are not expected here. Did you mean \"port\"?",
        ),
    ] {
        let found = mistakes(&text.replace("toset", "[]").replace(change.0, change.1));
        assert!(
            found.iter().any(|d| d.to_string().contains(words)),
            "{words}: {found:?}"
        );
    }
}

#[test]
fn free_form_bodies_become_lists_of_maps() {
    let job = job(r#"
locals {
  maps = convert({ a = { x = 1 }, b = { x = 2 } }, map(map(number)))
}
job "x" {
  group "g" {
    task "t" {
      driver = "docker"
      config {
        labels = { team = "x" }
        nested = [{ a = 1.5 }]
        maps   = local.maps
        none   = null
        port   = 8080
        mount "volume" {
          target = "/data"
        }
        mount "tmpfs" {
          target = "/tmp"
        }
        dynamic "extra" {
          for_each = []
        }
      }
    }
  }
}
"#);
    assert_eq!(
        job["TaskGroups"][0]["Tasks"][0]["Config"],
        json!({
            "labels": [{"team": "x"}],
            "nested": [{"a": 1.5}],
            "maps": [{"x": 1}, {"x": 2}],
            "none": null,
            "port": 8080,
            "mount": [{"volume": [{"target": "/data"}]}, {"tmpfs": [{"target": "/tmp"}]}],
            "dynamic": [{"extra": [{"for_each": []}]}],
        })
    );
}

#[test]
fn blocks_of_the_job_reach_the_tasks() {
    let job = job(r#"
job "x" {
  vault {}
  secret "s" {
    provider = "nomad"
    path     = "a"
  }
  task "alone" {
    driver = "exec"
  }
  group "g" {
    vault {
      role = "r"
    }
    task "t" {
      driver = "exec"
      identity {
        name = "default"
        env  = true
      }
      identity {
        name = "other"
        aud  = ["x"]
      }
      scaling "CPU" {
        max = 1
      }
    }
  }
}
"#);
    let groups = job["TaskGroups"].as_array().unwrap();
    assert_eq!(groups[0]["Name"], "alone");
    assert_eq!(groups[0]["Tasks"][0]["Vault"]["Role"], "");
    assert_eq!(groups[1]["Tasks"][0]["Vault"]["Role"], "r");
    assert_eq!(groups[1]["Tasks"][0]["Secrets"][0]["Name"], "s");
    assert_eq!(groups[1]["Tasks"][0]["Identity"]["Env"], true);
    assert_eq!(groups[1]["Tasks"][0]["Identities"][0]["Name"], "other");
    assert_eq!(
        groups[1]["Tasks"][0]["ScalingPolicies"][0]["Type"],
        "vertical_cpu"
    );
}

#[test]
fn types_in_json_are_texts() {
    let text = r#"{"variable": {"n": {"type": "number", "default": "2"}, "l": {"type": "list(string)", "default": [1]}},
        "job": {"x": {"priority": "${var.n}", "region": "${var.l[0]}"}}}"#;
    let job = job(text);
    assert_eq!((&job["Priority"], &job["Region"]), (&json!(2), &json!("1")));
    let native = mistakes("variable \"n\" {\n  type = \"number\"\n  default = 1\n}\n");
    assert!(native.iter().any(|it| it.detail.contains("without quotes")));
}

#[test]
fn heredocs_end_with_their_marker() {
    let text = "job \"x\" {\n  meta {\n    a = <<EOT\nEOT\n    b = <<-EOT\n      text\n    EOT\n    c = yamldecode(\"2020-1-2\")\n  }\n}\n";
    assert_eq!(
        job(text)["Meta"],
        json!({ "a": "", "b": "text\n", "c": "2020-01-02T00:00:00Z" })
    );
    for (text, words) in [
        (
            "job \"x\" {\n  region = <<EOT\n%{ if true }\nEOT\n  namespace = <<EOT\n%{ endif }\nEOT\n}\n",
            "Unterminated template directive",
        ),
        (
            "job \"x\" {\n  region = \"%{ if true }a\", b = \"c%{ endif }\"\n}\n",
            "Unterminated template directive",
        ),
        ("job \"x\" {\n  region = 1\r\r\n}\n", "Invalid character"),
        ("job \"x\ny\" {\n}\n", "Invalid multi-line string"),
    ] {
        let said = first_line(text);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn json_says_the_same_as_native_syntax() {
    let native = job(r#"
variable "n" {
  default = 2
}
job "x" {
  datacenters = ["dc1"]
  meta {
    v = "n is ${var.n}"
    r = "${attr.x}"
  }
  group "g" {
    count = var.n
    constraint {
      attribute = "a"
      value     = "1"
    }
    constraint {
      attribute = "b"
      value     = "2"
    }
    task "t" {
      driver = "exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
"#);
    let text = r#"{
  "variable": {"n": {"default": 2}},
  "job": {"x": {
    "datacenters": ["dc1"],
    "//": "a comment",
    "meta": {"v": "n is ${var.n}", "r": "${attr.x}"},
    "group": {"g": {
      "count": "${var.n}",
      "constraint": [{"attribute": "a", "value": "1"}, {"attribute": "b", "value": "2"}],
      "task": [{"t": {"driver": "exec", "config": {"command": "/bin/true"}}}]
    }}
  }}
}"#;
    assert_eq!(job(text), native);
    let found = mistakes("{\"job\": {\"x\": {\"colour\": 1}}}");
    assert_eq!(
        found[0].to_string(),
        "x.nomad.hcl:1,16-24: Unsupported argument; An argument named \"colour\" is not expected here."
    );
    assert!(first_line("{\"job\": }").contains("Expected a JSON value"));
    assert!(
        first_line(&format!(
            "{{\"job\": {}{}}}",
            "[".repeat(500),
            "]".repeat(500)
        ))
        .contains("nested")
    );
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let found = mistakes(
        "job \"x\" {\n  priorty = 1\n  type = [1]\n  group \"g\" {\n    count = \"many\"\n    tsk \"t\" {}\n    network {\n      port {}\n    }\n    \
         shutdown_delay = \"1d\"\n  }\n}\n",
    );
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    for words in [
        "2,3-10: Unsupported argument; An argument named \"priorty\" is not expected here. Did you mean \"priority\"?",
        "3,10-13: Unsuitable value type; Unsuitable value: string required",
        "5,14-18: Unsuitable value type; Unsuitable value: a number is required",
        "6,5-8: Unsupported block type; Blocks of type \"tsk\" are not expected here. Did you mean \"task\"?",
        "8,7-11: Missing label for port; All port blocks must have 1 labels (label).",
        "time: unknown unit \"d\" in duration \"1d\"",
    ] {
        assert!(
            texts.iter().any(|text| text.contains(words)),
            "{words} in {texts:#?}"
        );
    }
    assert_eq!(found.len(), 6);
}

#[test]
fn after_a_syntax_error_the_next_block_is_read() {
    let found = mistakes("variable \"a\" {\n  default = = 1\n}\n\njob \"x\" {\n  colour = 1\n}\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].range.as_ref().unwrap().start.line, 2);
    assert!(found[1].detail.contains("colour"));
    // A brace that is missing in one block does not hide the next.
    let found = mistakes("locals {\n  a = 1\n\njob \"x\" {\n  colour = 1\n}\n");
    assert!(
        found[0]
            .to_string()
            .contains("1,8-9: Unclosed configuration block"),
        "{found:?}"
    );
    assert!(found[1].detail.contains("colour"));
}

#[test]
fn syntax_errors_say_what_is_wrong() {
    for (text, words) in [
        ("job \"x\" {\n  name = \"abc\n}\n", "Unterminated string"),
        ("job \"x\" {\n  name = 'abc'\n}\n", "Use double quotes"),
        (
            "job \"x\" {\n  meta {\n    a = <<EOT\n text\n}\n",
            "No closing marker was found",
        ),
        (
            "job \"x\" {\n  name = \"a\"\n  name = \"b\"\n}\n",
            "was already set in this block",
        ),
        (
            "job \"x\" {\n  name = \"a\" type = \"b\"\n}\n",
            "must end with a newline",
        ),
        (
            "job \"x\" {\n  datacenters = [\"a\"\n}\n",
            "Unterminated tuple constructor expression",
        ),
        (
            "job \"x\" {}\n}\n",
            "no open block for this closing bracket",
        ),
        ("/* never closed\njob \"x\" {}\n", "Unterminated comment"),
        (
            "job \"x\" {\n  name = \"\\q\"\n}\n",
            "not a valid escape sequence",
        ),
        ("job \"x\" {\n  name = \"${a\"\n}\n", ""),
    ] {
        let found = mistakes(text);
        assert!(
            found[0].is_error() && found[0].to_string().contains(words),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn diagnostics_show_the_place_and_are_json() {
    let found = &mistakes("job \"x\" {\n\tpriorty = 1\n}\n")[0];
    let rendered = found.render();
    assert_eq!(
        rendered,
        "Error: Unsupported argument\n --> x.nomad.hcl:2:2\n  |\n2 |  priorty = 1\n  |  ^^^^^^^\nAn argument named \"priorty\" is not \
         expected here.\nExpected: one of all_at_once, datacenters, id, name, namespace, node_pool, priority, region, type\nHint: Did you mean \
         \"priority\"?\n"
    );
    let value = serde_json::to_value(found).unwrap();
    assert_eq!(value["severity"], "error");
    assert_eq!(
        value["range"]["start"],
        json!({"line": 2, "column": 2, "byte": 11})
    );
    assert_eq!(value["source_line"], "\tpriorty = 1");
}

#[test]
fn there_must_be_one_job() {
    assert!(first_line("").contains("A job block is required"));
    assert!(first_line("jobb \"x\" {}\n").contains("Did you mean \"job\"?"));
    assert!(first_line("job \"x\" \"y\" {}\n").contains("Extraneous label for job"));
    assert!(first_line("job {}\n").contains("Missing name for job"));
    assert!(first_line("name = \"x\"\njob \"x\" {}\n").contains("Unsupported argument"));
}

#[test]
fn large_files_are_bounded() {
    let keys =
        |count: usize| (0..count).fold(String::new(), |text, key| text + &format!("k{key} = 1\n"));
    let text = |count| format!("job \"x\" {{\n meta = {{\n{}}}\n}}\n", keys(count));
    assert!(parse_with(&text(1_000), &Options::default(), &Isolated).is_ok());
    assert!(first_line(&text(3_000)).contains("Too many items"));
    assert!(first_line(&" ".repeat(5 << 20)).contains("Text too large"));
    // However many mistakes there are, only so many are told.
    let found = mistakes(&format!("job \"x\" {{\n{}}}\n", keys(1_500)));
    assert_eq!(found.len(), nomad_jobspec::MAX_DIAGNOSTICS);
}

#[test]
fn formatting_changes_no_job() {
    let shared = std::env::var_os("NOMAD_SHARED").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        std::path::PathBuf::from,
    );
    let Ok(directory) = std::fs::read_dir(shared.join("conformance/jobs")) else {
        eprintln!("skipped: no job files below {}", shared.display());
        return;
    };
    let mut seen = 0;
    for entry in directory {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let once = format(Source {
            name: "x",
            text: &text,
        })
        .unwrap();
        assert_eq!(
            format(Source {
                name: "x",
                text: &once
            })
            .unwrap(),
            once
        );
        assert_eq!(job(&once), job(&text));
        seen += 1;
    }
    assert!(seen > 0);
}

/// Pieces of job files, good and bad, that are put together at random.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("job \"x\" {\n".to_owned()),
        Just("}\n".to_owned()),
        Just("group \"g\" {\n".to_owned()),
        Just("dynamic \"group\" {\n for_each = [1]\n labels = [\"a\"]\n content {\n".to_owned()),
        Just("count = ".to_owned()),
        Just("meta = {".to_owned()),
        Just("<<-EOT\n ${a}\nEOT\n".to_owned()),
        Just("\"${".to_owned()),
        Just("%{ for x in ".to_owned()),
        Just("[for x in range(5) : ".to_owned()),
        Just("locals {\n a = local.a\n".to_owned()),
        Just("variable \"v\" {\n".to_owned()),
        Just("\"".to_owned()),
        Just("\n".to_owned()),
        Just("{\"job\": ".to_owned()),
        "[a-z]{1,4}( = [0-9]{1,3})?",
        "\\PC{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever stands in a file, there is an answer, and its places lie in the text.
    #[test]
    fn any_text_has_an_answer(pieces in prop::collection::vec(piece(), 0..30)) {
        let text = pieces.concat();
        if let Err(failure) = parse_with(&text, &Options::default(), &Isolated) {
            prop_assert!(!failure.diagnostics.is_empty());
            for diagnostic in &failure.diagnostics {
                if let Some(range) = &diagnostic.range {
                    prop_assert!(range.start.byte <= range.end.byte && range.end.byte <= text.len());
                }
                prop_assert!(!diagnostic.render().is_empty());
            }
        }
        let _ = format(Source { name: "x", text: &text });
    }

    /// A job written as a file reads back as the same job.
    #[test]
    fn printed_jobs_read_back(
        name in "[a-z]{1,8}",
        priority in 1_i64..100,
        datacenters in prop::collection::vec("[a-z0-9*\"\\\\$%{}\n]{1,6}", 1..4),
        meta in prop::collection::btree_map("[a-z]{1,6}", "\\PC{0,12}", 0..4),
        count in 0_i64..1000,
        delay in 0_i64..1_000_000_000_000,
    ) {
        let quote = |text: &str| {
            let escaped = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
                .replace("${", "$${")
                .replace("%{", "%%{");
            format!("\"{escaped}\"")
        };
        let mut text = format!("job {} {{\n  priority = {priority}\n  datacenters = [", quote(&name));
        text.push_str(&datacenters.iter().map(|dc| quote(dc)).collect::<Vec<_>>().join(", "));
        text.push_str("]\n  meta = {\n");
        for (key, value) in &meta {
            let _ = writeln!(text, "    {key} = {}", quote(value));
        }
        let _ = writeln!(text, "  }}\n  group \"g\" {{\n    count = {count}\n    shutdown_delay = {delay}\n  }}\n}}");
        let job = match parse_with(&text, &Options::default(), &Isolated) {
            Ok(job) => job,
            Err(failure) => return Err(TestCaseError::fail(format!("{failure}\n{text}"))),
        };
        prop_assert_eq!(job.id.as_deref(), Some(name.as_str()));
        prop_assert_eq!(job.priority, Some(priority));
        prop_assert_eq!(job.datacenters, Some(datacenters));
        prop_assert_eq!(job.meta, Some(meta));
        let group = &job.task_groups.unwrap()[0];
        prop_assert_eq!(group.count, Some(count));
        prop_assert_eq!(group.shutdown_delay.map(|delay| delay.0), Some(delay));
    }
}
