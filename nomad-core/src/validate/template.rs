//! Rules for artifacts and templates, and for paths that must stay inside the allocation.

use std::collections::BTreeSet;

use super::errors::Messages;
use super::text;
use crate::spec::{Artifact, Task, Template};

/// Whether a path, seen from a directory that is `depth` levels below the allocation's, leaves the allocation.
pub(super) fn escapes(path: &str, depth: usize) -> bool {
    let mut depth = depth as i64;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                depth -= 1;
                if depth < 0 {
                    return true;
                }
            }
            _ => depth += 1,
        }
    }
    false
}

pub(super) fn artifact(artifact: &Artifact) -> Messages {
    let mut errors = Messages::new();
    errors.require(!text(artifact.getter_source.as_ref()).is_empty(), || {
        "source must be specified".to_owned()
    });
    let mode = text(artifact.getter_mode.as_ref());
    errors.require(matches!(mode, "" | "any" | "file" | "dir"), || {
        format!("invalid artifact mode {mode:?}; must be one of: any, file, dir")
    });
    // A task's directory is one level below its allocation's.
    errors.require(!escapes(text(artifact.relative_dest.as_ref()), 1), || {
        "destination escapes allocation directory".to_owned()
    });
    if let Some(checksum) = artifact
        .getter_options
        .as_ref()
        .and_then(|options| options.get("checksum"))
        && let Some(error) = checksum_error(checksum)
    {
        errors.add(error);
    }
    errors
}

fn checksum_error(checksum: &str) -> Option<String> {
    let checksum = checksum.trim();
    if checksum.is_empty() {
        return Some("checksum value cannot be empty".to_owned());
    }
    if checksum.contains("${") {
        return None;
    }
    let Some((kind, value)) = checksum.split_once(':') else {
        return Some(format!(
            "checksum must be given as \"type:value\"; got {checksum:?}"
        ));
    };
    let length = match kind {
        "md5" => 32,
        "sha1" => 40,
        "sha256" => 64,
        "sha512" => 128,
        _ => return Some(format!("unsupported checksum type: {kind}")),
    };
    let fits = value.len() == length && value.bytes().all(|b| b.is_ascii_hexdigit());
    (!fits).then(|| format!("invalid {kind} checksum: {value:?}"))
}

pub(super) fn templates(task: &Task) -> Messages {
    let mut errors = Messages::new();
    let mut destinations = BTreeSet::new();
    for (at, template) in task.templates.iter().flatten().enumerate() {
        errors.nest(
            &format!("Template {} validation failed", at + 1),
            &self::template(template),
        );
        let destination = text(template.dest_path.as_ref());
        errors.require(destinations.insert(destination), || {
            format!(
                "Template {} has same destination as another template: {destination:?}",
                at + 1
            )
        });
    }
    errors
}

fn template(template: &Template) -> Messages {
    let mut errors = Messages::new();
    let (source, data) = (
        text(template.source_path.as_ref()),
        text(template.embedded_tmpl.as_ref()),
    );
    errors.require(!source.is_empty() || !data.is_empty(), || {
        "Must specify a source path or have an embedded template".to_owned()
    });
    let destination = text(template.dest_path.as_ref());
    errors.require(!destination.is_empty(), || {
        "Must specify a destination for the template".to_owned()
    });
    errors.require(!escapes(destination, 1), || {
        "template destination escapes allocation directory".to_owned()
    });
    match text(template.change_mode.as_ref()) {
        "noop" | "restart" => {}
        "signal" => {
            errors.require(!text(template.change_signal.as_ref()).is_empty(), || {
                "Must specify signal value when change mode is signal".to_owned()
            });
            errors.require(!template.envvars.unwrap_or_default(), || {
                "cannot use signals with env var templates".to_owned()
            });
        }
        "script" => {
            let command = template
                .change_script
                .as_ref()
                .and_then(|script| script.command.as_deref());
            errors.require(command.is_some_and(|command| !command.is_empty()), || {
                "must specify script path value when change mode is script".to_owned()
            });
        }
        other => errors.add(format!(
            "unsupported change mode {other:?}; must be one of noop, restart, signal, script"
        )),
    }
    let splay = template.splay.unwrap_or_default();
    errors.require(splay.0 >= 0, || {
        "Must specify positive splay value".to_owned()
    });
    let perms = text(template.perms.as_ref());
    let octal = u32::from_str_radix(perms, 8).is_ok_and(|perms| perms <= 0o7777);
    errors.require(perms.is_empty() || octal, || {
        format!("Failed to parse {perms:?} as octal")
    });
    if let Some(wait) = &template.wait
        && let (Some(min), Some(max)) = (wait.min, wait.max)
    {
        errors.require(min <= max, || {
            format!("wait min {min} is greater than max {max}")
        });
    }
    let engine = text(template.engine.as_ref());
    errors.require(matches!(engine, "" | "go" | "tera"), || {
        format!("unknown template engine {engine:?}; must be one of go, tera")
    });
    errors
}
