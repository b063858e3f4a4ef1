//! The core under a simulated clock, network and disk.

mod faults;
mod sim;

use std::sync::Arc;
use std::time::Duration;

use nomad_store::{LogOp, LogStore, MemLog};
use sim::{Sim, info};

use super::*;
use crate::config::HEARTBEAT_TICKS;

fn quiet_sim(voters: &[u64]) -> Sim {
    Sim::new(1, voters)
}

#[test]
fn a_lone_server_leads_without_a_tick() {
    let mut sim = quiet_sim(&[1]);
    sim.settle();
    assert_eq!(sim.leader(), Some(1));
    assert!(sim.core(1).leadership().ready);
    assert!(!sim.core(1).needs_ticks());
    sim.propose(1, "a").unwrap();
    sim.settle();
    assert_eq!(sim.applied(1).last().unwrap().1, "a");
    // A read costs nothing either.
    sim.read(1);
    sim.settle();
    assert_eq!(sim.reads_done, 1);
}

#[test]
fn three_servers_elect_one_and_replicate() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    for n in 0..10 {
        sim.propose(leader, &format!("{n}")).unwrap();
    }
    sim.run(10);
    for id in 1..=3 {
        assert_eq!(sim.applied(id).len(), 10, "server {id}");
    }
    let other = 1 + leader % 3;
    let Err(CoreError::NotLeader { leader: hint }) = sim.propose(other, "x") else {
        panic!("a follower must refuse");
    };
    assert_eq!(hint, Some(leader));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut sim = Sim::new(seed, &[1, 2, 3]);
        let leader = sim.elect();
        (leader, sim.now, sim.core(leader).term(), sim.frames)
    };
    let all: Vec<_> = (0..20).map(history).collect();
    assert_eq!(all, (0..20).map(history).collect::<Vec<_>>());
    assert!(all.iter().any(|(leader, ..)| *leader != all[0].0));
}

#[test]
fn a_leader_cut_off_steps_down_and_its_entry_goes_away() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let old = sim.elect();
    sim.propose(old, "kept").unwrap();
    sim.run(10);
    sim.cut(old);
    sim.propose(old, "lost").unwrap();
    sim.run(5 * ELECTION_TICKS);
    assert_ne!(sim.core(old).role(), Role::Leader);
    let new = sim.leader().unwrap();
    assert_ne!(new, old);
    sim.propose(new, "new").unwrap();
    sim.run(5);
    sim.heal();
    sim.run(5 * ELECTION_TICKS);
    for id in 1..=3 {
        let data: Vec<_> = sim.applied(id).iter().map(|(_, d)| d.clone()).collect();
        assert_eq!(data, ["kept", "new"], "server {id}");
    }
}

#[test]
fn a_server_that_returns_does_not_disturb() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    let other = 1 + leader % 3;
    let term = sim.core(leader).term();
    sim.cut(other);
    sim.run(20 * ELECTION_TICKS);
    sim.heal();
    sim.run(5 * ELECTION_TICKS);
    // Pre-vote: while alone it did not raise its term.
    assert_eq!(sim.leader(), Some(leader));
    assert_eq!(sim.core(leader).term(), term);
}

#[test]
fn nothing_is_acknowledged_before_it_is_on_disk() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.run(10);
    let commit = sim.core(leader).commit_index();
    for id in (1..=3).filter(|&id| id != leader) {
        sim.hold_disk(id, true);
    }
    sim.propose(leader, "waits").unwrap();
    sim.run(3 * HEARTBEAT_TICKS);
    assert_eq!(sim.core(leader).commit_index(), commit);
    // Heartbeats are answered all the same, so the leader stays.
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.leader(), Some(leader));
    sim.hold_disk(1 + leader % 3, false);
    sim.run(HEARTBEAT_TICKS);
    assert_eq!(sim.core(leader).commit_index(), commit + 1);
}

#[test]
fn the_leader_counts_itself_only_when_its_disk_has_it() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    let others: Vec<u64> = (1..=3).filter(|&id| id != leader).collect();
    sim.run(10);
    sim.hold_disk(leader, true);
    sim.cut(others[0]);
    let commit = sim.core(leader).commit_index();
    sim.propose(leader, "x").unwrap();
    sim.run(10);
    assert_eq!(sim.core(leader).commit_index(), commit);
    sim.hold_disk(leader, false);
    sim.run(10);
    assert_eq!(sim.core(leader).commit_index(), commit + 1);
}

