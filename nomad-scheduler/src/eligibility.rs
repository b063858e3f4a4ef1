//! What an evaluation learned about computed classes, so that blocked evaluations wake only for nodes that may help.
//!
//! Source: servers and scheduling reference, "Computed class and memoization".

use std::collections::BTreeMap;

use crate::columns::NodeColumns;

/// Verdicts per computed class (as the columns number them), for the job and for each of its groups.
#[derive(Debug, Clone, Default)]
pub(crate) struct Eligibility {
    pub(crate) job: BTreeMap<u32, bool>,
    pub(crate) groups: BTreeMap<String, BTreeMap<u32, bool>>,
    /// Some constraint looks at unique attributes: any new capacity may help.
    pub(crate) escaped: bool,
}

impl Eligibility {
    /// Class to whether a node of it may help; classes that were not visited are absent.
    pub(crate) fn classes(&self, columns: &NodeColumns) -> BTreeMap<String, bool> {
        let mut verdicts: BTreeMap<u32, bool> = BTreeMap::new();
        for by_class in self.groups.values() {
            for (class, eligible) in by_class {
                *verdicts.entry(*class).or_default() |= eligible;
            }
        }
        for (class, eligible) in &self.job {
            if *eligible {
                verdicts.entry(*class).or_insert(true);
            } else {
                verdicts.insert(*class, false);
            }
        }
        let mut named: BTreeMap<String, bool> = BTreeMap::new();
        for (class, eligible) in verdicts {
            *named
                .entry(columns.class_name(class).to_owned())
                .or_default() |= eligible;
        }
        named
    }
}
