//! Tasks and what stands in them.

use super::group::{consul, networks, restart, scaling};
use super::{ConvertError, affinities, any_map, concrete, constraints};
use crate::job;
use crate::spec::{
    Artifact, ChangeScript, CsiPluginConfig, Lifecycle, Resources, Secret, Task, Template, Vault,
    VolumeMount, WorkloadIdentity,
};

pub(super) fn identity(identity: WorkloadIdentity) -> job::WorkloadIdentity {
    job::WorkloadIdentity {
        name: identity.name,
        audience: identity.audience.unwrap_or_default(),
        change_mode: identity.change_mode,
        change_signal: identity.change_signal,
        env: identity.env,
        file: identity.file,
        filepath: identity.filepath,
        service_name: identity.service_name,
        ttl: identity.ttl,
        extra_claims: identity.extra_claims.unwrap_or_default(),
    }
}

fn vault(vault: Vault) -> job::Vault {
    job::Vault {
        role: vault.role,
        namespace: concrete(&vault.namespace),
        cluster: vault.cluster,
        env: concrete(&vault.env),
        disable_file: concrete(&vault.disable_file),
        change_mode: concrete(&vault.change_mode),
        change_signal: concrete(&vault.change_signal),
        allow_token_expiration: concrete(&vault.allow_token_expiration),
    }
}

fn secret(secret: Secret) -> job::Secret {
    job::Secret {
        name: secret.name,
        provider: secret.provider,
        path: secret.path,
        config: any_map(secret.config),
        env: secret.env.unwrap_or_default(),
    }
}

fn lifecycle(lifecycle: &Lifecycle) -> Result<job::TaskLifecycle, ConvertError> {
    Ok(job::TaskLifecycle {
        hook: match lifecycle.hook.as_str() {
            "prestart" => job::LifecycleHook::Prestart,
            "poststart" => job::LifecycleHook::Poststart,
            "poststop" => job::LifecycleHook::Poststop,
            other => return Err(ConvertError::new("lifecycle hook", other)),
        },
        sidecar: lifecycle.sidecar,
    })
}

/// Disk of a task is a matter of its group's ephemeral disk and is not kept.
fn resources(resources: Resources) -> job::Resources {
    job::Resources {
        cpu: concrete(&resources.cpu),
        cores: concrete(&resources.cores),
        memory_mb: concrete(&resources.memory_mb),
        memory_max_mb: concrete(&resources.memory_max_mb),
        disk_mb: 0,
        iops: concrete(&resources.iops),
        networks: networks(resources.networks),
        devices: resources
            .devices
            .unwrap_or_default()
            .into_iter()
            .map(|device| job::RequestedDevice {
                name: device.name,
                count: concrete(&device.count),
                constraints: constraints(device.constraints),
                affinities: affinities(device.affinities),
            })
            .collect(),
        numa: resources.numa.map(|numa| job::Numa {
            affinity: numa.affinity,
            devices: numa.devices.unwrap_or_default(),
        }),
        secrets_mb: concrete(&resources.secrets_mb),
    }
}

fn artifact(artifact: Artifact) -> job::Artifact {
    job::Artifact {
        getter_source: concrete(&artifact.getter_source),
        getter_options: artifact.getter_options.unwrap_or_default(),
        getter_headers: artifact.getter_headers.unwrap_or_default(),
        getter_mode: concrete(&artifact.getter_mode),
        getter_insecure: concrete(&artifact.getter_insecure),
        relative_dest: concrete(&artifact.relative_dest),
        chown: artifact.chown,
    }
}

fn template(template: Template) -> job::Template {
    job::Template {
        source_path: concrete(&template.source_path),
        dest_path: concrete(&template.dest_path),
        embedded_tmpl: concrete(&template.embedded_tmpl),
        change_mode: concrete(&template.change_mode),
        change_signal: concrete(&template.change_signal),
        change_script: template.change_script.map(change_script),
        splay: concrete(&template.splay),
        perms: concrete(&template.perms),
        uid: template.uid,
        gid: template.gid,
        left_delim: concrete(&template.left_delim),
        right_delim: concrete(&template.right_delim),
        envvars: concrete(&template.envvars),
        vault_grace: concrete(&template.vault_grace),
        wait: template.wait.map(|wait| job::WaitConfig {
            min: wait.min,
            max: wait.max,
        }),
        err_missing_key: concrete(&template.err_missing_key),
        once: concrete(&template.once),
        engine: concrete(&template.engine),
    }
}

