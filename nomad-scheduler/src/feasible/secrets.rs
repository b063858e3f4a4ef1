//! Secrets providers: plugins that a group's tasks read secrets with.

use std::borrow::Cow;
use std::collections::BTreeSet;

use nomad_core::job::TaskGroup;
use nomad_core::node::Node;

use super::{Filter, Reason};

/// Keeps nodes that have every provider.
pub(crate) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// The filter, where the group reads secrets through plugins.
    pub(crate) fn of(group: &TaskGroup) -> Option<Self> {
        let providers: BTreeSet<String> = group
            .tasks
            .iter()
            .flat_map(|task| &task.secrets)
            .map(|secret| secret.provider.clone())
            .collect();
        (!providers.is_empty()).then_some(Self(providers))
    }
}

impl Filter for Secrets {
    fn check(&self, node: &Node) -> Result<(), Reason> {
        let has = |provider: &String| {
            node.attributes
                .contains_key(&format!("plugins.secrets.{provider}.version"))
        };
        if self.0.iter().all(has) {
            Ok(())
        } else {
            Err(Cow::Borrowed("missing secrets provider"))
        }
    }
}
