//! What the keyring needs next: a first key, a new one ahead of time, a promotion, or data sealed anew. Pure.
//!
//! Source: servers and scheduling reference, "Keyring".

use nomad_core::{Nanos, Timestamp, Uuid};
use nomad_state::State;
use nomad_state::variable::RootKeyState;

/// How long a key seals new data (`root_key_rotation_threshold`).
pub const DEFAULT_ROTATION: Nanos = Nanos::hours(720);

/// One thing to be done with the keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no key: make the first.
    Found,
    /// Seal anew what is under this key.
    Rekey { id: Uuid },
    /// This key's time has come.
    Promote { id: Uuid },
    /// Make the next key and tell its public half.
    Prepublish { publish_time: Timestamp },
}

/// What is to be done now, and when to look again if nothing happens before.
pub fn next(state: &State, rotation: Nanos, now: Timestamp) -> (Option<Step>, Option<Timestamp>) {
    let Some(active) = state.active_root_key() else {
        return (Some(Step::Found), None);
    };
    let rekeying = state
        .root_keys()
        .find(|key| key.state == RootKeyState::Rekeying);
    if let Some(key) = rekeying {
        return (Some(Step::Rekey { id: key.id }), None);
    }
    let published = state
        .root_keys()
        .filter(|key| key.state == RootKeyState::Prepublished)
        .min_by_key(|key| key.publish_time);
    match published {
        Some(key) if key.publish_time <= now => (Some(Step::Promote { id: key.id }), None),
        Some(key) => (None, Some(key.publish_time)),
        None => {
            let half = active.create_time + Nanos(rotation.0 / 2);
            if half > now {
                return (None, Some(half));
            }
            // A key that is overdue already still gives its successor time to be known.
            let due = active.create_time + rotation;
            let publish_time = due.max(now + Nanos(rotation.0 / 2).min(Nanos::hours(1)));
            (Some(Step::Prepublish { publish_time }), None)
        }
    }
}
