//! Devices: which groups of a node's devices answer a request.

use std::borrow::Cow;
use std::sync::Arc;

use nomad_core::job::{RequestedDevice, TaskGroup};
use nomad_core::node::{Node, NodeDevice};

use super::constraint::Test;
use super::value::Value;
use super::{Filter, Reason};

/// Reason of nodes without the devices.
pub(crate) const MISSING: &str = "missing devices";

/// A device request, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    vendor: Option<String>,
    kind: String,
    model: Option<String>,
    pub(crate) count: usize,
    constraints: Vec<DeviceCheck>,
    pub(crate) affinities: Vec<DeviceCheck>,
}

/// A constraint or affinity on a device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceCheck {
    left: String,
    right: String,
    operand: String,
    pub(crate) weight: f64,
}

/// One side of a device check on a device group.
fn resolve(side: &str, device: &NodeDevice) -> Option<Value> {
    let Some(inner) = side.strip_prefix("${") else {
        return Some(Value::parse(side));
    };
    match inner.strip_suffix('}')? {
        "device.model" => Some(Value::Text(device.name.clone())),
        "device.vendor" => Some(Value::Text(device.vendor.clone())),
        "device.type" => Some(Value::Text(device.kind.clone())),
        "device.ids" => Some(Value::Text(
            device
                .instances
                .iter()
                .map(|instance| instance.id.as_str())
                .collect::<Vec<_>>()
                .join(","),
        )),
        name => device
            .attributes
            .get(name.strip_prefix("device.attr.")?)
            .and_then(Value::of),
    }
}

impl DeviceCheck {
    pub(crate) fn is_met_by(&self, device: &NodeDevice) -> bool {
        let left = resolve(&self.left, device);
        let right = resolve(&self.right, device);
        let order = || left.as_ref()?.compare(right.as_ref()?);
        let ordered = || order().filter(|_| !left.as_ref().is_some_and(Value::is_bool));
        match self.operand.as_str() {
            "=" | "==" | "is" => order().is_some_and(|order| order.is_eq()),
            "!=" | "not" => match (&left, &right) {
                (None, None) => false,
                (None, Some(_)) | (Some(_), None) => true,
                (Some(_), Some(_)) => order().is_some_and(|order| order.is_ne()),
            },
            "<" => ordered().is_some_and(|order| order.is_lt()),
            "<=" => ordered().is_some_and(|order| order.is_le()),
            ">" => ordered().is_some_and(|order| order.is_gt()),
            ">=" => ordered().is_some_and(|order| order.is_ge()),
            "is_set" => left.is_some(),
            "is_not_set" => left.is_none(),
            operand => {
                let text = left.as_ref().and_then(Value::text);
                let pattern = if self.right.starts_with("${") {
                    right.as_ref().and_then(Value::text)
                } else {
                    Some(self.right.as_str())
                };
                Test::new(operand, pattern.unwrap_or("")).holds(text, pattern)
            }
        }
    }
}

impl Request {
    pub(crate) fn new(request: &RequestedDevice) -> Self {
        let mut parts = request.name.splitn(3, '/').map(str::to_owned);
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        let (vendor, kind, model) = match (first, second, third) {
            (Some(kind), None, _) => (None, kind, None),
            (Some(vendor), Some(kind), model) => (Some(vendor), kind, model),
            (None, _, _) => (None, String::new(), None),
        };
        Self {
            vendor,
            kind,
            model,
            count: usize::try_from(request.count).unwrap_or(usize::MAX),
            constraints: request
                .constraints
                .iter()
                .map(|constraint| DeviceCheck {
                    left: constraint.ltarget.clone(),
                    right: constraint.rtarget.clone(),
                    operand: constraint.operand.clone(),
                    weight: 0.0,
                })
                .collect(),
            affinities: request
                .affinities
                .iter()
                .map(|affinity| DeviceCheck {
                    left: affinity.ltarget.clone(),
                    right: affinity.rtarget.clone(),
                    operand: affinity.operand.clone(),
                    weight: f64::from(affinity.weight),
                })
                .collect(),
        }
    }

    /// Whether devices of this group may answer, whatever is free of them.
    pub(crate) fn matches(&self, device: &NodeDevice) -> bool {
        self.kind == device.kind
            && self
                .vendor
                .as_ref()
                .is_none_or(|vendor| *vendor == device.vendor)
            && self
                .model
                .as_ref()
                .is_none_or(|model| *model == device.name)
            && self.constraints.iter().all(|check| check.is_met_by(device))
    }

    /// Sum of the weights of the affinities that the group meets.
    pub(crate) fn matched_weight(&self, device: &NodeDevice) -> f64 {
        self.affinities
            .iter()
            .filter(|affinity| affinity.is_met_by(device))
            .map(|affinity| affinity.weight)
            .sum()
    }
}

/// The device requests of a group: (index of the task, request), in the order of the tasks.
pub(crate) fn requests(group: &TaskGroup) -> Vec<(usize, Request)> {
    group
        .tasks
        .iter()
        .enumerate()
        .flat_map(|(index, task)| {
            task.resources
                .devices
                .iter()
                .map(move |request| (index, Request::new(request)))
        })
        .collect()
}

/// Keeps nodes that have enough healthy devices, used or not.
pub(crate) struct Devices(pub(crate) Arc<[(usize, Request)]>);

impl Filter for Devices {
    fn check(&self, node: &Node) -> Result<(), Reason> {
        let mut free: Vec<usize> = node
            .node_resources
            .devices
            .iter()
            .map(|device| device.instances.iter().filter(|i| i.healthy).count())
            .collect();
        for (_, request) in self.0.iter() {
            let found = node
                .node_resources
                .devices
                .iter()
                .enumerate()
                .find(|(index, device)| free[*index] >= request.count && request.matches(device));
            match found {
                Some((index, _)) => free[index] -= request.count,
                None => return Err(Cow::Borrowed(MISSING)),
            }
        }
        Ok(())
    }
}
