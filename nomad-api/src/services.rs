//! The catalogue of services of provider `nomad`, derived from the allocations that run.
//!
//! A service of a group is there while its allocation runs, one of a task while the task runs; nothing is written for
//! it. Source: HTTP API reference, "Services".

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::job::Service;
use nomad_core::view::ClusterView;
use nomad_state::State;
use serde::{Deserialize, Serialize};

/// Provider of services that this cluster lists itself.
const PROVIDER: &str = "nomad";
/// State of a task that runs.
const RUNNING: &str = "running";

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceRegistration {
    #[serde(rename = "ID")]
    pub id: String,
    pub service_name: String,
    pub namespace: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub datacenter: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    #[serde(rename = "AllocID")]
    pub alloc_id: String,
    pub tags: Vec<String>,
    pub address: String,
    pub port: i64,
    pub create_index: u64,
    pub modify_index: u64,
}

/// What an allocation offers now.
pub(crate) fn of_alloc(state: &State, alloc: &Allocation) -> Vec<ServiceRegistration> {
    if alloc.server_terminal() || alloc.client_status != ClientStatus::Running {
        return Vec::new();
    }
    let Some(group) = alloc.group() else {
        return Vec::new();
    };
    let group_name = format!("group-{}", group.name);
    let mut found: Vec<_> = group
        .services
        .iter()
        .filter_map(|service| registration(state, alloc, &group_name, service))
        .collect();
    for task in &group.tasks {
        let runs = alloc
            .task_states
            .get(&task.name)
            .is_some_and(|state| state.state.to_string() == RUNNING);
        if runs {
            let services = task.services.iter();
            found.extend(
                services.filter_map(|service| registration(state, alloc, &task.name, service)),
            );
        }
    }
    found
}

/// What every allocation that fits offers, by name and id.
pub(crate) fn all(state: &State, fits: impl Fn(&Allocation) -> bool) -> Vec<ServiceRegistration> {
    let mut found: Vec<_> = state
        .allocs()
        .filter(|alloc| fits(alloc))
        .flat_map(|alloc| of_alloc(state, alloc))
        .collect();
    found.sort_by(|a, b| (&a.service_name, &a.id).cmp(&(&b.service_name, &b.id)));
    found
}

fn registration(
    state: &State,
    alloc: &Allocation,
    owner: &str,
    service: &Service,
) -> Option<ServiceRegistration> {
    if service.provider != PROVIDER {
        return None;
    }
    let port = alloc
        .allocated_resources
        .shared
        .ports
        .iter()
        .find(|port| port.label == service.port_label);
    let canary = alloc
        .deployment_status
        .as_ref()
        .is_some_and(|status| status.canary);
    let tags = if canary && !service.canary_tags.is_empty() {
        &service.canary_tags
    } else {
        &service.tags
    };
    let address = match (service.address.as_str(), port) {
        ("", Some(port)) => port.host_ip.clone(),
        (address, _) => address.to_owned(),
    };
    Some(ServiceRegistration {
        id: format!(
            "_nomad-task-{}-{owner}-{}-{}",
            alloc.id, service.name, service.port_label
        ),
        service_name: service.name.clone(),
        namespace: alloc.namespace.to_string(),
        node_id: alloc.node_id.to_string(),
        datacenter: state
            .node(alloc.node_id)
            .map(|node| node.datacenter.clone())
            .unwrap_or_default(),
        job_id: alloc.job_id.to_string(),
        alloc_id: alloc.id.to_string(),
        tags: tags.clone(),
        address,
        // A port may also be written as a number.
        port: port.map_or_else(
            || service.port_label.parse().unwrap_or(0),
            |port| port.value,
        ),
        create_index: alloc.create_index,
        modify_index: alloc.modify_index,
    })
}

/// The `count` instances that belong to a key: always the same ones for the same key and instances.
///
/// Every instance is ranked by a hash of itself with the key, so that one that comes or goes moves few choices.
pub(crate) fn choose(
    mut found: Vec<ServiceRegistration>,
    key: &str,
    count: usize,
) -> Vec<ServiceRegistration> {
    use sha2::Digest;
    found.sort_by_cached_key(|row| {
        let mut hash = sha2::Sha256::new();
        hash.update(row.alloc_id.as_bytes());
        hash.update(key.as_bytes());
        std::cmp::Reverse(hash.finalize().to_vec())
    });
    found.truncate(count);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_stable_when_others_come() {
        let row = |id: &str| ServiceRegistration {
            alloc_id: id.to_owned(),
            ..ServiceRegistration::default()
        };
        let one = choose(vec![row("a"), row("b"), row("c")], "key", 1);
        let again = choose(vec![row("c"), row("b"), row("a")], "key", 1);
        assert_eq!(one, again);
        let chosen = choose(vec![one[0].clone(), row("a")], "key", 1);
        assert_eq!(chosen[0].alloc_id, one[0].alloc_id);
        assert_eq!(choose(vec![row("a")], "key", 3).len(), 1);
    }
}