#[test]
fn a_lagging_follower_gets_a_snapshot() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    sim.trailing = 3;
    let leader = sim.elect();
    let late = 1 + leader % 3;
    sim.crash(late, 0);
    for n in 0..50 {
        sim.propose(leader, &format!("{n}")).unwrap();
        sim.run(1);
    }
    sim.snapshot(leader);
    sim.run(10);
    assert!(sim.core(leader).base().index > 40);
    sim.restart(late);
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.applied(late).len(), 50);
    assert_eq!(sim.installs, 1);
    sim.propose(leader, "after").unwrap();
    sim.run(10);
    assert_eq!(sim.applied(late).len(), 51);
    // And it keeps all that over a restart.
    sim.crash(late, 0);
    sim.restart(late);
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.applied(late).len(), 51);
}

#[test]
fn a_joining_server_gets_a_snapshot_even_if_there_was_none() {
    let mut sim = quiet_sim(&[1]);
    sim.settle();
    sim.propose(1, "before").unwrap();
    sim.settle();
    sim.join(2);
    let change = vec![Change::AddLearner(2, info(2))];
    sim.change(1, &change).unwrap();
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.applied(2).len(), 1);
    assert_eq!(sim.core(2).membership(), sim.core(1).membership());
    assert_eq!(sim.core(2).membership().learners, [2]);
    assert_eq!(sim.core(2).membership().peers[&1], info(1));
    sim.change(1, &[Change::AddVoter(2, info(2))]).unwrap();
    sim.run(10);
    assert_eq!(sim.core(2).membership().voters, [1, 2]);
    // Alone the first one can no longer commit.
    sim.cut(2);
    let commit = sim.core(1).commit_index();
    sim.propose(1, "x").unwrap();
    sim.run(5);
    assert_eq!(sim.core(1).commit_index(), commit);
}

#[test]
fn several_members_change_through_a_joint_configuration() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.run(10);
    sim.join(4);
    sim.join(5);
    let gone = 1 + leader % 3;
    let changes = [
        Change::AddVoter(4, info(4)),
        Change::AddVoter(5, info(5)),
        Change::Remove(gone),
    ];
    sim.change(leader, &changes).unwrap();
    assert!(matches!(
        sim.change(leader, &[Change::Remove(gone)]),
        Err(CoreError::MembershipBusy)
    ));
    sim.run(10 * ELECTION_TICKS);
    let membership = sim.core(leader).membership().clone();
    let mut expected: Vec<u64> = (1..=5).filter(|&id| id != gone).collect();
    expected.sort_unstable();
    assert_eq!(membership.voters, expected);
    assert!(membership.voters_outgoing.is_empty(), "{membership:?}");
    assert!(!membership.peers.contains_key(&gone));
    for &id in &expected {
        assert_eq!(sim.core(id).membership(), &membership, "server {id}");
    }
}

#[test]
fn a_leader_can_be_removed() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let old = sim.elect();
    sim.run(10);
    sim.change(old, &[Change::Remove(old)]).unwrap();
    sim.run(5 * ELECTION_TICKS);
    assert_ne!(sim.core(old).role(), Role::Leader);
    let new = sim.leader().unwrap();
    sim.propose(new, "x").unwrap();
    sim.run(10);
    assert_eq!(sim.core(new).membership().voters.len(), 2);
    assert_eq!(sim.applied(new).len(), 1);
}

#[test]
fn senseless_changes_are_refused() {
    let mut sim = quiet_sim(&[1]);
    sim.settle();
    for changes in [
        vec![],
        vec![Change::Remove(1)],
        vec![Change::Remove(7)],
        vec![Change::AddVoter(0, info(0))],
        vec![Change::AddLearner(2, info(2)), Change::Remove(2)],
        vec![Change::AddLearner(1, info(1))],
    ] {
        let error = sim.change(1, &changes).unwrap_err();
        assert!(
            matches!(error, CoreError::BadMembership(_)),
            "{changes:?}: {error}"
        );
    }
}

#[test]
fn leadership_is_handed_over() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let old = sim.elect();
    sim.run(10);
    let to = sim.with(old, |core| core.transfer(None)).unwrap();
    assert_ne!(to, old);
    assert!(matches!(
        sim.propose(old, "x"),
        Err(CoreError::Transferring)
    ));
    sim.run(5);
    assert_eq!(sim.leader(), Some(to));
    assert!(matches!(
        sim.with(to, |core| core.transfer(Some(9))),
        Err(CoreError::BadMembership(_))
    ));
    assert_eq!(sim.with(to, |core| core.transfer(Some(to))).unwrap(), to);
}

