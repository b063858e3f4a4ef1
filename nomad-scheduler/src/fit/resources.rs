//! What a group asks of a node, and what it is given there.

use std::borrow::Cow;
use std::sync::Arc;

use nomad_core::alloc::{
    AllocatedCpu, AllocatedMemory, AllocatedResources, AllocatedSharedResources,
    AllocatedTaskResources,
};
use nomad_core::job::{NetworkResource, Task, TaskGroup};
use nomad_core::node::Node;

use super::devices::{self, Given};
use super::ports::{self, NetRoom};
use super::{Dimension, Items, Sums, cores, dimension};
use crate::feasible::device::{self, Request};
use crate::rng::Rng;

/// A group's demand, compiled once per evaluation.
pub(crate) struct Ask {
    /// Sums that are the same on every node; reserved cores add CPU that depends on the node.
    pub(crate) sums: Sums,
    /// The first network of the group.
    pub(crate) network: Option<NetworkResource>,
    /// Networks of tasks (the older form): (index of the task, network).
    task_networks: Vec<(usize, NetworkResource)>,
    pub(crate) devices: Arc<[(usize, Request)]>,
    /// Whether any task reserves cores.
    has_cores: bool,
    /// Whether `memory_max` counts.
    oversubscription: bool,
    template: AllocatedResources,
}

/// What a node's ports, cores and devices add to the demand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extra {
    pub(crate) sums: Sums,
    /// Share of the device affinities that is met.
    pub(crate) device_score: Option<f64>,
}

impl Ask {
    pub(crate) fn of(group: &TaskGroup, oversubscription: bool) -> Self {
        let mut ask = Self {
            sums: Sums::default(),
            network: group.networks.first().cloned(),
            task_networks: group
                .tasks
                .iter()
                .enumerate()
                .filter_map(|(index, task)| Some((index, task.resources.networks.first()?.clone())))
                .collect(),
            devices: device::requests(group).into(),
            has_cores: group.tasks.iter().any(|task| task.resources.cores > 0),
            oversubscription,
            template: AllocatedResources::default(),
        };
        ask.template = AllocatedResources {
            tasks: group
                .tasks
                .iter()
                .map(|task| (task.name.clone(), ask.task(task)))
                .collect(),
            task_lifecycles: group
                .tasks
                .iter()
                .map(|task| (task.name.clone(), task.lifecycle.clone()))
                .collect(),
            shared: AllocatedSharedResources {
                disk_mb: group.disk_mb(),
                ..AllocatedSharedResources::default()
            },
        };
        ask.sums = super::sums(&ask.template);
        ask
    }

    fn task(&self, task: &Task) -> AllocatedTaskResources {
        let wants = &task.resources;
        let max = if self.oversubscription {
            match wants.memory_max_mb {
                max if max > 0 => max + wants.secrets_mb,
                max => max,
            }
        } else {
            0
        };
        AllocatedTaskResources {
            cpu: AllocatedCpu {
                cpu_shares: if wants.cores > 0 { 0 } else { wants.cpu },
                reserved_cores: Vec::new(),
            },
            memory: AllocatedMemory {
                memory_mb: wants.memory_mb + wants.secrets_mb,
                memory_max_mb: max,
            },
            networks: Vec::new(),
            devices: Vec::new(),
        }
    }

    /// Whether sums are all that it asks for.
    pub(crate) fn is_plain(&self) -> bool {
        self.network.is_none()
            && self.task_networks.is_empty()
            && self.devices.is_empty()
            && !self.has_cores
    }

    /// Whether ports, devices and cores can be given, without choosing ports. The sums are for the caller to compare.
    pub(crate) fn check(
        &self,
        group: &TaskGroup,
        node: &Node,
        net: &NetRoom,
        items: &Items,
    ) -> Result<Extra, Dimension> {
        if self.is_plain() {
            return Ok(Extra {
                sums: self.sums,
                device_score: None,
            });
        }
        if self.task_networks.is_empty() && !self.has_cores {
            if let Some(network) = &self.network {
                ports::check(network, node, net, &items.ports).map_err(in_network)?;
            }
            let given = self.devices(node, items)?;
            return Ok(Extra {
                sums: self.sums,
                device_score: given.score,
            });
        }
        let (resources, score) = self.give(group, node, net, items, &mut Rng::new(0))?;
        Ok(Extra {
            sums: super::sums(&resources),
            device_score: score,
        })
    }

    fn devices(&self, node: &Node, items: &Items) -> Result<Given, Dimension> {
        if self.devices.is_empty() {
            return Ok(Given::default());
        }
        devices::assign(&self.devices, node, &items.devices)
            .map_err(|_| Cow::Borrowed(devices::NO_MATCH))
    }

    /// Gives everything but sums: chooses ports, devices and cores.
    pub(crate) fn give(
        &self,
        group: &TaskGroup,
        node: &Node,
        net: &NetRoom,
        items: &Items,
        rng: &mut Rng,
    ) -> Result<(AllocatedResources, Option<f64>), Dimension> {
        let mut resources = self.template.clone();
        let mut used_ports = Cow::Borrowed(&items.ports);
        if let Some(network) = &self.network {
            if items.ports.collides() {
                return Err(in_network(ports::NetError::Collision));
            }
            let (given, offer) =
                ports::assign(network, node, net, &used_ports, rng).map_err(in_network)?;
            if !self.task_networks.is_empty() {
                used_ports = Cow::Owned(used_ports.with_network(&offer, net));
            }
            resources.shared.ports = given;
            resources.shared.networks = vec![offer];
        }
        for (index, network) in &self.task_networks {
            let offer =
                ports::assign_task(network, node, net, &used_ports, rng).map_err(in_network)?;
            used_ports = Cow::Owned(used_ports.with_network(&offer, net));
            if let Some(task) = resources.tasks.get_mut(&group.tasks[*index].name) {
                task.networks = vec![offer];
            }
        }
        let given = self.devices(node, items)?;
        for (index, device) in given.devices {
            if let Some(task) = resources.tasks.get_mut(&group.tasks[index].name) {
                task.devices.push(device);
            }
        }
        if self.has_cores {
            let mut used = items.cores.clone();
            for task in group.tasks.iter().filter(|task| task.resources.cores > 0) {
                let count = usize::try_from(task.resources.cores).unwrap_or(usize::MAX);
                let picked =
                    cores::pick(node, &used, count).ok_or(Cow::Borrowed(dimension::CORES))?;
                super::merge(&mut used, &picked);
                if let Some(given) = resources.tasks.get_mut(&task.name) {
                    given.cpu.cpu_shares = cores::mhz(node, &picked);
                    given.cpu.reserved_cores = picked;
                }
            }
        }
        Ok((resources, given.score))
    }
}

pub(crate) fn in_network(error: ports::NetError) -> Dimension {
    Cow::Owned(format!("network: {error}"))
}
