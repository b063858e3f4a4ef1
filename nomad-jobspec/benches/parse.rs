//! Parsing and canonicalizing: one ordinary service job, and one with many groups.

use std::fmt::Write as _;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nomad_jobspec::{Isolated, Options, Source, parse};

const HEAD: &str = r#"
variable "image" {
  type    = string
  default = "shop/web:1.4.2"
}

locals {
  tags = [for zone in ["a", "b"] : "zone-${zone}"]
}

job "shop" {
  datacenters = ["dc1", "dc2"]
  type        = "service"

  update {
    max_parallel = 2
    canary       = 1
  }
"#;

/// A group with a network, a service, templates and a task.
fn group(text: &mut String, number: usize) {
    let _ = write!(
        text,
        r#"
  group "web-{number}" {{
    count = 3

    network {{
      port "http" {{
        to = 8080
      }}
    }}

    service {{
      name     = "web-{number}"
      port     = "http"
      provider = "nomad"
      tags     = local.tags

      check {{
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"
      }}
    }}

    task "server" {{
      driver = "docker"

      config {{
        image = var.image
        ports = ["http"]
        args  = ["--node", "${{node.unique.name}}", "--port", "${{NOMAD_PORT_http}}"]
      }}

      env {{
        LEVEL = upper("info")
        GROUP = "{number}"
      }}

      template {{
        data        = <<-EOT
          listen = {{{{ env "NOMAD_ADDR_http" }}}}
          workers = 4
        EOT
        destination = "local/app.conf"
      }}

      resources {{
        cpu    = 500
        memory = 256
      }}
    }}
  }}
"#
    );
}

fn job(groups: usize) -> String {
    let mut text = HEAD.to_owned();
    for number in 0..groups {
        group(&mut text, number);
    }
    text + "}\n"
}

/// The job file of the recordings that has one of nearly every block; where there are none, an own one of its size.
fn full() -> String {
    let shared = std::env::var_os("NOMAD_SHARED").map_or_else(
        || std::path::PathBuf::from("../../shared"),
        std::path::PathBuf::from,
    );
    std::fs::read_to_string(shared.join("conformance/jobs/full.nomad.hcl"))
        .unwrap_or_else(|_| job(8))
}

fn parsed(text: &str) -> nomad_jobspec::Job {
    let source = Source {
        name: "shop.nomad.hcl",
        text,
    };
    let mut job = parse(source, &Options::default(), &Isolated)
        .expect("the job is good")
        .job;
    job.canonicalize();
    job
}

fn benches(criterion: &mut Criterion) {
    let text = full();
    // A figure of SPECIFICATION.md: at most 2 ms.
    criterion.bench_function("full.nomad.hcl", |bencher| bencher.iter(|| parsed(&text)));

    // At most 300 ms for 2,000 groups, and the time of one group the same from 200 to 2,000.
    let mut group = criterion.benchmark_group("parse_and_canonicalize");
    group.sample_size(20);
    for groups in [1_usize, 20, 200, 2_000] {
        let text = job(groups);
        group.throughput(Throughput::Elements(groups as u64));
        group.bench_function(format!("{groups}_groups"), |bencher| {
            bencher.iter(|| parsed(&text));
        });
    }
    group.finish();

    let text = job(200);
    // What the syntax alone costs, for comparison.
    criterion.bench_function("syntax_tree/200_groups", |bencher| {
        bencher.iter(|| hcl_edit::parser::parse_body(&text));
    });
    criterion.bench_function("format/200_groups", |bencher| {
        bencher.iter(|| {
            nomad_jobspec::format(Source {
                name: "shop.nomad.hcl",
                text: &text,
            })
        });
    });
}

criterion_group!(parsing, benches);
criterion_main!(parsing);
