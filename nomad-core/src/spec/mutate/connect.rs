//! Connect: the tasks that stand beside the user's, their ports and constraints.

use std::collections::BTreeMap;

use serde_json::json;

use super::{MutateError, constraint, gateway, suffix};
use crate::ids::IdSource;
use crate::spec::{
    Job, Lifecycle, LogConfig, Port, Resources, Service, SidecarTask, Task, TaskGroup,
};
use crate::time::Nanos;

/// The kind of a sidecar's task, followed by the service's name.
pub(super) const PROXY: &str = "connect-proxy";
/// The kind of a task that speaks Connect itself.
const NATIVE: &str = "connect-native";

/// Completes every service that uses Connect, in groups that have a network.
pub(super) fn inject(job: &mut Job, ids: &mut dyn IdSource) -> Result<(), MutateError> {
    let known = [
        ("${NOMAD_JOB_NAME}", job.name.clone().unwrap_or_default()),
        ("${NOMAD_JOB_ID}", job.id.clone().unwrap_or_default()),
        (
            "${NOMAD_NAMESPACE}",
            job.namespace.clone().unwrap_or_default(),
        ),
    ];
    for group in job.task_groups.iter_mut().flatten() {
        if group.networks.as_ref().is_none_or(Vec::is_empty) {
            continue;
        }
        let group_name = group.name.clone().unwrap_or_default();
        let mut services = group.services.take().unwrap_or_default();
        for service in &mut services {
            // The sidecar's task and port bear the service's name, so it must be settled now.
            if service
                .connect
                .as_ref()
                .is_some_and(|connect| connect.sidecar_service.is_some())
            {
                service.name = service.name.replace("${NOMAD_GROUP_NAME}", &group_name);
                for (reference, value) in &known {
                    service.name = service.name.replace(reference, value);
                }
            }
            inject_service(group, service, ids)?;
        }
        if !services.is_empty() {
            group.services = Some(services);
        }
    }
    Ok(())
}

fn inject_service(
    group: &mut TaskGroup,
    service: &mut Service,
    ids: &mut dyn IdSource,
) -> Result<(), MutateError> {
    let Some(connect) = &service.connect else {
        return Ok(());
    };
    if connect.sidecar_service.is_some() {
        sidecar(group, service, ids);
    } else if connect.native {
        native(group, service)?;
    } else if connect.gateway.is_some() {
        gateway::inject(group, service);
    }
    Ok(())
}

pub(super) fn error(
    group: &TaskGroup,
    service: &Service,
    reason: impl Into<String>,
) -> MutateError {
    MutateError::Connect {
        group: group.name.clone().unwrap_or_default(),
        service: service.name.clone(),
        reason: reason.into(),
    }
}

fn sidecar(group: &mut TaskGroup, service: &mut Service, ids: &mut dyn IdSource) {
    let kind = format!("{PROXY}:{}", service.name);
    let base = format!("{PROXY}-{}", service.name);
    let tasks = group.tasks.get_or_insert_default();
    if tasks.iter().all(|task| task.kind != kind) {
        let mut name = base.clone();
        if tasks.iter().any(|task| task.name == name) {
            name = format!("{base}-{}", suffix(ids));
        }
        let mut task = proxy_task(name, kind, tasks);
        if let Some(own) = service
            .connect
            .as_ref()
            .and_then(|connect| connect.sidecar_task.as_ref())
        {
            merge(&mut task, own);
        }
        tasks.push(task);
    }
    // The proxy's port, unless the sidecar names one.
    let own_port = service
        .connect
        .as_ref()
        .and_then(|connect| connect.sidecar_service.as_ref())
        .is_some_and(|sidecar| !sidecar.port.is_empty());
    if !own_port {
        add_dynamic_port(group, &base);
    }
}

/// Adds a port that is the same inside and outside to the group's first network.
pub(super) fn add_dynamic_port(group: &mut TaskGroup, label: &str) {
    let Some(network) = group.networks.iter_mut().flatten().next() else {
        return;
    };
    let ports = network.dynamic_ports.get_or_insert_default();
    if ports.iter().all(|port| port.label != label) {
        ports.push(Port {
            label: label.to_owned(),
            to: -1,
            host_network: "default".to_owned(),
            ..Port::default()
        });
    }
}

