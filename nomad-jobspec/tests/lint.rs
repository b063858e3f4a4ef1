//! What `job validate -strict` warns of, and what it stays silent about.

use nomad_jobspec::{Diagnostic, Isolated, Lint, Options, Severity, Source, parse};

fn warnings(text: &str) -> Vec<Diagnostic> {
    let options = Options {
        lint: Some(Lint {
            template_functions: &["env", "key", "nomadService"],
        }),
        ..Options::default()
    };
    let source = Source {
        name: "x.nomad.hcl",
        text,
    };
    match parse(source, &options, &Isolated) {
        Ok(parsed) => parsed.warnings,
        Err(failure) => panic!("{failure}\n{text}"),
    }
}

/// Place and summary of each warning.
fn said(text: &str) -> Vec<String> {
    warnings(text)
        .iter()
        .map(|warning| {
            assert_eq!(warning.severity, Severity::Warning);
            let range = warning.range.as_ref().expect("every warning has a place");
            let start = range.start;
            format!("{}:{} {}", start.line, start.column, warning.summary)
        })
        .collect()
}

const GOOD: &str = r#"
variable "image" {
  default = "web:1"
}
locals {
  deep = var.image
  used = local.deep
}
job "x" {
  datacenters = ["dc*"]
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }
  constraint {
    attribute = "${node.datacenter}"
    value     = "dc1"
  }
  group "g" {
    count = 2
    update {
      canary = 1
    }
    volume "data" {
      type   = "host"
      source = "data"
    }
    network {
      port "http" {}
      port "admin" {}
      port "db" {
        to = 5432
      }
    }
    service {
      port = "http"
    }
    task "t" {
      driver = "docker"
      config {
        image = local.used
        args  = ["--pg=5432", "${NOMAD_ADDR_admin}", "${env["HOME"]}", "${PORT}", "${meta.x}"]
      }
      env {
        PORT = "1"
      }
      template {
        data        = "{{ env \"X\" }}{{ range nomadService \"a\" }}{{ .Address }}{{ end }}"
        destination = "local/x"
      }
      volume_mount {
        volume      = "data"
        destination = "/data"
      }
      resources {
        memory     = 100
        memory_max = 200
      }
    }
  }
}
"#;

#[test]
fn a_good_file_is_passed_over() {
    assert_eq!(said(GOOD), Vec::<String>::new());
}

#[test]
fn nothing_is_looked_for_unless_asked() {
    let source = Source {
        name: "x",
        text: "variable \"a\" {\n  default = 1\n}\njob \"x\" {}\n",
    };
    let parsed = parse(source, &Options::default(), &Isolated).unwrap();
    assert!(parsed.warnings.is_empty());
}

#[test]
fn unused_names_are_told() {
    let text = "variable \"a\" {\n  default = 1\n  validation {\n    condition = var.a > 0\n    error_message = \"x\"\n  }\n}\nvariables {\n  b = 2\n  c = 3\n}\nlocals {\n  d = var.b\n  e = var.c\n}\njob \"x\" {\n  priority = local.e\n}\n";
    assert_eq!(
        said(text),
        [
            "1:1 Unused variable",
            "9:3 Unused variable",
            "13:3 Unused local value"
        ]
    );
    let json = "{\"variable\": {\"a\": {\"default\": 1}}, \"job\": {\"x\": {\"priority\": 5}}}";
    assert_eq!(said(json), ["1:15 Unused variable"]);
}

#[test]
fn references_that_nobody_knows_are_told() {
    let text = "job \"x\" {\n  region = vars.region\n  namespace = prod\n  meta {\n    a = \"${lcoal.x}-${node.class}\"\n    b = \"${FOO}\"\n  }\n}\n";
    let found = warnings(text);
    assert_eq!(
        said(text),
        [
            "2:12 Unknown reference",
            "3:15 Unknown reference",
            "5:12 Unknown reference"
        ]
    );
    let hints: Vec<&str> = found.iter().filter_map(|it| it.hint.as_deref()).collect();
    assert_eq!(
        hints,
        [
            "Did you mean \"var\"?",
            "Did you mean the text \"prod\", in quotes?",
            "Did you mean \"local\"?"
        ]
    );
}

fn in_group(inner: &str) -> Vec<String> {
    said(&format!("job \"x\" {{\ngroup \"g\" {{\n{inner}\n}}\n}}\n"))
}

