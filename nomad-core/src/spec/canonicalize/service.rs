//! Defaults of services, checks and Connect.

use super::{DEFAULT_NAMESPACE, default};
use crate::spec::{
    CheckRestart, Connect, ConsulProxy, Gateway, Job, Service, ServiceCheck, SidecarService,
    SidecarTask, TaskGroup,
};
use crate::time::Nanos;

/// How long a new Envoy may take to connect.
const GATEWAY_CONNECT_TIMEOUT: Nanos = Nanos(5_000_000_000);
/// How long after a start checks do not restart the task.
const CHECK_RESTART_GRACE: Nanos = Nanos(1_000_000_000);

impl Service {
    /// Fills in the defaults; `task` names the owner of a task's service.
    pub(super) fn canonicalize(&mut self, job: &Job, group: &TaskGroup, task: Option<&str>) {
        if self.name.is_empty() {
            let job = job.name.as_deref().unwrap_or_default();
            let group = group.name.as_deref().unwrap_or_default();
            self.name = match task {
                Some(task) => format!("{job}-{group}-{task}"),
                None => format!("{job}-{group}"),
            };
        }
        set_if_empty(&mut self.address_mode, "auto");
        set_if_empty(&mut self.on_update, "require_healthy");
        set_if_empty(&mut self.provider, "consul");
        set_if_empty(&mut self.cluster, DEFAULT_NAMESPACE);
        if let Some(connect) = &mut self.connect {
            connect.canonicalize();
        }
        if let Some(weights) = &mut self.weights {
            if weights.passing <= 0 {
                weights.passing = 1;
            }
            if weights.warning <= 0 {
                weights.warning = 1;
            }
        }
        for list in [&mut self.tags, &mut self.canary_tags] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                *list = None;
            }
        }
        for check in self.checks.iter_mut().flatten() {
            check.canonicalize(&self.on_update, self.check_restart.as_ref());
        }
    }
}

fn set_if_empty(field: &mut String, value: &str) {
    if field.is_empty() {
        value.clone_into(field);
    }
}

impl ServiceCheck {
    fn canonicalize(&mut self, on_update: &str, service_restart: Option<&CheckRestart>) {
        set_if_empty(&mut self.on_update, on_update);
        self.success_before_passing = self.success_before_passing.max(0);
        self.failures_before_critical = self.failures_before_critical.max(0);
        self.failures_before_warning = self.failures_before_warning.max(0);
        self.check_restart = match (service_restart, self.check_restart.take()) {
            (None, None) => None,
            (Some(under), None) => Some(under.clone()),
            (None, Some(own)) => Some(own),
            (Some(under), Some(own)) => Some(CheckRestart {
                limit: if own.limit > 0 {
                    own.limit
                } else {
                    under.limit
                },
                grace: own.grace.or(under.grace),
                ignore_warnings: own.ignore_warnings || under.ignore_warnings,
            }),
        };
        if let Some(restart) = &mut self.check_restart {
            default(&mut restart.grace, CHECK_RESTART_GRACE);
        }
    }
}

impl Connect {
    fn canonicalize(&mut self) {
        if let Some(sidecar) = &mut self.sidecar_service {
            sidecar.canonicalize();
        }
        if let Some(task) = &mut self.sidecar_task {
            task.canonicalize();
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.canonicalize();
        }
    }
}

impl SidecarService {
    fn canonicalize(&mut self) {
        if self.tags.as_ref().is_some_and(Vec::is_empty) {
            self.tags = None;
        }
        if let Some(proxy) = &mut self.proxy {
            proxy.canonicalize();
        }
    }
}

impl ConsulProxy {
    fn canonicalize(&mut self) {
        if self.upstreams.as_ref().is_some_and(Vec::is_empty) {
            self.upstreams = None;
        }
        if self
            .config
            .as_ref()
            .is_some_and(std::collections::BTreeMap::is_empty)
        {
            self.config = None;
        }
    }
}

impl SidecarTask {
    fn canonicalize(&mut self) {
        self.resources.get_or_insert_default().canonicalize();
        default(&mut self.kill_timeout, super::task::KILL_TIMEOUT);
        default(&mut self.shutdown_delay, Nanos(0));
        self.log_config.get_or_insert_default().canonicalize();
        super::task::volume_mounts(self.volume_mounts.as_mut());
    }
}

impl Gateway {
    fn canonicalize(&mut self) {
        let proxy = self.proxy.get_or_insert_default();
        default(&mut proxy.connect_timeout, GATEWAY_CONNECT_TIMEOUT);
        if proxy
            .envoy_gateway_bind_addresses
            .as_ref()
            .is_some_and(std::collections::BTreeMap::is_empty)
        {
            proxy.envoy_gateway_bind_addresses = None;
        }
        if let Some(ingress) = &mut self.ingress {
            for listener in ingress.listeners.iter_mut().flatten() {
                set_if_empty(&mut listener.protocol, "tcp");
            }
        }
    }
}