/// Podman where the group uses it and not Docker.
pub(super) fn container_driver(tasks: &[Task]) -> &'static str {
    let uses = |driver: &str| tasks.iter().any(|task| task.driver == driver);
    if uses("podman") && !uses("docker") {
        "podman"
    } else {
        "docker"
    }
}

/// A task that runs Envoy. `image` is a reference that the client's metadata answers.
pub(super) fn envoy_task(name: String, kind: String, driver: &str, image: &str) -> Task {
    let args = [
        "-c",
        "${NOMAD_SECRETS_DIR}/envoy_bootstrap.json",
        "-l",
        "${meta.connect.log_level}",
        "--concurrency",
        "${meta.connect.proxy_concurrency}",
        "--disable-hot-restart",
    ];
    let mut task = Task {
        name,
        kind,
        driver: driver.to_owned(),
        config: Some(BTreeMap::from([
            ("image".to_owned(), json!(image)),
            ("args".to_owned(), json!(args)),
        ])),
        shutdown_delay: Nanos::secs(5),
        kill_timeout: Some(Nanos::secs(5)),
        log_config: Some(LogConfig {
            max_files: Some(2),
            max_file_size_mb: Some(2),
            disabled: Some(false),
            enabled: None,
        }),
        resources: Some(Resources {
            cpu: Some(250),
            memory_mb: Some(128),
            cores: Some(0),
            ..Resources::default()
        }),
        constraints: Some(vec![
            constraint("${attr.consul.version}", "semver", ">= 1.8.0"),
            constraint("${attr.consul.grpc}", ">", "0"),
        ]),
        ..Task::default()
    };
    task.identity = Some(crate::spec::WorkloadIdentity {
        name: "default".to_owned(),
        audience: Some(vec!["nomadproject.io".to_owned()]),
        ..Default::default()
    });
    task
}

fn proxy_task(name: String, kind: String, tasks: &[Task]) -> Task {
    let mut task = envoy_task(
        name,
        kind,
        container_driver(tasks),
        "${meta.connect.sidecar_image}",
    );
    task.lifecycle = Some(Lifecycle {
        hook: "prestart".to_owned(),
        sidecar: true,
    });
    task
}

/// What the user says about the sidecar's task wins.
pub(super) fn merge(task: &mut Task, own: &SidecarTask) {
    if !own.name.is_empty() {
        task.name.clone_from(&own.name);
    }
    if !own.driver.is_empty() && own.driver != task.driver {
        task.driver.clone_from(&own.driver);
        // Another driver has another configuration.
        task.config = None;
    }
    if !own.user.is_empty() {
        task.user.clone_from(&own.user);
    }
    if let Some(config) = &own.config {
        task.config.get_or_insert_default().extend(config.clone());
    }
    if let Some(env) = &own.env {
        task.env.get_or_insert_default().extend(env.clone());
    }
    if let Some(meta) = &own.meta {
        task.meta.get_or_insert_default().extend(meta.clone());
    }
    if let Some(resources) = &own.resources {
        task.resources = Some(resources.clone());
    }
    if own.kill_timeout.is_some() {
        task.kill_timeout = own.kill_timeout;
    }
    if own.log_config.is_some() {
        task.log_config.clone_from(&own.log_config);
    }
    if let Some(delay) = own.shutdown_delay {
        task.shutdown_delay = delay;
    }
    if !own.kill_signal.is_empty() {
        task.kill_signal.clone_from(&own.kill_signal);
    }
    if own.volume_mounts.is_some() {
        task.volume_mounts.clone_from(&own.volume_mounts);
    }
    if own.identities.is_some() {
        task.identities.clone_from(&own.identities);
    }
}

/// A native service belongs to the task that it names, or to the only one there is.
fn native(group: &mut TaskGroup, service: &mut Service) -> Result<(), MutateError> {
    let name = service.name.clone();
    let tasks = group.tasks.as_deref_mut().unwrap_or_default();
    let found = match (service.task_name.is_empty(), tasks) {
        (true, [only]) => {
            service.task_name.clone_from(&only.name);
            Some(only)
        }
        (true, _) => None,
        (false, tasks) => tasks.iter_mut().find(|task| task.name == service.task_name),
    };
    match found {
        Some(task) => {
            task.kind = format!("{NATIVE}:{name}");
            Ok(())
        }
        None => Err(error(
            group,
            service,
            "the task that is Connect native must be named by the service",
        )),
    }
}
