//! What a server that has no cluster yet does with what it hears: wait, join one, or make one together with others.
//!
//! Pure: what was heard goes in, the next step comes out. Servers with `bootstrap_expect = n` make a cluster when n of
//! them know each other and none has one. The one with the smallest id leads that: it has all of them promise the
//! same members first, so that two groups that overlap cannot both come about.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Facts;

/// How long a promise binds.
pub(super) const PROMISE: Duration = Duration::from_secs(10);

/// The next step of a server that is in no cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nobody is there to join, or too few to begin.
    Wait,
    /// Ask the server at this RPC address to be added to its cluster.
    Join(String),
    /// Make a cluster of these, this server among them.
    Bootstrap(Vec<Facts>),
}

/// Decides. `others` are the servers that answered, each with whether it has a cluster.
pub(super) fn step(own: &Facts, others: &[(Facts, bool)]) -> Step {
    let same_region = |facts: &Facts| facts.region == own.region;
    let member = others
        .iter()
        .find(|(facts, member)| *member && same_region(facts));
    if let Some((facts, _)) = member {
        return Step::Join(facts.rpc.clone());
    }
    let expect = own.expect as usize;
    if expect < 2 {
        return Step::Wait;
    }
    let mut all: Vec<&Facts> = others
        .iter()
        .map(|(facts, _)| facts)
        .filter(|facts| same_region(facts) && facts.expect == own.expect)
        .chain(std::iter::once(own))
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all.dedup_by(|a, b| a.id == b.id);
    all.truncate(expect);
    // The others follow when the first one asks.
    if all.len() < expect || all.first().is_none_or(|first| first.id != own.id) {
        return Step::Wait;
    }
    Step::Bootstrap(all.into_iter().cloned().collect())
}

/// The members that this server has promised to begin with; times since any fixed moment.
#[derive(Debug, Default)]
pub(super) struct Promise(Option<(BTreeSet<String>, Duration)>);

impl Promise {
    /// Promises these members, unless others are promised.
    pub(super) fn give(&mut self, members: &[Facts], now: Duration) -> bool {
        let wanted = ids(members);
        match &self.0 {
            Some((promised, until)) if *promised != wanted && *until > now => false,
            _ => {
                self.0 = Some((wanted, now + PROMISE));
                true
            }
        }
    }

    /// Whether these are the promised members.
    pub(super) fn holds(&self, members: &[Facts]) -> bool {
        let wanted = ids(members);
        self.0
            .as_ref()
            .is_some_and(|(promised, _)| *promised == wanted)
    }
}

fn ids(members: &[Facts]) -> BTreeSet<String> {
    members.iter().map(|facts| facts.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: &str, expect: u32) -> Facts {
        Facts {
            id: id.to_owned(),
            name: id.to_owned(),
            region: "global".to_owned(),
            rpc: format!("{id}:4647"),
            expect,
            ..Facts::default()
        }
    }

    fn fresh(id: &str) -> (Facts, bool) {
        (server(id, 3), false)
    }

    #[test]
    fn the_smallest_of_enough_servers_begins() {
        let own = server("a", 3);
        assert_eq!(step(&own, &[]), Step::Wait);
        assert_eq!(step(&own, &[fresh("b")]), Step::Wait);
        let all = vec![own.clone(), server("b", 3), server("c", 3)];
        assert_eq!(
            step(&own, &[fresh("c"), fresh("b")]),
            Step::Bootstrap(all.clone())
        );
        // One more than enough stays out, and comes in later.
        assert_eq!(
            step(&own, &[fresh("d"), fresh("c"), fresh("b")]),
            Step::Bootstrap(all)
        );
        assert_eq!(step(&server("b", 3), &[fresh("a"), fresh("c")]), Step::Wait);
    }

    #[test]
    fn those_who_expect_otherwise_or_live_elsewhere_do_not_count() {
        let own = server("a", 3);
        let mut far = server("c", 3);
        far.region = "eu".to_owned();
        assert_eq!(
            step(&own, &[fresh("b"), (server("c", 5), false)]),
            Step::Wait
        );
        assert_eq!(step(&own, &[fresh("b"), (far.clone(), false)]), Step::Wait);
        assert_eq!(step(&own, &[(far, true)]), Step::Wait);
        assert_eq!(step(&server("a", 0), &[fresh("b"), fresh("c")]), Step::Wait);
    }

    #[test]
    fn a_cluster_that_exists_is_joined() {
        let others = [fresh("b"), (server("c", 1), true)];
        let join = Step::Join("c:4647".to_owned());
        assert_eq!(step(&server("a", 3), &others), join);
        assert_eq!(step(&server("a", 0), &others), join);
    }

    #[test]
    fn a_promise_binds_for_a_while() {
        let mut promise = Promise::default();
        let (abc, bcd) = (
            [server("a", 3), server("b", 3), server("c", 3)],
            [server("b", 3), server("c", 3), server("d", 3)],
        );
        let second = Duration::from_secs(1);
        assert!(!promise.holds(&abc));
        assert!(promise.give(&abc, second));
        assert!(!promise.give(&bcd, second * 2));
        assert!(promise.give(&abc, second * 3), "asked again");
        assert!(promise.holds(&abc) && !promise.holds(&bcd));
        assert!(promise.give(&bcd, second * 3 + PROMISE));
    }
}