#[test]
fn unread_ports_are_told() {
    let text = "network {\n  port \"http\" {}\n  port \"metrics\" {\n    to = 9090\n  }\n}\nservice {\n  port = \"htpp\"\n}\ntask \"t\" {\n  driver = \"exec\"\n  config {\n    args = [\"$NOMAD_PORT_https\", \"19090\"]\n  }\n}";
    assert_eq!(
        in_group(text),
        [
            "4:8 Unread port",
            "5:8 Unread port",
            "10:11 Unknown port label"
        ]
    );
    let dynamic = "network {\n  dynamic \"port\" {\n    for_each = [\"a\", \"b\"]\n    labels = [port.value]\n    content {}\n  }\n}\nservice {\n  port = \"a\"\n}";
    assert_eq!(in_group(dynamic), ["6:14 Unread port"]);
}

#[test]
fn impossible_constraints_are_told() {
    let constraint = |attribute: &str, operator: &str, value: &str| {
        format!(
            "constraint {{\nattribute = \"{attribute}\"\noperator = \"{operator}\"\nvalue = \"{value}\"\n}}\n"
        )
    };
    for (first, second, wrong) in [
        (
            constraint("${attr.cpu.arch}", "=", "amd64"),
            constraint("${attr.cpu.arch}", "=", "arm64"),
            true,
        ),
        (
            constraint("${attr.cpu.arch}", "=", "amd64"),
            constraint("${attr.cpu.arch}", "!=", "arm64"),
            false,
        ),
        (
            constraint("${attr.nomad.version}", "semver", ">= 2.0.0, < 1.0.0"),
            String::new(),
            true,
        ),
        (
            constraint("${attr.memory}", ">", "10"),
            constraint("${attr.memory}", "<", "5"),
            true,
        ),
        (
            constraint("${NOMAD_DC}", "=", "dc1").replace("${NOMAD_DC}", "${env.DC}"),
            String::new(),
            true,
        ),
        (constraint("${node.pool}", "=", "gpu"), String::new(), true),
        (constraint("linux", "=", "windows"), String::new(), true),
        (
            constraint("${meta.a}", "=", "${meta.b}"),
            constraint("${meta.a}", "=", "x"),
            false,
        ),
        (
            constraint("${meta.a}", "is_set", ""),
            constraint("${meta.a}", "is_not_set", ""),
            true,
        ),
    ] {
        let text = format!("{first}task \"t\" {{\ndriver = \"exec\"\n{second}}}");
        let found = in_group(&text);
        assert_eq!(
            found
                .iter()
                .filter(|it| it.ends_with("Constraint can never hold"))
                .count(),
            usize::from(wrong),
            "{text} {found:?}"
        );
    }
    let text = "job \"x\" {\n  datacenters = [\"eu-*\"]\n  constraint {\n    attribute = \"${node.datacenter}\"\n    value = \"us-1\"\n  }\n}\n";
    assert_eq!(said(text), ["3:3 Constraint can never hold"]);
}

#[test]
fn unknown_template_functions_are_told_at_their_place() {
    let text = "task \"t\" {\n  driver = \"exec\"\n  template {\n    data = <<-EOT\n      {{ env \"A\" }}\n      {{ nomadServce \"b\" | toUpper }}\n    EOT\n    destination = \"x\"\n  }\n  template {\n    data = \"[[ frob ]] {{ other }}\"\n    left_delimiter = \"[[\"\n    right_delimiter = \"]]\"\n    destination = \"y\"\n  }\n}";
    assert_eq!(
        in_group(text),
        [
            "8:10 Unknown template function",
            "8:28 Unknown template function",
            "13:16 Unknown template function"
        ]
    );
}

#[test]
fn doubtful_values_are_told() {
    let text = "count = 2\nstop_after_client_disconnect = \"1m\"\nupdate {\n  canary = 3\n}\nvolume \"v\" {\n  type = \"nfs\"\n}\naffinity {\n  attribute = \"a\"\n  weight = 200\n}\nconstraint {\n  attribute = \"${meta.a}\"\n  is_set = true\n}\ntask \"t\" {\n  driver = \"exec\"\n  resources {\n    memory = 200\n    memory_max = 100\n  }\n}";
    assert_eq!(
        in_group(text),
        [
            "4:1 Argument without effect",
            "6:12 More than there are",
            "8:8 Unmounted volume",
            "9:11 Volume of unknown type",
            "13:12 Weight out of range",
            "17:3 Argument without effect",
            "23:18 memory_max below memory"
        ]
    );
}

#[test]
fn warnings_are_json_with_their_place() {
    let found = warnings("variable \"a\" {\n  default = 1\n}\njob \"x\" {}\n");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json[0]["severity"], "warning");
    assert_eq!(json[0]["range"]["start"]["line"], 1);
    assert_eq!(json[0]["source_line"], "variable \"a\" {");
    assert!(
        found[0]
            .render()
            .starts_with("Warning: Unused variable\n --> x.nomad.hcl:1:1\n")
    );
}
