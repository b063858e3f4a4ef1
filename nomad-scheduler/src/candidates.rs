//! The nodes that a job may use at all: ready, in its pool, in one of its datacenters.

use std::collections::BTreeMap;

use nomad_core::job::Job;
use nomad_core::node::{ALL_NODE_POOL, DEFAULT_NODE_POOL, Node};

use crate::columns::NodeColumns;

/// Candidate nodes of one job version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidates {
    /// Slots, ascending.
    pub(crate) slots: Vec<u32>,
    /// Candidates per datacenter.
    pub(crate) available: BTreeMap<String, i64>,
    /// The same count for the pool as a whole, as metrics show it.
    pub(crate) in_pool: i64,
    pub(crate) pool: String,
}

/// Whether a name matches a pattern in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The pool that a job's nodes must be in; nothing where every pool will do.
fn pool_of(job: &Job) -> Option<&str> {
    match job.node_pool.as_str() {
        ALL_NODE_POOL => None,
        "" => Some(DEFAULT_NODE_POOL),
        pool => Some(pool),
    }
}

/// Whether the job may run in the node's datacenter and pool.
pub(crate) fn accepts(job: &Job, node: &Node) -> bool {
    let pool = if node.node_pool.is_empty() {
        DEFAULT_NODE_POOL
    } else {
        node.node_pool.as_str()
    };
    pool_of(job).is_none_or(|wanted| wanted == pool)
        && job
            .datacenters
            .iter()
            .any(|pattern| glob(pattern, &node.datacenter))
}

impl Candidates {
    pub(crate) fn of(job: &Job, columns: &NodeColumns) -> Self {
        let matches: Vec<bool> = (0..columns.datacenters.len())
            .map(|number| {
                let name = columns.datacenters.text(number as u32);
                job.datacenters.iter().any(|pattern| glob(pattern, name))
            })
            .collect();
        let pool = pool_of(job);
        let pools: Vec<bool> = (0..columns.pools.len())
            .map(|number| {
                let name = columns.pools.text(number as u32);
                pool.is_none_or(|pool| {
                    name == pool || (name.is_empty() && pool == DEFAULT_NODE_POOL)
                })
            })
            .collect();
        let mut per_datacenter = vec![0_i64; matches.len()];
        let mut candidates = Self {
            pool: if job.node_pool.is_empty() {
                DEFAULT_NODE_POOL.to_owned()
            } else {
                job.node_pool.clone()
            },
            ..Self::default()
        };
        for slot in 0..columns.rows.len() {
            if columns.rows[slot].is_none() || !pools[columns.pool[slot] as usize] {
                continue;
            }
            let datacenter = columns.datacenter[slot] as usize;
            if columns.ready[slot] && matches[datacenter] {
                per_datacenter[datacenter] += 1;
                candidates.slots.push(slot as u32);
            }
        }
        candidates.in_pool = candidates.slots.len() as i64;
        candidates.available = per_datacenter
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .map(|(number, count)| (columns.datacenters.text(number as u32).to_owned(), count))
            .collect();
        candidates
    }

    /// The place of a slot among the candidates.
    pub(crate) fn position(&self, slot: u32) -> Option<usize> {
        self.slots.binary_search(&slot).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, matches) in [
            ("dc1", "dc1", true),
            ("dc1", "dc12", false),
            ("*", "anything", true),
            ("dc*", "dc1", true),
            ("*-1", "eu-1", true),
            ("*-1", "eu-12", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, name), matches, "{pattern} {name}");
        }
    }
}