#[test]
fn a_server_that_still_takes_a_snapshot_does_not_campaign() {
    let mut sim = quiet_sim(&[1]);
    sim.settle();
    for n in 0..5 {
        sim.propose(1, &format!("{n}")).unwrap();
    }
    sim.settle();
    sim.join(2);
    // Its disk has the snapshot and says so, but its state machine is slow to take it.
    sim.hold_jobs(2, true);
    sim.change(1, &[Change::AddVoter(2, info(2))]).unwrap();
    sim.run(HEARTBEAT_TICKS * 4);
    assert_eq!(sim.installs, 0);
    assert!(
        sim.core(2).base().index > 5,
        "the log begins behind the snapshot"
    );
    // Asked to lead, it waits for another call.
    sim.with(1, |core| core.transfer(Some(2))).unwrap();
    sim.run(5);
    assert_eq!(sim.leader(), Some(1));
    // Nor does it begin an election by itself, however long the leader is away.
    sim.cut(1);
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.core(2).role(), Role::Follower);
    sim.heal();
    sim.hold_jobs(2, false);
    let leader = sim.elect();
    sim.run(10);
    assert_eq!(sim.installs, 1);
    sim.with(leader, |core| core.transfer(Some(2))).unwrap();
    sim.run(10);
    assert_eq!(sim.leader(), Some(2));
    assert_eq!(sim.applied(2).len(), 5);
}

#[test]
fn lease_reads_cost_one_round_per_lease() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.run(10);
    sim.read(leader);
    sim.settle_messages();
    assert_eq!(sim.reads_done, 1);
    let frames = sim.frames;
    for _ in 0..100 {
        sim.read(leader);
    }
    assert_eq!(sim.reads_done, 101);
    assert_eq!(sim.frames, frames);
    // Without contact the lease ends long before another can lead.
    sim.cut(leader);
    sim.run(ELECTION_TICKS / 2);
    let done = sim.reads_done;
    sim.read(leader);
    sim.run(3);
    assert_eq!(sim.reads_done, done);
    sim.run(4 * ELECTION_TICKS);
    assert_eq!(sim.reads_failed, 1);
}

#[test]
fn followers_ask_the_leader_for_reads() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.run(10);
    sim.read(1 + leader % 3);
    sim.run(3);
    assert_eq!(sim.reads_done, 1);
}

#[test]
fn a_restarted_server_gives_no_vote_while_a_lease_may_hold() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.run(10);
    let (voter, rival) = (1 + leader % 3, 1 + (leader + 1) % 3);
    sim.cut(rival);
    // The rival has waited long enough to ask for votes.
    sim.run(3 * ELECTION_TICKS);
    sim.read(leader);
    sim.run(2);
    assert!(sim.in_lease(leader));
    sim.crash(voter, 0);
    sim.restart(voter);
    // Now only the leader is cut off, so that voter and rival are a majority.
    sim.heal();
    sim.cut(leader);
    while sim.in_lease(leader) {
        assert!(sim.leader().is_none_or(|l| l == leader));
        sim.run(1);
    }
    sim.run(5 * ELECTION_TICKS);
    assert!(sim.leader().is_some_and(|l| l != leader));
}

#[test]
fn bad_messages_are_refused() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.run(10);
    sim.with(leader, |core| {
        for bad in [&b"\xff\xff\xff"[..], b"", b"\x10\x01"] {
            core.step(&Bytes::copy_from_slice(bad)).unwrap_err();
        }
        let too_large = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
        core.step(&too_large).unwrap_err();
        let mut forwarded = Message::default();
        forwarded.set_msg_type(MessageType::MsgPropose);
        forwarded.from = 1 + leader % 3;
        forwarded.to = leader;
        core.step(&convert::encode(&forwarded)).unwrap_err();
    });
}

#[test]
fn a_server_whose_disk_was_swapped_says_so() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.propose(leader, "x").unwrap();
    sim.run(10);
    let victim = 1 + leader % 3;
    sim.crash(victim, 0);
    sim.wipe(victim);
    sim.restart(victim);
    let core = sim.core_mut(victim);
    let mut heartbeat = Message::default();
    heartbeat.set_msg_type(MessageType::MsgHeartbeat);
    heartbeat.from = leader;
    heartbeat.to = victim;
    heartbeat.term = 9;
    heartbeat.commit = 3;
    let error = core.step(&convert::encode(&heartbeat)).unwrap_err();
    assert!(
        matches!(
            error,
            CoreError::Fatal(FatalError::LogLost {
                last: 0,
                expected: 3,
                ..
            })
        ),
        "{error}"
    );
}

#[test]
fn long_logs_are_read_back_from_the_store() {
    // More than the cache holds, with the follower away.
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    let late = 1 + leader % 3;
    sim.run(10);
    sim.crash(late, 0);
    let total = crate::config::CACHE_ENTRIES + 500;
    for n in 0..total {
        sim.propose(leader, &format!("{n}")).unwrap();
        if n % 50 == 0 {
            sim.run(1);
        }
    }
    sim.run(10);
    sim.restart(late);
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.applied(late).len(), total);
}

