//! The parts of a node's score and their mean.
//!
//! Source: servers and scheduling reference, "Scores".

use std::collections::BTreeMap;

use nomad_core::scheduler_config::SchedulerAlgorithm;

use crate::fit::Sums;

/// Highest raw score of a node: all free counts twice ten, less the two ones of a full node.
const MAX_FIT: f64 = 18.0;

/// How well the node is used with the allocation on it, 0 to 1.
pub(crate) fn fit(algorithm: SchedulerAlgorithm, capacity: &Sums, used: &Sums) -> f64 {
    let free = |capacity: i64, used: i64| {
        if capacity <= 0 {
            return 0.0;
        }
        1.0 - used as f64 / capacity as f64
    };
    let power = |fraction: f64| (fraction * std::f64::consts::LOG2_10).exp2();
    let total = power(free(capacity.cpu, used.cpu)) + power(free(capacity.memory, used.memory));
    let raw = match algorithm {
        SchedulerAlgorithm::Binpack => 20.0 - total,
        SchedulerAlgorithm::Spread => total - 2.0,
    };
    raw.clamp(0.0, MAX_FIT) / MAX_FIT
}

/// How much evicting allocations of these priorities is worth: little for many or important ones.
pub(crate) fn preemption(priorities: &[i32]) -> f64 {
    let max = f64::from(priorities.iter().copied().max().unwrap_or(0));
    let sum: f64 = priorities.iter().map(|priority| f64::from(*priority)).sum();
    let net = if max > 0.0 { max + sum / max } else { 0.0 };
    1.0 / (1.0 + (0.0048 * (net - 2048.0)).exp())
}

/// A node's score in its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    pub(crate) binpack: f64,
    /// Where device requests have affinities.
    pub(crate) devices: Option<f64>,
    /// Negative where the node runs others of the group; 0 does not count.
    pub(crate) anti_affinity: f64,
    /// Whether an earlier allocation failed there.
    pub(crate) penalty: bool,
    /// Where the job has affinities.
    pub(crate) affinity: Option<f64>,
    /// 0 does not count.
    pub(crate) spread: f64,
    /// Where others are evicted.
    pub(crate) preemption: Option<f64>,
    /// System jobs know only bin packing.
    pub(crate) generic: bool,
}

impl Score {
    pub(crate) fn new(binpack: f64, generic: bool) -> Self {
        Self {
            binpack,
            devices: None,
            anti_affinity: 0.0,
            penalty: false,
            affinity: None,
            spread: 0.0,
            preemption: None,
            generic,
        }
    }

    /// Sum and number of the parts that depend on nothing but the node.
    pub(crate) fn base(&self) -> (f64, u32) {
        let mut sum = self.binpack;
        let mut count = 1;
        let mut include = |part: f64| {
            sum += part;
            count += 1;
        };
        if let Some(devices) = self.devices {
            include(devices);
        }
        if self.anti_affinity != 0.0 {
            include(self.anti_affinity);
        }
        if self.penalty {
            include(-1.0);
        }
        if let Some(affinity) = self.affinity {
            include(affinity);
        }
        (sum, count)
    }

    /// The mean of the parts that count.
    pub(crate) fn mean(&self) -> f64 {
        let (mut sum, mut count) = self.base();
        if self.spread != 0.0 {
            sum += self.spread;
            count += 1;
        }
        if let Some(preemption) = self.preemption {
            sum += preemption;
            count += 1;
        }
        sum / f64::from(count)
    }

    /// The parts by name, as metrics show them.
    pub(crate) fn parts(&self) -> BTreeMap<String, f64> {
        let mut parts = BTreeMap::new();
        let mut put = |name: &'static str, value: f64| {
            parts.insert(name.to_owned(), value);
        };
        put("binpack", self.binpack);
        if let Some(devices) = self.devices {
            put("devices", devices);
        }
        if self.generic {
            put("job-anti-affinity", self.anti_affinity);
            put(
                "node-reschedule-penalty",
                if self.penalty { -1.0 } else { 0.0 },
            );
            put("node-affinity", self.affinity.unwrap_or(0.0));
            if self.spread != 0.0 {
                put("allocation-spread", self.spread);
            }
        }
        if let Some(preemption) = self.preemption {
            put("preemption", preemption);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(cpu: i64, memory: i64) -> Sums {
        Sums {
            cpu,
            memory,
            ..Sums::default()
        }
    }

    #[test]
    fn full_nodes_score_best_for_binpack_and_worst_for_spread() {
        let capacity = sums(1000, 1000);
        let binpack = |used: &Sums| fit(SchedulerAlgorithm::Binpack, &capacity, used);
        let spread = |used: &Sums| fit(SchedulerAlgorithm::Spread, &capacity, used);
        assert_eq!(binpack(&sums(1000, 1000)), 1.0);
        assert_eq!(spread(&sums(1000, 1000)), 0.0);
        assert!(binpack(&sums(0, 0)).abs() < 1e-12);
        assert!((spread(&sums(0, 0)) - 1.0).abs() < 1e-12);
        assert_eq!(binpack(&sums(2000, 2000)), 1.0, "over-commitment saturates");
    }

    #[test]
    fn preempting_less_is_worth_more() {
        assert!(preemption(&[10]) > preemption(&[10, 10]));
        assert!(preemption(&[10]) > preemption(&[90]));
    }

    #[test]
    fn only_parts_that_say_something_count() {
        let mut score = Score::new(0.6, true);
        assert_eq!(score.mean(), 0.6);
        score.affinity = Some(0.0);
        assert_eq!(score.mean(), 0.3);
        score.penalty = true;
        assert!((score.mean() - (0.6 - 1.0) / 3.0).abs() < 1e-12);
    }
}
