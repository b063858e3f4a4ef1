//! The drivers of this node, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::driver::Driver;

/// The drivers that may be used.
#[derive(Clone, Default)]
pub struct Registry {
    drivers: BTreeMap<&'static str, Arc<dyn Driver>>,
}

impl Registry {
    /// Keeps those drivers that the lists let through: the names of `driver.allowlist` (empty: all), without those of
    /// `driver.denylist`, each separated by commas.
    pub fn new(
        drivers: impl IntoIterator<Item = Arc<dyn Driver>>,
        allowlist: &str,
        denylist: &str,
    ) -> Self {
        let (allowed, denied) = (names(allowlist), names(denylist));
        let fits =
            |name: &str| (allowed.is_empty() || allowed.contains(&name)) && !denied.contains(&name);
        Self {
            drivers: drivers
                .into_iter()
                .map(|d| (d.name(), d))
                .filter(|(name, _)| fits(name))
                .collect(),
        }
    }

    /// The driver of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Driver>> {
        self.drivers.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Driver>)> {
        self.drivers.iter().map(|(name, driver)| (*name, driver))
    }
}

fn names(list: &str) -> Vec<&str> {
    list.split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockDriver;

    #[test]
    fn lists_let_through_and_keep_out() {
        let mock = || -> Arc<dyn Driver> { Arc::new(MockDriver::default()) };
        let there = |allow: &str, deny: &str| {
            Registry::new([mock()], allow, deny)
                .get("mock_driver")
                .is_some()
        };
        assert!(there("", "") && there("raw_exec, mock_driver", "docker"));
        assert!(
            !there("raw_exec", "")
                && !there("", "mock_driver")
                && !there("mock_driver", "mock_driver")
        );
    }
}
