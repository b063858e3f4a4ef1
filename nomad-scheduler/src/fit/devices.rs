//! Device instances of a node: which are held, and which a group gets.

use nomad_core::alloc::AllocatedDevice;
use nomad_core::node::Node;

use crate::feasible::device::Request;

/// Reason where the free devices do not answer a request.
pub(crate) const NO_MATCH: &str = "devices: no devices match request";

/// The instances that an allocation's device stands for: (group of the node, instance).
pub(crate) fn instances(device: &AllocatedDevice, node: &Node, out: &mut Vec<(u16, u16)>) {
    for (group, own) in node.node_resources.devices.iter().enumerate() {
        if own.vendor != device.vendor || own.kind != device.kind || own.name != device.name {
            continue;
        }
        for id in &device.device_ids {
            if let Some(at) = own.instances.iter().position(|instance| instance.id == *id) {
                out.push((group as u16, at as u16));
            }
        }
    }
}

/// Healthy instances of a group that nobody holds. `held` is sorted.
pub(crate) fn free(node: &Node, group: usize, held: &[(u16, u16)]) -> Vec<u16> {
    node.node_resources.devices[group]
        .instances
        .iter()
        .enumerate()
        .filter(|(index, instance)| {
            instance.healthy && held.binary_search(&(group as u16, *index as u16)).is_err()
        })
        .map(|(index, _)| index as u16)
        .collect()
}

/// Devices given to a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// (index of the task, what it gets).
    pub(crate) devices: Vec<(usize, AllocatedDevice)>,
    /// Matched share of the affinity weights; absent where no request has affinities.
    pub(crate) score: Option<f64>,
}

/// Chooses devices for all requests, or says which one (by its place) cannot be answered.
pub(crate) fn assign(
    requests: &[(usize, Request)],
    node: &Node,
    held: &[(u16, u16)],
) -> Result<Given, usize> {
    let mut held = held.to_vec();
    let mut given = Given::default();
    let (mut matched, mut total) = (0.0, 0.0);
    for (place, (task, request)) in requests.iter().enumerate() {
        let mut best: Option<(f64, usize, Vec<u16>)> = None;
        for (index, device) in node.node_resources.devices.iter().enumerate() {
            if !request.matches(device) {
                continue;
            }
            let mut open = free(node, index, &held);
            if open.len() < request.count {
                continue;
            }
            open.truncate(request.count);
            let weight = request.matched_weight(device);
            // Of equals the later group wins.
            if best.as_ref().is_none_or(|(most, _, _)| weight >= *most) {
                best = Some((weight, index, open));
            }
        }
        let (weight, index, instances) = best.ok_or(place)?;
        if !request.affinities.is_empty() {
            matched += weight;
            total += request
                .affinities
                .iter()
                .map(|affinity| affinity.weight.abs())
                .sum::<f64>();
        }
        let device = &node.node_resources.devices[index];
        given.devices.push((
            *task,
            AllocatedDevice {
                vendor: device.vendor.clone(),
                kind: device.kind.clone(),
                name: device.name.clone(),
                device_ids: instances
                    .iter()
                    .map(|at| device.instances[usize::from(*at)].id.clone())
                    .collect(),
            },
        ));
        let taken: Vec<(u16, u16)> = instances.iter().map(|at| (index as u16, *at)).collect();
        super::merge(&mut held, &taken);
    }
    given.score = (total > 0.0).then(|| matched / total);
    Ok(given)
}
