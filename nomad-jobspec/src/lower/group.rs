//! `group` and its volumes; what a group says for all its tasks.

use std::collections::BTreeMap;

use nomad_core::spec::{MountOptions, TaskGroup, VolumeRequest};

use super::body::Reader;
use super::constraint::{affinities, constraints, spreads};
use super::{all, labelled, network, one, policy, service, task, vault};

pub(super) fn group(reader: Reader<'_>) -> TaskGroup {
    let mut tasks = labelled(&reader, "task", task::task);

    // The last vault block is copied to the tasks that have none.
    let vault = all(&reader, "vault", vault::vault).and_then(|mut blocks| blocks.pop());
    let secrets = vault::secrets(&reader);
    for task in tasks.iter_mut().flatten() {
        if task.vault.is_none() {
            task.vault.clone_from(&vault);
        }
        if let Some(secrets) = &secrets {
            match &mut task.secrets {
                // A task's own secrets are doubled, as in the reference; validation then refuses them.
                Some(own) => own.extend(own.clone()),
                None => task.secrets = Some(secrets.clone()),
            }
        }
    }
    let volumes: BTreeMap<String, VolumeRequest> = labelled(&reader, "volume", volume)
        .unwrap_or_default()
        .into_iter()
        .map(|v| (v.name.clone(), v))
        .collect();
    let group = TaskGroup {
        name: Some(reader.label(0).to_owned()),
        count: reader.int("count"),
        tasks,
        constraints: constraints(&reader),
        affinities: affinities(&reader),
        spreads: spreads(&reader),
        volumes: if volumes.is_empty() {
            None
        } else {
            Some(volumes)
        },
        networks: network::networks(&reader),
        services: service::services(&reader),
        restart_policy: one(&reader, "restart", policy::restart),
        reschedule_policy: one(&reader, "reschedule", policy::reschedule),
        update: one(&reader, "update", policy::update),
        migrate: one(&reader, "migrate", policy::migrate),
        disconnect: one(&reader, "disconnect", policy::disconnect),
        ephemeral_disk: one(&reader, "ephemeral_disk", policy::ephemeral_disk),
        scaling: one(&reader, "scaling", policy::group_scaling),
        consul: one(&reader, "consul", vault::consul),
        meta: reader.string_map("meta"),
        shutdown_delay: reader.duration("shutdown_delay"),
        max_run_duration: reader.duration("max_run_duration"),
        stop_after_client_disconnect: reader.duration("stop_after_client_disconnect"),
        max_client_disconnect: reader.duration("max_client_disconnect"),
        prevent_reschedule_on_lost: reader.bool("prevent_reschedule_on_lost"),
    };
    reader.finish();
    group
}

fn volume(reader: Reader<'_>) -> VolumeRequest {
    let volume = VolumeRequest {
        name: reader.label(0).to_owned(),
        volume_type: reader.text("type"),
        source: reader.text("source"),
        read_only: reader.flag("read_only"),
        sticky: reader.flag("sticky"),
        access_mode: reader.text("access_mode"),
        attachment_mode: reader.text("attachment_mode"),
        per_alloc: reader.flag("per_alloc"),
        mount_options: one(&reader, "mount_options", |reader| {
            let options = MountOptions {
                fs_type: reader.text("fs_type"),
                mount_flags: reader.strings("mount_flags"),
            };
            reader.finish();
            options
        }),
    };
    reader.finish();
    volume
}
