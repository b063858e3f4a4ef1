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

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse_and_canonicalize");
    for groups in [1, 100] {
        let text = job(groups);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{groups}_groups"), |bencher| {
            bencher.iter(|| {
                let source = Source {
                    name: "shop.nomad.hcl",
                    text: &text,
                };
                let mut job = parse(source, &Options::default(), &Isolated)
                    .expect("the job is good")
                    .job;
                job.canonicalize();
                job
            });
        });
    }
    group.finish();
    let text = job(100);
    // What the syntax alone costs, for comparison.
    criterion.bench_function("syntax_tree/100_groups", |bencher| {
        bencher.iter(|| hcl_edit::parser::parse_body(&text));
    });
    criterion.bench_function("format/100_groups", |bencher| {
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
