//! Defaults of tasks and what stands in them.

use super::{DEFAULT_WEIGHT, default};
use crate::spec::{
    Artifact, ChangeScript, Consul, CsiPluginConfig, Job, LogConfig, RequestedDevice, Resources,
    RestartPolicy, Task, TaskGroup, Template, Vault, VolumeMount,
};
use crate::time::Nanos;

/// How long a task has between the signal and being killed.
pub(super) const KILL_TIMEOUT: Nanos = Nanos(5_000_000_000);
/// How long template changes are spread by default.
const TEMPLATE_SPLAY: Nanos = Nanos(5_000_000_000);
/// How long a change script may run by default.
const SCRIPT_TIMEOUT: Nanos = Nanos(5_000_000_000);
/// How long a CSI plugin may take to become healthy by default.
const CSI_HEALTH_TIMEOUT: Nanos = Nanos(30_000_000_000);

impl Task {
    /// Fills in the defaults; `group` is canonical but for its tasks.
    pub(super) fn canonicalize(&mut self, job: &Job, group: &TaskGroup) {
        self.resources.get_or_insert_default().canonicalize();
        default(&mut self.kill_timeout, KILL_TIMEOUT);
        self.log_config.get_or_insert_default().canonicalize();
        self.artifacts
            .iter_mut()
            .flatten()
            .for_each(Artifact::canonicalize);
        self.templates
            .iter_mut()
            .flatten()
            .for_each(Template::canonicalize);
        self.affinities
            .iter_mut()
            .flatten()
            .for_each(|a| default(&mut a.weight, DEFAULT_WEIGHT));
        if let Some(vault) = &mut self.vault {
            vault.canonicalize(job.vault_namespace.as_deref());
        }
        if let Some(consul) = &mut self.consul {
            consul.canonicalize();
        }
        volume_mounts(self.volume_mounts.as_mut());
        if self
            .lifecycle
            .as_ref()
            .is_some_and(|l| l.hook.is_empty() && !l.sidecar)
        {
            self.lifecycle = None;
        }
        if let Some(plugin) = &mut self.csi_plugin_config {
            plugin.canonicalize();
        }
        self.scaling_policies
            .iter_mut()
            .flatten()
            .for_each(|policy| policy.canonicalize(None));

        let mut restart = group.restart_policy.clone().unwrap_or_default();
        restart.merge(
            self.restart_policy
                .as_ref()
                .unwrap_or(&RestartPolicy::default()),
        );
        self.restart_policy = Some(restart);

        let Self { services, name, .. } = self;
        services
            .iter_mut()
            .flatten()
            .for_each(|service| service.canonicalize(job, group, Some(name)));
    }
}

pub(super) fn volume_mounts(mounts: Option<&mut Vec<VolumeMount>>) {
    for mount in mounts.into_iter().flatten() {
        default(&mut mount.propagation_mode, "private");
        default(&mut mount.read_only, false);
        default(&mut mount.selinux_label, "");
    }
}

impl Resources {
    /// CPU and memory get their defaults; asking for cores asks for no MHz.
    pub(super) fn canonicalize(&mut self) {
        let mhz = if self.cores.is_some() { 0 } else { 100 };
        default(&mut self.cpu, mhz);
        default(&mut self.cores, 0);
        default(&mut self.memory_mb, 300);
        self.networks
            .iter_mut()
            .flatten()
            .for_each(crate::spec::NetworkResource::canonicalize);
        self.devices
            .iter_mut()
            .flatten()
            .for_each(RequestedDevice::canonicalize);
        if let Some(numa) = &mut self.numa
            && numa.affinity.is_empty()
        {
            "none".clone_into(&mut numa.affinity);
        }
    }
}

impl RequestedDevice {
    fn canonicalize(&mut self) {
        default(&mut self.count, 1_u64);
        self.affinities
            .iter_mut()
            .flatten()
            .for_each(|a| default(&mut a.weight, DEFAULT_WEIGHT));
    }
}

impl LogConfig {
    pub(super) fn canonicalize(&mut self) {
        default(&mut self.max_files, 10);
        default(&mut self.max_file_size_mb, 10);
        default(&mut self.disabled, false);
    }
}

impl Consul {
    fn canonicalize(&mut self) {
        if self.cluster.is_empty() {
            "default".clone_into(&mut self.cluster);
        }
    }
}

impl Artifact {
    fn canonicalize(&mut self) {
        default(&mut self.getter_mode, "any");
        default(&mut self.getter_source, "");
        default(&mut self.getter_insecure, false);
        for map in [&mut self.getter_headers, &mut self.getter_options] {
            if map
                .as_ref()
                .is_some_and(std::collections::BTreeMap::is_empty)
            {
                *map = None;
            }
        }
        if self.relative_dest.is_none() {
            let source = self.getter_source.as_deref().unwrap_or_default();
            self.relative_dest = Some(match self.getter_mode.as_deref() {
                Some("file") => format!("local/{}", basename(source)),
                _ => "local/".to_owned(),
            });
        }
    }
}

/// The last part of a slash-separated path, as Go's `path.Base` has it.
fn basename(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

impl Template {
    fn canonicalize(&mut self) {
        default(&mut self.source_path, "");
        default(&mut self.dest_path, "");
        default(&mut self.embedded_tmpl, "");
        default(&mut self.change_mode, "restart");
        match &mut self.change_signal {
            Some(signal) => *signal = signal.to_uppercase(),
            None if self.change_mode.as_deref() == Some("signal") => {
                self.change_signal = Some("SIGHUP".to_owned())
            }
            None => self.change_signal = Some(String::new()),
        }
        if let Some(script) = &mut self.change_script {
            script.canonicalize();
        }
        default(&mut self.once, false);
        default(&mut self.splay, TEMPLATE_SPLAY);
        default(&mut self.perms, "0644");
        default(&mut self.left_delim, "{{");
        default(&mut self.right_delim, "}}");
        default(&mut self.envvars, false);
        default(&mut self.err_missing_key, false);
        default(&mut self.vault_grace, Nanos(0));
    }
}

impl ChangeScript {
    /// Fills in the defaults; a job file's parser does so already.
    pub fn canonicalize(&mut self) {
        default(&mut self.command, "");
        default(&mut self.args, Vec::new());
        default(&mut self.timeout, SCRIPT_TIMEOUT);
        default(&mut self.fail_on_error, false);
        default(&mut self.run_on_first_render, false);
    }
}

impl Vault {
    /// Fills in the defaults; an unset namespace is the job's.
    fn canonicalize(&mut self, namespace: Option<&str>) {
        default(&mut self.env, true);
        default(&mut self.disable_file, false);
        if self.namespace.as_deref().unwrap_or_default().is_empty() {
            self.namespace = Some(namespace.unwrap_or_default().to_owned());
        }
        if self.cluster.is_empty() {
            "default".clone_into(&mut self.cluster);
        }
        default(&mut self.change_mode, "restart");
        match &mut self.change_signal {
            Some(signal) => *signal = signal.to_uppercase(),
            None => self.change_signal = Some("SIGHUP".to_owned()),
        }
        default(&mut self.allow_token_expiration, false);
    }
}

impl CsiPluginConfig {
    fn canonicalize(&mut self) {
        if self.mount_dir.is_empty() {
            "/csi".clone_into(&mut self.mount_dir);
        }
        if self.stage_publish_base_dir.is_empty() {
            "/local/csi".clone_into(&mut self.stage_publish_base_dir);
        }
        if self.health_timeout.0 == 0 {
            self.health_timeout = CSI_HEALTH_TIMEOUT;
        }
    }
}
