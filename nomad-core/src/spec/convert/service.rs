//! Services and checks.

use super::concrete;
use super::task::identity;
use crate::job;
use crate::spec::{Service, ServiceCheck};

impl Service {
    /// `namespace` is the job's.
    pub(super) fn into_service(self, namespace: &str) -> job::Service {
        job::Service {
            name: self.name,
            task_name: self.task_name,
            port_label: self.port_label,
            address_mode: self.address_mode,
            address: self.address,
            enable_tag_override: self.enable_tag_override,
            tags: self.tags.unwrap_or_default(),
            canary_tags: self.canary_tags.unwrap_or_default(),
            checks: self
                .checks
                .unwrap_or_default()
                .into_iter()
                .map(check)
                .collect(),
            connect: self
                .connect
                .and_then(|connect| serde_json::to_value(connect).ok()),
            meta: self.meta.unwrap_or_default(),
            canary_meta: self.canary_meta.unwrap_or_default(),
            tagged_addresses: self.tagged_addresses.unwrap_or_default(),
            // Consul has its own namespaces; Nomad's services live in the job's.
            namespace: if self.provider == "nomad" {
                namespace
            } else {
                "default"
            }
            .to_owned(),
            on_update: self.on_update,
            provider: self.provider,
            cluster: self.cluster,
            kind: self.kind,
            identity: self.identity.map(identity),
            weights: self.weights.map(|weights| job::ServiceWeights {
                passing: weights.passing,
                warning: weights.warning,
            }),
        }
    }
}

fn check(check: ServiceCheck) -> job::ServiceCheck {
    job::ServiceCheck {
        name: check.name,
        kind: check.check_type,
        command: check.command,
        args: check.args.unwrap_or_default(),
        path: check.path,
        protocol: check.protocol,
        port_label: check.port_label,
        expose: check.expose,
        address_mode: check.address_mode,
        advertise: check.advertise,
        interval: check.interval,
        timeout: check.timeout,
        initial_status: check.initial_status,
        notes: check.notes,
        tls_server_name: check.tls_server_name,
        tls_skip_verify: check.tls_skip_verify,
        method: check.method,
        header: check.header.unwrap_or_default(),
        check_restart: check.check_restart.map(|restart| job::CheckRestart {
            limit: restart.limit,
            grace: concrete(&restart.grace),
            ignore_warnings: restart.ignore_warnings,
        }),
        grpc_service: check.grpc_service,
        grpc_use_tls: check.grpc_use_tls,
        task_name: check.task_name,
        success_before_passing: check.success_before_passing,
        failures_before_critical: check.failures_before_critical,
        failures_before_warning: check.failures_before_warning,
        body: check.body,
        on_update: check.on_update,
    }
}
