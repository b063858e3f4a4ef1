//! Node meta: what the configuration says, and what was set since.

use nomad_core::job::StringMap;
use serde::Serialize;

use super::Client;
use crate::metrics::RequestTimer;
use crate::state::{DynamicMeta, StateError};

/// Longest key and value of dynamic meta, in bytes.
const MAX_META_BYTES: usize = 64 * 1024;

/// Static and dynamic meta.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeMeta {
    fixed: StringMap,
    dynamic: DynamicMeta,
}

/// Meta in the shape of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeMetaView {
    /// As jobs see it.
    pub meta: StringMap,
    /// What was set; null hides a key of the configuration.
    pub dynamic: DynamicMeta,
    /// The configuration's.
    #[serde(rename = "Static")]
    pub fixed: StringMap,
}

/// Why meta cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// A key that jobs could not refer to.
    #[error("{0:?} is invalid; metadata keys must be valid dotted hcl identifiers")]
    BadKey(String),
    /// More than can be kept.
    #[error("metadata is limited to {MAX_META_BYTES} bytes")]
    TooLarge,
    /// It cannot be stored.
    #[error(transparent)]
    State(#[from] StateError),
}

impl NodeMeta {
    pub(super) fn new(fixed: StringMap, dynamic: DynamicMeta) -> Self {
        Self { fixed, dynamic }
    }

    /// As jobs see it.
    pub(super) fn merged(&self) -> StringMap {
        let mut meta = self.fixed.clone();
        for (key, value) in &self.dynamic {
            match value {
                Some(value) => meta.insert(key.clone(), value.clone()),
                None => meta.remove(key),
            };
        }
        meta
    }

    /// With changes; null removes. A null is only kept where it hides a key of the configuration.
    fn changed(&self, changes: DynamicMeta) -> Result<DynamicMeta, MetaError> {
        let mut dynamic = self.dynamic.clone();
        for (key, value) in changes {
            if !is_dotted_identifier(&key) {
                return Err(MetaError::BadKey(key));
            }
            if value.is_none() && !self.fixed.contains_key(&key) {
                dynamic.remove(&key);
            } else {
                dynamic.insert(key, value);
            }
        }
        let size: usize = dynamic
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len))
            .sum();
        if size > MAX_META_BYTES {
            return Err(MetaError::TooLarge);
        }
        Ok(dynamic)
    }

    fn view(&self) -> NodeMetaView {
        NodeMetaView {
            meta: self.merged(),
            dynamic: self.dynamic.clone(),
            fixed: self.fixed.clone(),
        }
    }
}

/// Letters, digits, `_` and `-` between dots, each part beginning with a letter or `_`.
fn is_dotted_identifier(key: &str) -> bool {
    key.split('.').all(|part| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    })
}

impl Client {
    /// Meta of this node.
    pub fn node_meta(&self) -> NodeMetaView {
        let _timer = RequestTimer::new("nomad.client.node_meta.read");
        self.core.meta.lock().view()
    }

    /// Changes meta; null removes a key. It is stored before it takes effect, then registered.
    ///
    /// # Errors
    /// A key is no dotted identifier, there is too much of it, or it cannot be stored.
    pub fn apply_node_meta(&self, changes: DynamicMeta) -> Result<NodeMetaView, MetaError> {
        let _timer = RequestTimer::new("nomad.client.node_meta.apply");
        let mut meta = self.core.meta.lock();
        let dynamic = meta.changed(changes)?;
        self.core.shared.db.put_node_meta(&dynamic)?;
        meta.dynamic = dynamic;
        let view = meta.view();
        drop(meta);
        self.core
            .change_node(|node| node.meta.clone_from(&view.meta));
        Ok(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> NodeMeta {
        let fixed = StringMap::from([("rack".to_owned(), "r0".to_owned())]);
        NodeMeta::new(fixed, DynamicMeta::new())
    }

    fn change(key: &str, value: Option<&str>) -> DynamicMeta {
        DynamicMeta::from([(key.to_owned(), value.map(str::to_owned))])
    }

    #[test]
    fn changes_hide_add_and_remove() {
        let mut meta = meta();
        meta.dynamic = meta.changed(change("a.b-c", Some("1"))).unwrap();
        assert_eq!(meta.merged().len(), 2);
        meta.dynamic = meta.changed(change("rack", None)).unwrap();
        assert_eq!(meta.merged().len(), 1);
        assert_eq!(meta.dynamic["rack"], None);
        meta.dynamic = meta.changed(change("a.b-c", None)).unwrap();
        assert!(!meta.dynamic.contains_key("a.b-c"));
        meta.dynamic = meta.changed(change("rack", Some("r9"))).unwrap();
        assert_eq!(meta.merged()["rack"], "r9");
    }

    #[test]
    fn keys_must_be_ones_that_jobs_can_name() {
        for key in ["a b", "", "a..b", "1a", ".a", "a."] {
            let error = meta().changed(change(key, None)).unwrap_err();
            assert!(error.to_string().contains("is invalid"), "{key}");
        }
        let error = meta().changed(change("a b", None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"a b\" is invalid; metadata keys must be valid dotted hcl identifiers"
        );
    }
}
