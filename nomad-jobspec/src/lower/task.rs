//! `task` and its small blocks.

use nomad_core::spec::{
    Action, CsiPluginConfig, DispatchPayload, Lifecycle, LogConfig, Schedule, ScheduleCron, Task,
    VolumeMount,
};

use super::body::Reader;
use super::constraint::{affinities, constraints};
use super::{all, labelled, one, policy, resources, service, template, vault};

pub(super) fn task(reader: Reader<'_>) -> Task {
    let (identity, identities) = vault::identities(&reader);
    let task = Task {
        name: reader.label(0).to_owned(),
        driver: reader.text("driver"),
        user: reader.text("user"),
        kind: reader.text("kind"),
        leader: reader.flag("leader"),
        kill_signal: reader.text("kill_signal"),
        kill_timeout: reader.duration("kill_timeout"),
        shutdown_delay: reader.duration("shutdown_delay").unwrap_or_default(),
        config: reader.free_form("config", true),
        env: reader.string_map("env"),
        meta: reader.string_map("meta"),
        lifecycle: one(&reader, "lifecycle", lifecycle),
        constraints: constraints(&reader),
        affinities: affinities(&reader),
        resources: one(&reader, "resources", resources::resources),
        restart_policy: one(&reader, "restart", policy::restart),
        log_config: one(&reader, "logs", logs),
        services: service::services(&reader),
        artifacts: all(&reader, "artifact", template::artifact),
        templates: all(&reader, "template", template::template),
        dispatch_payload: one(&reader, "dispatch_payload", dispatch_payload),
        volume_mounts: all(&reader, "volume_mount", volume_mount),
        csi_plugin_config: one(&reader, "csi_plugin", csi_plugin),
        vault: one(&reader, "vault", vault::vault),
        consul: one(&reader, "consul", vault::consul),
        identity,
        identities,
        secrets: vault::secrets(&reader),
        actions: labelled(&reader, "action", action),
        scaling_policies: policy::task_scaling(&reader),
        schedule: one(&reader, "schedule", schedule).filter(|schedule| schedule.cron.is_some()),
    };
    reader.finish();
    task
}

fn lifecycle(reader: Reader<'_>) -> Lifecycle {
    if reader.attribute("hook").is_none() {
        reader.missing("hook");
    }
    let lifecycle = Lifecycle {
        hook: reader.text("hook"),
        sidecar: reader.flag("sidecar"),
    };
    reader.finish();
    lifecycle
}

pub(super) fn logs(reader: Reader<'_>) -> LogConfig {
    let logs = LogConfig {
        max_files: reader.int("max_files"),
        max_file_size_mb: reader.int("max_file_size"),
        disabled: reader.bool("disabled"),
        enabled: reader.bool("enabled"),
    };
    reader.finish();
    logs
}

fn dispatch_payload(reader: Reader<'_>) -> DispatchPayload {
    let payload = DispatchPayload {
        file: reader.text("file"),
    };
    reader.finish();
    payload
}

pub(super) fn volume_mount(reader: Reader<'_>) -> VolumeMount {
    let mount = VolumeMount {
        volume: reader.string("volume"),
        destination: reader.string("destination"),
        read_only: reader.bool("read_only"),
        propagation_mode: reader.string("propagation_mode"),
        selinux_label: reader.string("selinux_label"),
    };
    reader.finish();
    mount
}

fn csi_plugin(reader: Reader<'_>) -> CsiPluginConfig {
    let plugin = CsiPluginConfig {
        id: reader.text("id"),
        plugin_type: reader.text("type"),
        mount_dir: reader.text("mount_dir"),
        stage_publish_base_dir: reader.text("stage_publish_base_dir"),
        health_timeout: reader.duration("health_timeout").unwrap_or_default(),
    };
    reader.finish();
    plugin
}

fn action(reader: Reader<'_>) -> Action {
    let action = Action {
        name: reader.label(0).to_owned(),
        command: reader.text("command"),
        args: reader.strings("args"),
    };
    reader.finish();
    action
}

fn schedule(reader: Reader<'_>) -> Schedule {
    let schedule = Schedule {
        cron: one(&reader, "cron", |reader| {
            let cron = ScheduleCron {
                start: reader.text("start"),
                end: reader.text("end"),
                timezone: reader.text("timezone"),
            };
            reader.finish();
            cron
        }),
    };
    reader.finish();
    schedule
}
