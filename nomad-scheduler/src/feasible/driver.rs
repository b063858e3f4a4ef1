//! Drivers: a node runs a group if it has every driver of its tasks.

use std::borrow::Cow;
use std::collections::BTreeSet;

use nomad_core::job::TaskGroup;
use nomad_core::node::Node;

use super::{Filter, Reason};

/// Keeps nodes whose drivers are found and healthy.
pub(crate) struct Drivers(BTreeSet<String>);

impl Drivers {
    pub(crate) fn of(group: &TaskGroup) -> Self {
        Self(group.tasks.iter().map(|task| task.driver.clone()).collect())
    }
}

fn has(node: &Node, driver: &str) -> bool {
    if let Some(info) = node.drivers.get(driver) {
        return info.detected && info.healthy;
    }
    // Older clients only set an attribute.
    node.attributes
        .get(&format!("driver.{driver}"))
        .is_some_and(|value| super::truth(value) == Some(true))
}

impl Filter for Drivers {
    fn check(&self, node: &Node) -> Result<(), Reason> {
        if self.0.iter().all(|driver| has(node, driver)) {
            Ok(())
        } else {
            Err(Cow::Borrowed("missing drivers"))
        }
    }
}