#[test]
fn an_interrupted_install_is_finished_at_the_next_start() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    for n in 0..20 {
        sim.propose(leader, &format!("{n}")).unwrap();
    }
    sim.run(10);
    sim.snapshot(leader);
    sim.run(2);
    let late = 1 + leader % 3;
    sim.crash(late, 0);
    sim.wipe(late);
    // The file is complete, the log was not yet reset to it.
    sim.copy_snapshot(leader, late);
    sim.restart(late);
    assert_eq!(
        sim.core(late).applied_index(),
        sim.core(leader).snapshot().unwrap().index
    );
    sim.run(5 * ELECTION_TICKS);
    assert_eq!(sim.applied(late).len(), 20);
    assert_eq!(sim.installs, 0);
}

#[test]
fn a_commit_index_alone_is_not_written() {
    let mut sim = quiet_sim(&[1]);
    sim.settle();
    for _ in 0..10 {
        sim.propose(1, "x").unwrap();
        sim.settle();
    }
    // One write for each proposal and one for the leader's first entry; none for the commits.
    assert_eq!(sim.writes(1), 11);
}

#[test]
fn bootstrapping_twice_changes_nothing() {
    let log = MemLog::new();
    let members = std::collections::BTreeMap::from([(1, info(1)), (2, info(2))]);
    assert!(Core::bootstrap(&log, members.clone()).unwrap());
    let (bounds, membership) = (log.bounds(), log.membership().unwrap());
    assert!(!Core::bootstrap(&log, std::collections::BTreeMap::from([(3, info(3))])).unwrap());
    assert_eq!(
        (log.bounds(), log.membership().unwrap()),
        (bounds, membership)
    );
    let log: Arc<dyn LogStore> = Arc::new(log);
    let core = Core::open(
        sim::config(1, 0, 0),
        log,
        None,
        std::path::Path::new("<memory>"),
    )
    .unwrap();
    assert_eq!(core.membership().peers, members);
    assert_eq!(core.ticks_since_leader(), 0);
    assert!(core.needs_ticks());
}

#[test]
fn bootstrapping_keeps_an_earlier_vote() {
    let log = MemLog::new();
    let mut batch = nomad_store::LogBatch::new();
    let voted = nomad_store::HardState {
        term: 5,
        vote: 2,
        commit: 0,
    };
    batch.push(LogOp::HardState(voted));
    log.write(&batch, nomad_store::Durability::Synced).unwrap();
    assert!(Core::bootstrap(&log, [(1, info(1))].into()).unwrap());
    let after = log.hard_state().unwrap();
    assert_eq!((after.term, after.vote, after.commit), (5, 2, 1));
}

#[test]
fn members_can_be_forced_when_the_majority_is_lost() {
    let mut sim = quiet_sim(&[1, 2, 3]);
    let leader = sim.elect();
    sim.propose(leader, "kept").unwrap();
    sim.run(10);
    for id in 1..=3 {
        sim.crash(id, 0);
    }
    let survivor = 1 + leader % 3;
    sim.run(5);
    sim.force_members(survivor, &[survivor]);
    sim.restart(survivor);
    sim.settle();
    assert_eq!(sim.leader(), Some(survivor));
    assert_eq!(sim.applied(survivor)[0].1, "kept");
    assert_eq!(sim.core(survivor).membership().voters, [survivor]);
    sim.propose(survivor, "alone").unwrap();
    sim.settle();
    assert_eq!(sim.applied(survivor).len(), 2);
}

#[test]
fn jitter_stays_in_its_range_and_differs() {
    let mut seen = std::collections::BTreeSet::new();
    for id in 1..6 {
        for term in 0..20 {
            for attempts in 0..3 {
                let ticks = jitter(7, id, term, attempts);
                assert!((ELECTION_TICKS..2 * ELECTION_TICKS).contains(&ticks));
                seen.insert(ticks);
            }
        }
    }
    assert_eq!(seen.len(), ELECTION_TICKS);
}

#[test]
fn writes_of_one_output_are_numbered_in_order() {
    let mut sim = quiet_sim(&[1]);
    sim.settle();
    let core = sim.core_mut(1);
    core.propose(vec!["a".into(), "b".into()]).unwrap();
    core.propose(vec!["c".into()]).unwrap();
    let out = core.take_output().unwrap();
    assert_eq!(out.persist.len(), 1);
    let appended: usize = out.persist[0]
        .batch
        .ops()
        .iter()
        .map(|op| match op {
            LogOp::Append(entries) => entries.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(appended, 3);
    assert!(out.persist[0].sync);
    assert!(Duration::ZERO < core.config.lease);
}
