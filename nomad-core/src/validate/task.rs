//! Rules for tasks.

use std::collections::BTreeSet;

use super::errors::Messages;
use super::{connect, constraint, identity, resources, service, template, text};
use crate::spec::{Action, CsiPluginConfig, Task, TaskGroup, VolumeMount};

pub(super) fn errors(task: &Task, group: &TaskGroup, kind: &str) -> Messages {
    let mut errors = Messages::new();
    errors.append(name(&task.name));
    errors.require(!task.driver.is_empty(), || "Missing task driver".to_owned());
    let kill_timeout = task.kill_timeout.unwrap_or_default();
    errors.require(kill_timeout.0 >= 0, || {
        "KillTimeout must be a positive value".to_owned()
    });
    if kind == "service"
        && let Some(deadline) = group
            .update
            .as_ref()
            .and_then(|update| update.progress_deadline)
        && deadline.0 > 0
    {
        errors.require(kill_timeout <= deadline, || {
            format!(
                "KillTimeout ({kill_timeout}) longer than the group's ProgressDeadline ({deadline})"
            )
        });
    }
    errors.require(task.shutdown_delay.0 >= 0, || {
        "ShutdownDelay must be a positive value".to_owned()
    });
    match &task.resources {
        Some(wanted) => errors.nest("", &resources::errors(wanted)),
        None => errors.add("Missing task resources"),
    }
    let disk = group.ephemeral_disk.as_ref().and_then(|disk| disk.size_mb);
    errors.append(resources::logs(task.log_config.as_ref(), disk));
    errors.append(placement(task, kind));
    errors.append(service::task_errors(task, group));
    if let Some(vault) = &task.vault {
        errors.nest("Vault validation failed", &identity::vault(vault));
    }
    for (at, artifact) in task.artifacts.iter().flatten().enumerate() {
        errors.nest(
            &format!("Artifact {} validation failed", at + 1),
            &template::artifact(artifact),
        );
    }
    errors.append(template::templates(task));
    if let Some(payload) = &task.dispatch_payload {
        // The payload is written below `local/`, two levels below the allocation.
        errors.require(!template::escapes(&payload.file, 2), || {
            "Dispatch Payload validation failed: destination escapes allocation directory"
                .to_owned()
        });
    }
    if let Some(lifecycle) = &task.lifecycle {
        errors.require(
            matches!(
                lifecycle.hook.as_str(),
                "prestart" | "poststart" | "poststop"
            ),
            || {
                if lifecycle.hook.is_empty() {
                    "no lifecycle hook provided".to_owned()
                } else {
                    format!("invalid hook: {}", lifecycle.hook)
                }
            },
        );
    }
    errors.append(connect::proxy_task(task, group));
    errors.append(volume_mounts(task, group));
    if let Some(plugin) = &task.csi_plugin_config {
        errors.append(csi_plugin(plugin));
    }
    errors.append(identity::identities(task));
    errors.append(identity::secrets(task));
    errors.append(actions(task.actions.as_deref().unwrap_or_default()));
    errors
}

fn name(name: &str) -> Messages {
    let mut errors = Messages::new();
    errors.require(!name.is_empty(), || "Missing task name".to_owned());
    errors.require(!name.contains(['/', '\\']), || {
        "Task name cannot include slashes".to_owned()
    });
    errors.require(!name.contains('\0'), || {
        "Task name cannot include null characters".to_owned()
    });
    errors.require(name != "alloc", || {
        "Task name may not be \"alloc\": the allocation's own directory has that name".to_owned()
    });
    errors
}

fn placement(task: &Task, kind: &str) -> Messages {
    let mut errors = Messages::new();
    for (at, item) in task.constraints.iter().flatten().enumerate() {
        errors.nest(
            &format!("Constraint {} validation failed", at + 1),
            &constraint::constraint(item),
        );
        errors.require(!item.operand.starts_with("distinct_"), || {
            format!(
                "Constraint {} has disallowed Operand at task level: {}",
                at + 1,
                item.operand
            )
        });
    }
    if kind == "system" {
        if task
            .affinities
            .as_ref()
            .is_some_and(|list| !list.is_empty())
        {
            errors.add("System jobs may not have an affinity block");
        }
        return errors;
    }
    for (at, item) in task.affinities.iter().flatten().enumerate() {
        errors.nest(
            &format!("Affinity {} validation failed", at + 1),
            &constraint::affinity(item),
        );
    }
    errors
}

fn volume_mounts(task: &Task, group: &TaskGroup) -> Messages {
    let mut errors = Messages::new();
    for (at, mount) in task.volume_mounts.iter().flatten().enumerate() {
        // A mount without a volume is dropped.
        let Some(volume) = &mount.volume else {
            continue;
        };
        if volume.is_empty() {
            errors.add(format!("Volume Mount ({at}) references an empty volume"));
        } else if group
            .volumes
            .as_ref()
            .is_none_or(|volumes| !volumes.contains_key(volume))
        {
            errors.add(format!(
                "Volume Mount ({at}) references undefined volume {volume}"
            ));
        }
        errors.append(mount_words(mount, at));
    }
    errors
}

fn mount_words(mount: &VolumeMount, at: usize) -> Messages {
    let mut errors = Messages::new();
    let propagation = text(mount.propagation_mode.as_ref());
    errors.require(
        matches!(propagation, "private" | "host-to-task" | "bidirectional"),
        || format!("Volume Mount ({at}) has an invalid propagation mode: {propagation:?}"),
    );
    let label = text(mount.selinux_label.as_ref());
    errors.require(matches!(label, "" | "z" | "Z"), || {
        format!("Volume Mount ({at}) has an invalid selinux label: {label:?}")
    });
    errors
}

fn csi_plugin(plugin: &CsiPluginConfig) -> Messages {
    let mut errors = Messages::new();
    errors.require(!plugin.id.is_empty(), || {
        "CSIPluginConfig must have a non-empty PluginID".to_owned()
    });
    let kind = plugin.plugin_type.as_str();
    errors.require(matches!(kind, "node" | "controller" | "monolith"), || {
        format!("CSIPluginConfig PluginType must be one of 'node', 'controller', or 'monolith', got: {kind:?}")
    });
    let inside = plugin.stage_publish_base_dir == plugin.mount_dir
        || plugin
            .stage_publish_base_dir
            .starts_with(&format!("{}/", plugin.mount_dir.trim_end_matches('/')));
    errors.require(!inside, || {
        format!(
            "CSIPluginConfig StagePublishBaseDir must not be a subdirectory of MountDir, got: StagePublishBaseDir={:?} MountDir={:?}",
            plugin.stage_publish_base_dir, plugin.mount_dir
        )
    });
    errors
}

fn actions(actions: &[Action]) -> Messages {
    let mut errors = Messages::new();
    let mut seen = BTreeSet::new();
    for action in actions {
        let name = &action.name;
        let fits = (1..=128).contains(&name.chars().count())
            && !name.contains(|c: char| c.is_whitespace() || c == '\0');
        let mut inner = Messages::new();
        inner.require(!action.command.is_empty(), || {
            "command cannot be empty".to_owned()
        });
        inner.require(fits, || format!("invalid name '{name}'"));
        errors.nest(&format!("Action {name:?} validation failed"), &inner);
        errors.require(seen.insert(name), || {
            format!("Action {name:?} defined multiple times")
        });
    }
    errors
}
