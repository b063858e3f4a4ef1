//! Locks of Variables: a deadline for each that is held, pushed on by every renewal.
//!
//! A lock that is not renewed ends after twice its TTL, so that a holder whose renewal was late is not robbed by a
//! leader whose clock is early. Source: servers and scheduling reference, "Variables".

use std::collections::{BTreeMap, BTreeSet};

use nomad_core::{Nanos, Timestamp, Uuid};
use nomad_state::variable::{VariableKey, VariableLock};

/// An expiry that could not be written is tried again after this span.
const RETRY: Nanos = Nanos::secs(1);

/// What happens to locks.
#[derive(Debug, Clone)]
pub enum Event {
    /// Leadership was gained: these are held, and get their whole time anew.
    Recover {
        held: Vec<(VariableKey, VariableLock)>,
    },
    /// A Variable was written: who holds it now.
    Changed {
        key: VariableKey,
        lock: Option<VariableLock>,
    },
    /// The holder lives.
    Renew { key: VariableKey, id: Uuid },
    /// The end of a lock could not be written.
    Failed { key: VariableKey, id: Uuid },
    /// Time went by.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The lock was not renewed: end it.
    Expire { key: VariableKey, id: Uuid },
    /// The renewal counts.
    Renewed,
    /// The lock is not held any more.
    NotHeld,
}

#[derive(Debug, Clone)]
struct Held {
    lock: VariableLock,
    /// Absent while its end is being written.
    deadline: Option<Timestamp>,
}

/// The deadlines. Lives on the leader, in memory.
#[derive(Debug, Default)]
pub struct Locks {
    held: BTreeMap<VariableKey, Held>,
    order: BTreeSet<(Timestamp, VariableKey)>,
}

impl Locks {
    /// Takes an event in, and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Recover { held } => {
                self.held.clear();
                self.order.clear();
                for (key, lock) in held {
                    self.hold(key, lock, now);
                }
            }
            Event::Changed { key, lock } => match lock {
                Some(lock) => self.hold(key, lock, now),
                None => self.forget(&key),
            },
            Event::Renew { key, id } => {
                let held = self.held.get(&key);
                let held = held.filter(|held| held.lock.id == id && held.deadline.is_some());
                match held.map(|held| held.lock.clone()) {
                    Some(lock) => {
                        self.hold(key, lock, now);
                        actions.push(Action::Renewed);
                    }
                    None => actions.push(Action::NotHeld),
                }
            }
            Event::Failed { key, id } => {
                if self.held.get(&key).is_some_and(|held| held.lock.id == id) {
                    self.set_deadline(&key, Some(now + RETRY));
                }
            }
            Event::Tick => {}
        }
        while let Some((at, key)) = self.order.first().cloned()
            && at <= now
        {
            self.set_deadline(&key, None);
            if let Some(held) = self.held.get(&key) {
                let id = held.lock.id;
                actions.push(Action::Expire { key, id });
            }
        }
        actions
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    fn hold(&mut self, key: VariableKey, lock: VariableLock, now: Timestamp) {
        let deadline = now + lock.ttl + lock.ttl;
        self.forget(&key);
        self.order.insert((deadline, key.clone()));
        let deadline = Some(deadline);
        self.held.insert(key, Held { lock, deadline });
    }

    fn forget(&mut self, key: &VariableKey) {
        self.set_deadline(key, None);
        self.held.remove(key);
    }

    fn set_deadline(&mut self, key: &VariableKey, deadline: Option<Timestamp>) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut held.deadline, deadline) {
            self.order.remove(&(old, key.clone()));
        }
        if let Some(new) = deadline {
            self.order.insert((new, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_000_000_000_000);

    fn key() -> VariableKey {
        VariableKey::new("default", "a")
    }

    fn id(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    fn lock(number: u8) -> VariableLock {
        VariableLock {
            id: id(number),
            ttl: Nanos::secs(10),
            delay: Nanos::secs(1),
        }
    }

    fn at(secs: i64) -> Timestamp {
        T0 + Nanos::secs(secs)
    }

    fn changed(locks: &mut Locks, lock: Option<VariableLock>, now: i64) -> Vec<Action> {
        locks.handle(Event::Changed { key: key(), lock }, at(now))
    }

    fn renew(locks: &mut Locks, number: u8, now: i64) -> Vec<Action> {
        let id = id(number);
        locks.handle(Event::Renew { key: key(), id }, at(now))
    }

    fn expire(number: u8) -> Action {
        Action::Expire {
            key: key(),
            id: id(number),
        }
    }

    #[test]
    fn a_lock_that_is_not_renewed_ends_after_twice_its_ttl() {
        let mut locks = Locks::default();
        assert!(changed(&mut locks, Some(lock(1)), 0).is_empty());
        assert_eq!(locks.next_wake(), Some(at(20)));
        assert_eq!(renew(&mut locks, 1, 15), [Action::Renewed]);
        assert_eq!(renew(&mut locks, 2, 16), [Action::NotHeld]);
        assert!(locks.handle(Event::Tick, at(34)).is_empty());
        assert_eq!(locks.handle(Event::Tick, at(35)), [expire(1)]);
        // Its end is being written: too late to renew, and it is told once only.
        assert_eq!(renew(&mut locks, 1, 35), [Action::NotHeld]);
        assert!(locks.handle(Event::Tick, at(99)).is_empty());
        assert_eq!(locks.next_wake(), None);
    }

    #[test]
    fn an_end_that_could_not_be_written_is_tried_again() {
        let mut locks = Locks::default();
        changed(&mut locks, Some(lock(1)), 0);
        assert_eq!(locks.handle(Event::Tick, at(20)), [expire(1)]);
        let failed = |number| Event::Failed {
            key: key(),
            id: id(number),
        };
        locks.handle(failed(2), at(20));
        assert_eq!(locks.next_wake(), None, "that is not the lock");
        locks.handle(failed(1), at(20));
        assert_eq!(locks.handle(Event::Tick, at(21)), [expire(1)]);
    }

    #[test]
    fn locks_given_back_or_taken_by_others_have_no_old_deadline() {
        let mut locks = Locks::default();
        changed(&mut locks, Some(lock(1)), 0);
        changed(&mut locks, None, 1);
        assert_eq!(locks.next_wake(), None);
        changed(&mut locks, Some(lock(2)), 5);
        assert_eq!(locks.handle(Event::Tick, at(25)), [expire(2)]);
    }

    #[test]
    fn a_new_leader_gives_every_holder_its_whole_time() {
        let mut locks = Locks::default();
        changed(&mut locks, Some(lock(1)), 0);
        let held = vec![(VariableKey::new("default", "b"), lock(3))];
        assert!(locks.handle(Event::Recover { held }, at(100)).is_empty());
        assert_eq!(locks.next_wake(), Some(at(120)));
        assert_eq!(renew(&mut locks, 1, 100), [Action::NotHeld]);
    }
}
