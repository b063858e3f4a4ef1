//! Between the stored types and those of raft-rs.

use std::collections::BTreeMap;

use bytes::Bytes;
use nomad_store::{EntryKind, HardState, LogEntry, Membership, PeerInfo, SnapshotMeta};
use protobuf::Message as _;
use raft::eraftpb;

use crate::error::CoreError;

pub(crate) fn to_stored(entry: &eraftpb::Entry) -> LogEntry {
    LogEntry {
        index: entry.index,
        term: entry.term,
        kind: match entry.entry_type {
            eraftpb::EntryType::EntryNormal => EntryKind::Normal,
            eraftpb::EntryType::EntryConfChange => EntryKind::ConfChange,
            eraftpb::EntryType::EntryConfChangeV2 => EntryKind::ConfChangeV2,
        },
        data: entry.data.clone(),
        context: entry.context.clone(),
    }
}

pub(crate) fn from_stored(entry: LogEntry) -> eraftpb::Entry {
    eraftpb::Entry {
        index: entry.index,
        term: entry.term,
        entry_type: match entry.kind {
            EntryKind::Normal => eraftpb::EntryType::EntryNormal,
            EntryKind::ConfChange => eraftpb::EntryType::EntryConfChange,
            EntryKind::ConfChangeV2 => eraftpb::EntryType::EntryConfChangeV2,
        },
        data: entry.data,
        context: entry.context,
        ..Default::default()
    }
}

pub(crate) fn entry_size(entry: &eraftpb::Entry) -> u64 {
    (entry.data.len() + entry.context.len()) as u64
}

pub(crate) fn to_hard_state(hs: &HardState) -> eraftpb::HardState {
    eraftpb::HardState {
        term: hs.term,
        vote: hs.vote,
        commit: hs.commit,
        ..Default::default()
    }
}

pub(crate) fn from_hard_state(hs: &eraftpb::HardState) -> HardState {
    HardState {
        term: hs.term,
        vote: hs.vote,
        commit: hs.commit,
    }
}

pub(crate) fn to_conf_state(m: &Membership) -> eraftpb::ConfState {
    let mut out = eraftpb::ConfState::default();
    out.set_voters(m.voters.clone());
    out.set_learners(m.learners.clone());
    out.set_voters_outgoing(m.voters_outgoing.clone());
    out.set_learners_next(m.learners_next.clone());
    out.set_auto_leave(m.auto_leave);
    out
}

/// The membership that a conf state means, with the peers that are still in it.
pub(crate) fn from_conf_state(
    cs: &eraftpb::ConfState,
    index: u64,
    peers: &BTreeMap<u64, PeerInfo>,
) -> Membership {
    let sorted = |ids: &[u64]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    let mut out = Membership {
        index,
        voters: sorted(cs.get_voters()),
        learners: sorted(cs.get_learners()),
        voters_outgoing: sorted(cs.get_voters_outgoing()),
        learners_next: sorted(cs.get_learners_next()),
        auto_leave: cs.get_auto_leave(),
        peers: BTreeMap::new(),
    };
    out.peers = peers
        .iter()
        .filter(|(id, _)| out.contains(**id))
        .map(|(id, info)| (*id, info.clone()))
        .collect();
    out
}

/// A raft-rs snapshot is only the description; the state itself travels beside it in chunks.
pub(crate) fn to_snapshot(meta: &SnapshotMeta) -> eraftpb::Snapshot {
    let mut out = eraftpb::Snapshot::default();
    let m = out.mut_metadata();
    m.index = meta.index;
    m.term = meta.term;
    m.set_conf_state(to_conf_state(&meta.membership));
    out.data = rmp_serde::to_vec_named(meta)
        .expect("plain data in memory")
        .into();
    out
}

pub(crate) fn from_snapshot(snapshot: &eraftpb::Snapshot) -> Result<SnapshotMeta, CoreError> {
    rmp_serde::from_slice(&snapshot.data)
        .map_err(|e| CoreError::BadMessage(format!("snapshot description: {e}")))
}

/// Names and addresses that a membership entry brings, in its context.
pub(crate) fn peers_to_context(peers: &BTreeMap<u64, PeerInfo>) -> Bytes {
    rmp_serde::to_vec_named(peers)
        .expect("plain data in memory")
        .into()
}

pub(crate) fn peers_from_context(context: &[u8]) -> Result<BTreeMap<u64, PeerInfo>, String> {
    if context.is_empty() {
        return Ok(BTreeMap::new());
    }
    rmp_serde::from_slice(context).map_err(|e| e.to_string())
}

pub(crate) fn encode(message: &eraftpb::Message) -> Bytes {
    message
        .write_to_bytes()
        .expect("messages of raft-rs are complete")
        .into()
}

pub(crate) fn decode(bytes: &Bytes) -> Result<eraftpb::Message, CoreError> {
    eraftpb::Message::parse_from_carllerche_bytes(bytes)
        .map_err(|e| CoreError::BadMessage(e.to_string()))
}
