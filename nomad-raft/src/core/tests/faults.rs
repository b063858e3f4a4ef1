//! Random histories with lost, late and reordered messages, crashes that lose unsynced writes, cut links, drifting
//! clocks, slow disks, snapshots and membership changes. Each is replayed exactly by its seed.

use super::sim::{Sim, info};
use super::*;

/// How many histories each test runs; more of them with RAFT_SEEDS=1000.
fn seeds() -> u64 {
    std::env::var("RAFT_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(16)
}

fn chaos(sim: &mut Sim, steps: u32, change_members: bool) {
    for n in 0..steps {
        let ids = sim.ids();
        let any = ids[sim.random(ids.len() as u32) as usize];
        match sim.random(100) {
            0..40 => {
                if let Some(leader) = sim.leader() {
                    // Refused while leadership is handed over; that is part of the history.
                    let _ = sim.propose(leader, &format!("{n}"));
                }
            }
            40..60 if sim.alive(any) => {
                sim.read(any);
            }
            60..63 if sim.alive(any) => {
                let kept = sim.random(1 + sim.unsynced(any) as u32) as usize;
                sim.crash(any, kept);
            }
            63..70 if !sim.alive(any) => {
                sim.restart(any);
            }
            70..72 => sim.cut(any),
            72..75 => sim.heal(),
            75..80 if sim.alive(any) => {
                sim.snapshot(any);
            }
            80..82 => {
                if let Some(leader) = sim.leader() {
                    let _ = sim.with(leader, |core| core.transfer(None));
                }
            }
            82..86 if sim.alive(any) => {
                sim.write_unreported(any);
            }
            86..90 if change_members => {
                if let Some(leader) = sim.leader() {
                    let change = match sim.random(3) {
                        0 => Change::AddVoter(any, info(any)),
                        1 => Change::AddLearner(any, info(any)),
                        _ => Change::Remove(any),
                    };
                    let second = 1 + u64::from(sim.random(5));
                    let mut changes = vec![change];
                    if second != any && sim.random(3) == 0 {
                        changes.push(Change::AddVoter(second, info(second)));
                    }
                    let _ = sim.change(leader, &changes);
                }
            }
            _ => {}
        }
        let ticks = 1 + sim.random(3) as usize;
        sim.run(ticks);
    }
}

/// Ends the faults and checks that all servers come to the same state.
fn recover(sim: &mut Sim) {
    sim.heal();
    sim.loss = 0;
    sim.max_delay = 0;
    sim.slowness = 0;
    sim.drift = 0;
    for id in sim.ids() {
        if !sim.alive(id) {
            sim.restart(id);
        }
    }
    sim.run(10 * ELECTION_TICKS);
    let leader = sim.elect();
    sim.propose(leader, "the end").unwrap();
    sim.run(20 * ELECTION_TICKS);
    let leader = sim.leader().unwrap();
    let members = sim.core(leader).membership().clone();
    assert!(members.voters_outgoing.is_empty(), "{members:?}");
    for id in sim.ids().into_iter().filter(|&id| members.contains(id)) {
        sim.assert_complete(id);
        assert_eq!(sim.core(id).membership(), &members);
        assert!(sim.entries_stored(id) >= sim.core(leader).commit_index());
    }
    sim.assert_logs_match();
}

#[test]
fn three_servers_under_all_faults() {
    let (mut reads, mut installs) = (0, 0);
    for seed in 0..seeds() {
        let mut sim = Sim::new(seed, &[1, 2, 3]);
        sim.loss = 50;
        sim.max_delay = 3;
        sim.slowness = 60;
        sim.drift = 10;
        chaos(&mut sim, 300, false);
        recover(&mut sim);
        reads += sim.reads_done;
        installs += sim.installs;
    }
    // The faults must leave room for something to happen.
    assert!(reads > 100 && installs > 5, "{reads} {installs}");
}

#[test]
fn five_servers_that_change_their_members() {
    let mut taken = 0;
    for seed in 100..100 + seeds() {
        let mut sim = Sim::new(seed, &[1, 2, 3]);
        sim.join(4);
        sim.join(5);
        sim.loss = 20;
        sim.max_delay = 2;
        sim.slowness = 20;
        sim.drift = 5;
        chaos(&mut sim, 300, true);
        recover(&mut sim);
        taken += sim.snapshots_taken;
    }
    assert!(taken > 20, "{taken}");
}

#[test]
fn without_faults_nothing_is_lost_or_slow() {
    let mut sim = Sim::new(3, &[1, 2, 3, 4, 5]);
    let leader = sim.elect();
    for n in 0..500 {
        sim.propose(leader, &format!("{n}")).unwrap();
        sim.read(1 + n % 5);
        sim.run(1);
    }
    sim.run(10);
    assert_eq!(sim.reads_failed, 0);
    assert_eq!(sim.reads_done, 500);
    for id in sim.ids() {
        sim.assert_complete(id);
    }
}
