//! Membership: changing it, and letting committed changes come into effect.
//!
//! A change takes effect when its entry commits. It is written with the membership's own index, so that replaying the
//! log after a restart skips the changes that are already contained.

use std::collections::BTreeMap;

use nomad_store::{LogBatch, LogOp, LogPosition, PeerInfo};
use protobuf::Message as _;
use raft::eraftpb::{
    ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, Entry,
    EntryType,
};
use raft::{RawNode, StateRole};

use super::{Core, Write};
use crate::convert;
use crate::error::CoreError;

/// One change of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes a server a voter; also to change its name or address.
    AddVoter(u64, PeerInfo),
    /// Makes a server a learner: it receives the log but does not vote.
    AddLearner(u64, PeerInfo),
    /// Removes a server. Its number must not be used again.
    Remove(u64),
}

impl Change {
    /// The server that changes.
    pub fn id(&self) -> u64 {
        match self {
            Self::AddVoter(id, _) | Self::AddLearner(id, _) | Self::Remove(id) => *id,
        }
    }
}

impl Core {
    /// Proposes a change as leader. One voter at a time is a plain entry; more go through a joint configuration,
    /// which is left by itself. It has come into effect when [`super::Output::membership`] names the index.
    pub fn change_membership(&mut self, changes: &[Change]) -> Result<LogPosition, CoreError> {
        self.check_leader()?;
        if self.raw.raft.lead_transferee.is_some() {
            return Err(CoreError::Transferring);
        }
        if self.changing_members() {
            return Err(CoreError::MembershipBusy);
        }
        self.check_changes(changes)?;
        let mut peers = BTreeMap::new();
        let mut cc = ConfChangeV2::default();
        cc.set_transition(ConfChangeTransition::Auto);
        for change in changes {
            let mut single = ConfChangeSingle {
                node_id: change.id(),
                ..Default::default()
            };
            single.set_change_type(match change {
                Change::AddVoter(..) => ConfChangeType::AddNode,
                Change::AddLearner(..) => ConfChangeType::AddLearnerNode,
                Change::Remove(_) => ConfChangeType::RemoveNode,
            });
            if let Change::AddVoter(id, info) | Change::AddLearner(id, info) = change {
                peers.insert(*id, info.clone());
            }
            cc.mut_changes().push(single);
        }
        let context = convert::peers_to_context(&peers).to_vec();
        let result = self.raw.propose_conf_change(context, cc);
        self.after_input();
        result.map_err(|_| CoreError::Busy)?;
        Ok(LogPosition {
            index: self.raw.raft.raft_log.last_index(),
            term: self.raw.raft.term,
        })
    }

    /// Whether a change is under way, so that another one has to wait.
    pub fn changing_members(&self) -> bool {
        self.raw.raft.has_pending_conf() || !self.membership.voters_outgoing.is_empty()
    }

    fn check_changes(&self, changes: &[Change]) -> Result<(), CoreError> {
        let bad = |what: String| Err(CoreError::BadMembership(what));
        if changes.is_empty() {
            return bad("nothing to change".into());
        }
        let mut voters = self.membership.voters.clone();
        let mut seen = Vec::new();
        for change in changes {
            let id = change.id();
            if id == 0 || seen.contains(&id) {
                return bad(format!("server {id} is named twice or is 0"));
            }
            seen.push(id);
            if matches!(change, Change::Remove(_)) && !self.membership.contains(id) {
                return bad(format!("server {id} is not a member"));
            }
            voters.retain(|&voter| voter != id);
            if matches!(change, Change::AddVoter(..)) {
                voters.push(id);
            }
        }
        if voters.is_empty() {
            return bad("the last voter cannot be removed".into());
        }
        Ok(())
    }

    /// Lets a committed membership entry come into effect.
    pub(super) fn apply_membership(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.index <= self.membership.index {
            return Ok(());
        }
        let mut added = convert::peers_from_context(&entry.context)?;
        let conf_state = apply_entry(&mut self.raw, entry)?;
        let mut peers = self.membership.peers.clone();
        peers.append(&mut added);
        self.membership = convert::from_conf_state(&conf_state, entry.index, &peers);
        self.step_down_if_removed();

        let mut batch = LogBatch::new();
        // The commit index must not be behind the membership after a restart.
        self.hard_state.commit = self.hard_state.commit.max(entry.index);
        batch
            .push(LogOp::Membership(self.membership.clone()))
            .push(LogOp::HardState(self.hard_state));
        let number = self.queue_write(batch, true);
        let gate = self.gate.map_or(entry.index, |(index, _)| index);
        self.gate = Some((gate, number));
        self.writes.push_back(Write {
            number,
            ready: None,
            pending: true,
            last: None,
            term: 0,
            messages: Vec::new(),
            install: None,
        });
        self.out.membership.push(entry.index);
        Ok(())
    }

    /// As leader, proposes to leave a joint configuration that its predecessor did not get to leave.
    pub(super) fn leave_joint(&mut self) {
        let raft = &self.raw.raft;
        if raft.state == StateRole::Leader
            && !self.membership.voters_outgoing.is_empty()
            && !raft.has_pending_conf()
            && raft.lead_transferee.is_none()
        {
            // A refusal is tried again by the next tick.
            let _ = self
                .raw
                .propose_conf_change(Vec::new(), ConfChangeV2::default());
        }
    }
}

fn apply_entry(
    raw: &mut RawNode<crate::storage::RaftStorage>,
    entry: &Entry,
) -> Result<raft::eraftpb::ConfState, String> {
    if entry.entry_type == EntryType::EntryConfChange {
        let cc = ConfChange::parse_from_bytes(&entry.data).map_err(|e| e.to_string())?;
        raw.apply_conf_change(&cc).map_err(|e| e.to_string())
    } else {
        let cc = ConfChangeV2::parse_from_bytes(&entry.data).map_err(|e| e.to_string())?;
        raw.apply_conf_change(&cc).map_err(|e| e.to_string())
    }
}
