//! `job init`: an example to start from.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::command::Verb;
use crate::context::Context;

/// Name of the file where none is given.
const FILE: &str = "example.nomad.hcl";

/// Flags of `job init`.
#[derive(Debug, Args)]
pub struct JobInit {
    /// Without explanations.
    #[arg(long)]
    pub short: bool,
    #[arg(long, hide = true)]
    pub connect: bool,
    #[arg(long, hide = true)]
    pub template: Option<String>,
    #[arg(long, hide = true)]
    pub list_templates: bool,
}

impl Verb for JobInit {
    const ARGUMENTS: &'static str = "[filename]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str =
        "Writes an example job file to start from: example.nomad.hcl by default.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.connect || self.template.is_some() || self.list_templates {
            bail!("job init: -connect, -template and -list-templates are not supported yet");
        }
        let name = match context.arg(0) {
            "" => FILE,
            name => name,
        };
        let text = if self.short {
            short(EXAMPLE)
        } else {
            EXAMPLE.to_owned()
        };
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o660)
            .open(name);
        match file {
            Ok(mut file) => file
                .write_all(text.as_bytes())
                .with_context(|| format!("Failed to write {name:?}"))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("Job '{name}' already exists")
            }
            Err(error) => return Err(error).with_context(|| format!("Failed to write {name:?}")),
        }
        context
            .ui
            .out(format!("Example job file written to {name}"));
        Ok(0)
    }
}

/// The example without comments and doubled blank lines.
fn short(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let blank = line.trim().is_empty();
        let doubled = lines.last().is_none_or(|last| last.trim().is_empty());
        if line.trim().starts_with('#') || (blank && doubled) {
            continue;
        }
        lines.push(line);
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// A web server out of what every machine has.
const EXAMPLE: &str = r#"# A job is what you ask the cluster to run. Try it:
#
#   nomad job plan example.nomad.hcl     shows what would change
#   nomad job run example.nomad.hcl      runs it
#   nomad job status example             shows how it is
#   nomad job stop example               stops it
job "example" {
  # "service" runs until it is stopped, "batch" until it is done; "system" runs
  # once on every node.
  type = "service"

  # A group's tasks run together, on one node. Its count says how many of it.
  group "web" {
    count = 1

    # A port that the scheduler picks. Tasks find its number in NOMAD_PORT_http.
    network {
      port "http" {}
    }

    # Two new attempts on the same node if a task fails, and then a new node.
    restart {
      attempts = 2
      interval = "30m"
      delay    = "15s"
      mode     = "fail"
    }

    task "server" {
      # raw_exec runs a program as it is, without isolation.
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do echo listening on $NOMAD_PORT_http; sleep 10; done"]
      }

      # What the task reads from a file, made anew whenever it changes.
      template {
        destination = "local/config.txt"
        data        = "group = {{ env \"NOMAD_GROUP_NAME\" }}\n"
      }

      # MHz of CPU and MiB of memory that are kept for the task.
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_job() {
        for text in [EXAMPLE.to_owned(), short(EXAMPLE)] {
            let source = nomad_jobspec::Source {
                name: FILE,
                text: &text,
            };
            let parsed = nomad_jobspec::parse(
                source,
                &nomad_jobspec::Options::default(),
                &nomad_jobspec::Isolated,
            )
            .unwrap();
            assert_eq!(parsed.job.id.as_deref(), Some("example"));
        }
        assert!(!short(EXAMPLE).contains('#'));
    }
}
