//! Counters of how a group's allocations lie over the values of node properties, and what that is worth.
//!
//! Source: servers and scheduling reference, "Spread".

use nomad_core::job::Spread;
use nomad_core::node::Node;

use crate::columns::Interner;
use crate::feasible::PropertyLimit;
use crate::feasible::target::Target;

/// What a property is counted for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    Spread(Goal),
    Limit(PropertyLimit),
}

/// How a spread wants the allocations to lie.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    /// Weight of this spread among all.
    share: f64,
    /// (number of the value, allocations wanted there); none for an even spread.
    wanted: Vec<(u32, f64)>,
    /// Allocations wanted on all values that are not named.
    rest: Option<f64>,
}

/// Allocations per value of a node property.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    target: Target,
    pub(crate) purpose: Purpose,
    /// Whether only the group's allocations count, or those of the whole job.
    pub(crate) group_only: bool,
    pub(crate) values: Interner,
    /// By number of the value; nothing where none was ever there.
    counts: Vec<Option<i64>>,
}

impl Property {
    fn new(target: Target, purpose: Purpose, group_only: bool) -> Self {
        Self {
            target,
            purpose,
            group_only,
            values: Interner::default(),
            counts: Vec::new(),
        }
    }

    pub(crate) fn limit(limit: &PropertyLimit) -> Self {
        Self::new(
            limit.target.clone(),
            Purpose::Limit(limit.clone()),
            limit.group_only,
        )
    }

    /// A spread of a group of `count` allocations, `total` being the weights of all its spreads together.
    pub(crate) fn spread(spread: &Spread, total: f64, count: i64) -> Self {
        let mut property = Self::new(
            Target::parse(&spread.attribute),
            Purpose::Spread(Goal {
                share: f64::from(spread.weight) / total,
                wanted: Vec::new(),
                rest: None,
            }),
            true,
        );
        let mut wanted = Vec::new();
        let mut sum = 0.0;
        let mut rest = None;
        for target in &spread.spread_target {
            let desired = f64::from(target.percent) / 100.0 * count as f64;
            sum += desired;
            if target.value == "*" {
                rest = Some(desired);
            } else {
                wanted.push((property.values.intern(&target.value), desired));
            }
        }
        if sum > 0.0 && sum < count as f64 && rest.is_none() {
            rest = Some(count as f64 - sum);
        }
        if let Purpose::Spread(goal) = &mut property.purpose {
            goal.wanted = wanted;
            goal.rest = rest;
        }
        property
    }

    /// Forgets all counts, and the values from number `values` on.
    pub(crate) fn reset(&mut self, values: usize) {
        self.values.truncate(values);
        self.counts.clear();
    }

    /// Whether nodes of one computed class may differ in it.
    pub(crate) fn is_unique(&self) -> bool {
        self.target.is_unique()
    }

    /// The number of the node's value.
    pub(crate) fn value(&mut self, node: &Node) -> Option<u32> {
        self.target
            .resolve(node)
            .map(|value| self.values.intern(&value))
    }

    pub(crate) fn count(&mut self, node: &Node, delta: i64) {
        let Some(value) = self.value(node) else {
            return;
        };
        let at = value as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, None);
        }
        let count = self.counts[at].get_or_insert(0);
        *count = (*count + delta).max(0);
    }

    /// Allocations on the value.
    pub(crate) fn used(&self, value: u32) -> i64 {
        self.counts
            .get(value as usize)
            .copied()
            .flatten()
            .unwrap_or(0)
    }

    /// What one more allocation on each value is worth, by number of the value.
    pub(crate) fn boosts(&self) -> Vec<f64> {
        match &self.purpose {
            Purpose::Limit(_) => Vec::new(),
            Purpose::Spread(goal) if goal.wanted.is_empty() && goal.rest.is_none() => self.even(),
            Purpose::Spread(goal) => self.targeted(goal),
        }
    }

    fn targeted(&self, goal: &Goal) -> Vec<f64> {
        let mut boosts: Vec<Option<f64>> = (0..self.values.len() as u32)
            .map(|value| {
                let wanted = goal
                    .wanted
                    .iter()
                    .find(|(own, _)| *own == value)
                    .map(|(_, wanted)| *wanted)
                    .or(goal.rest);
                match wanted {
                    None => Some(-1.0),
                    // None wanted: decided by the others below.
                    Some(0.0) => None,
                    Some(wanted) => {
                        let used = (self.used(value) + 1) as f64;
                        Some((wanted - used) / wanted * goal.share)
                    }
                }
            })
            .collect();
        let lowest = boosts.iter().flatten().copied().fold(-1.0, f64::min);
        for boost in &mut boosts {
            boost.get_or_insert(lowest);
        }
        boosts.into_iter().flatten().collect()
    }

    fn even(&self) -> Vec<f64> {
        let present = || self.counts.iter().flatten().copied();
        let (Some(min), Some(max)) = (present().min(), present().max()) else {
            return vec![0.0; self.values.len()];
        };
        (0..self.values.len() as u32)
            .map(|value| {
                let current = self.used(value);
                if current != min {
                    if min == 0 {
                        -1.0
                    } else {
                        (min - current) as f64 / min as f64
                    }
                } else if min == max {
                    -1.0
                } else if min == 0 {
                    1.0
                } else {
                    (max - min) as f64 / min as f64
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::job::SpreadTarget;

    use super::*;

    fn node(rack: &str) -> Node {
        let mut node = Node::default();
        node.meta.insert("rack".to_owned(), rack.to_owned());
        node
    }

    fn spread(targets: &[(&str, u8)]) -> Property {
        let spread = Spread {
            attribute: "${meta.rack}".to_owned(),
            weight: 50,
            spread_target: targets
                .iter()
                .map(|(value, percent)| SpreadTarget {
                    value: (*value).to_owned(),
                    percent: *percent,
                })
                .collect(),
        };
        Property::spread(&spread, 50.0, 10)
    }

    fn boost(property: &mut Property, rack: &str) -> f64 {
        let value = property.value(&node(rack)).unwrap();
        property.boosts()[value as usize]
    }

    #[test]
    fn targets_want_their_share() {
        let mut property = spread(&[("a", 60), ("b", 20)]);
        assert!((boost(&mut property, "a") - 5.0 / 6.0).abs() < 1e-12);
        assert!((boost(&mut property, "b") - 0.5).abs() < 1e-12);
        assert!(
            (boost(&mut property, "c") - 0.5).abs() < 1e-12,
            "the rest is 20 %"
        );
        for _ in 0..3 {
            property.count(&node("b"), 1);
        }
        assert!((boost(&mut property, "b") + 1.0).abs() < 1e-12);
    }

    #[test]
    fn full_targets_leave_nothing_for_others() {
        let mut property = spread(&[("a", 100)]);
        assert_eq!(boost(&mut property, "z"), -1.0);
    }

    #[test]
    fn even_spread_prefers_the_least_used_value() {
        let mut property = spread(&[]);
        assert_eq!(boost(&mut property, "a"), 0.0, "nothing placed yet");
        property.count(&node("a"), 2);
        assert_eq!(boost(&mut property, "a"), -1.0, "all values are equal");
        assert_eq!(boost(&mut property, "b"), 1.0, "not present yet");
        property.count(&node("b"), 1);
        assert_eq!(boost(&mut property, "b"), 1.0);
        assert_eq!(boost(&mut property, "a"), -1.0);
    }
}