fn change_script(script: ChangeScript) -> job::ChangeScript {
    job::ChangeScript {
        command: concrete(&script.command),
        args: script.args.unwrap_or_default(),
        timeout: concrete(&script.timeout),
        fail_on_error: concrete(&script.fail_on_error),
        run_on_first_render: concrete(&script.run_on_first_render),
    }
}

/// A mount without a volume is not kept.
fn volume_mounts(list: Option<Vec<VolumeMount>>) -> Vec<job::VolumeMount> {
    list.unwrap_or_default()
        .into_iter()
        .filter_map(|mount| {
            Some(job::VolumeMount {
                volume: mount.volume?,
                destination: concrete(&mount.destination),
                read_only: concrete(&mount.read_only),
                propagation_mode: concrete(&mount.propagation_mode),
                selinux_label: concrete(&mount.selinux_label),
            })
        })
        .collect()
}

fn csi_plugin(plugin: CsiPluginConfig) -> job::CsiPluginConfig {
    job::CsiPluginConfig {
        id: plugin.id,
        kind: plugin.plugin_type,
        mount_dir: plugin.mount_dir,
        stage_publish_base_dir: plugin.stage_publish_base_dir,
        health_timeout: plugin.health_timeout,
    }
}

impl Task {
    pub(super) fn into_task(self, namespace: &str) -> Result<job::Task, ConvertError> {
        Ok(job::Task {
            services: self
                .services
                .unwrap_or_default()
                .into_iter()
                .map(|s| s.into_service(namespace))
                .collect(),
            name: self.name,
            driver: self.driver,
            user: self.user,
            config: any_map(self.config),
            env: self.env.unwrap_or_default(),
            vault: self.vault.map(vault),
            secrets: self
                .secrets
                .unwrap_or_default()
                .into_iter()
                .map(secret)
                .collect(),
            consul: self.consul.map(consul),
            templates: self
                .templates
                .unwrap_or_default()
                .into_iter()
                .map(template)
                .collect(),
            constraints: constraints(self.constraints),
            affinities: affinities(self.affinities),
            resources: self.resources.map(resources).unwrap_or_default(),
            restart_policy: self.restart_policy.map(restart).transpose()?,
            dispatch_payload: self
                .dispatch_payload
                .map(|payload| job::DispatchPayload { file: payload.file }),
            lifecycle: self.lifecycle.as_ref().map(lifecycle).transpose()?,
            meta: self.meta.unwrap_or_default(),
            kill_timeout: concrete(&self.kill_timeout),
            log_config: self.log_config.map(|logs| job::LogConfig {
                max_files: concrete(&logs.max_files),
                max_file_size_mb: concrete(&logs.max_file_size_mb),
                disabled: concrete(&logs.disabled),
            }),
            artifacts: self
                .artifacts
                .unwrap_or_default()
                .into_iter()
                .map(artifact)
                .collect(),
            leader: self.leader,
            shutdown_delay: self.shutdown_delay,
            volume_mounts: volume_mounts(self.volume_mounts),
            scaling_policies: self
                .scaling_policies
                .unwrap_or_default()
                .into_iter()
                .map(scaling)
                .collect(),
            kill_signal: self.kill_signal,
            kind: self.kind,
            csi_plugin_config: self.csi_plugin_config.map(csi_plugin),
            identity: self.identity.map(identity),
            identities: self
                .identities
                .unwrap_or_default()
                .into_iter()
                .map(identity)
                .collect(),
            actions: self
                .actions
                .unwrap_or_default()
                .into_iter()
                .map(|action| job::Action {
                    name: action.name,
                    command: action.command,
                    args: action.args.unwrap_or_default(),
                })
                .collect(),
            schedule: self
                .schedule
                .and_then(|schedule| schedule.cron)
                .map(|cron| job::Schedule {
                    cron: Some(job::ScheduleCron {
                        start: cron.start,
                        end: cron.end,
                        timezone: cron.timezone,
                    }),
                }),
        })
    }
}
