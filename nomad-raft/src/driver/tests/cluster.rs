//! Several servers over the network in memory, with real threads and a real clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nomad_store::{LogStore, MemLog, MemSnapshots, SnapshotStore};

use super::{Recorder, config, info};
use crate::{Change, MemNetwork, Raft, RaftConfig, RaftError, Role, Stopped};

struct Server {
    raft: Option<Raft<usize>>,
    log: MemLog,
    snapshots: MemSnapshots,
    machine: Recorder,
    config: RaftConfig,
}

struct Cluster {
    network: MemNetwork,
    servers: BTreeMap<u64, Server>,
}

impl Cluster {
    async fn new(count: u64) -> Self {
        Self::with(count, |_| {}).await
    }

    async fn with(count: u64, change: impl Fn(&mut RaftConfig)) -> Self {
        let mut cluster = Self {
            network: MemNetwork::new(),
            servers: BTreeMap::new(),
        };
        let members: BTreeMap<_, _> = (1..=count).map(|id| (id, info(id))).collect();
        for id in 1..=count {
            let mut config = config(id);
            change(&mut config);
            cluster.add(id, config).await;
            let raft = cluster.raft(id);
            raft.bootstrap(members.clone()).await.unwrap();
        }
        cluster
    }

    async fn add(&mut self, id: u64, config: RaftConfig) {
        let server = Server {
            raft: None,
            // Logs that count as durable, so that the log thread takes part.
            log: MemLog::with_crashes(),
            snapshots: MemSnapshots::new(),
            machine: Recorder::default(),
            config,
        };
        self.servers.insert(id, server);
        self.start(id).await;
    }

    async fn start(&mut self, id: u64) {
        let server = self.servers.get_mut(&id).unwrap();
        server.machine = Recorder::default();
        let raft = Raft::start(
            server.config.clone(),
            Arc::new(server.log.clone()),
            Arc::new(server.snapshots.clone()),
            server.machine.clone(),
            Arc::new(self.network.transport(id)),
        )
        .await
        .unwrap();
        let receiver = raft.clone();
        self.network
            .attach(id, move |frame| receiver.try_deliver(frame));
        server.raft = Some(raft);
    }

    /// Stops a server without letting it write anything more than its threads have at hand.
    async fn kill(&mut self, id: u64) {
        self.network.detach(id);
        let server = self.servers.get_mut(&id).unwrap();
        let raft = server.raft.take().unwrap();
        let stopped = raft.stopped();
        drop(raft);
        stopped.await;
        server.log = server.log.crash(0);
    }

    fn raft(&self, id: u64) -> Raft<usize> {
        self.servers[&id].raft.clone().unwrap()
    }

    async fn leader(&self) -> u64 {
        for _ in 0..1000 {
            let ready = self
                .servers
                .iter()
                .find(|(_, server)| server.raft.as_ref().is_some_and(|r| r.leadership().ready));
            if let Some((id, _)) = ready {
                return *id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no leader");
    }

    /// Proposes somewhere until it succeeds, as clients do.
    async fn propose(&self, data: &str) {
        for _ in 0..200 {
            let leader = self.leader().await;
            match self.raft(leader).propose(data.to_owned().into()).await {
                Ok(_) => return,
                Err(RaftError::NotLeader { .. } | RaftError::Busy) => {}
                // It may have happened; these tests do not mind twice.
                Err(RaftError::LeadershipLost) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("cannot propose");
    }

    /// Waits until all servers have applied the same as the leader.
    async fn agree(&self) {
        for _ in 0..1000 {
            let leader = self.leader().await;
            let index = self.raft(leader).applied_index();
            let data = self.servers[&leader].machine.data();
            let same = self.servers.values().all(|server| {
                server
                    .raft
                    .as_ref()
                    .is_none_or(|r| r.applied_index() == index && server.machine.data() == data)
            });
            if same {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no agreement");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_replicate_and_followers_give_a_hint() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    for n in 0..50 {
        let applied = cluster.raft(leader).propose(format!("{n}").into()).await;
        assert_eq!(applied.unwrap().output, n + 1);
    }
    cluster.agree().await;
    let follower = cluster.raft(1 + leader % 3);
    let error = follower.propose("x".into()).await.unwrap_err();
    assert!(
        matches!(error, RaftError::NotLeader { leader: Some(hint) } if hint == leader),
        "{error}"
    );
    // A follower's barrier asks the leader.
    let index = cluster.raft(leader).applied_index();
    assert!(follower.read_barrier().await.unwrap() >= index);
    assert!(follower.applied_index() >= index);
    let status = cluster.raft(leader).status().await.unwrap();
    assert_eq!(status.role, Role::Leader);
    assert_eq!(status.peers.len(), 3);
    assert!(
        status
            .peers
            .iter()
            .all(|p| p.voter && p.active == Some(true))
    );
    let status = follower.status().await.unwrap();
    assert!(status.last_contact.unwrap() < Duration::from_secs(5));
    assert!(status.peers.iter().all(|p| p.matched.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_returns() {
    let mut cluster = Cluster::new(3).await;
    for round in 0..3 {
        let leader = cluster.leader().await;
        for n in 0..20 {
            cluster.propose(&format!("{round}-{n}")).await;
        }
        cluster.kill(leader).await;
        cluster.propose(&format!("{round} without")).await;
        cluster.start(leader).await;
    }
    cluster.agree().await;
    let data = cluster.servers[&1].machine.data();
    for round in 0..3 {
        for n in 0..20 {
            assert!(data.contains(&format!("{round}-{n}")));
        }
        assert!(data.contains(&format!("{round} without")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_answers_and_steps_down() {
    let cluster = Cluster::new(3).await;
    let old = cluster.leader().await;
    cluster.propose("before").await;
    cluster.network.partition(&[old]);
    let raft = cluster.raft(old);
    let waiting = tokio::spawn(async move { raft.propose("lost".into()).await });
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, RaftError::LeadershipLost), "{error}");
    let mut changes = cluster.raft(old).leader_changes();
    changes.wait_for(|l| !l.is_leader).await.unwrap();
    assert!(cluster.raft(old).read_barrier().await.is_err());
    let new = cluster.leader().await;
    assert_ne!(new, old);
    cluster.propose("after").await;
    cluster.network.heal();
    cluster.agree().await;
    assert_eq!(cluster.servers[&old].machine.data(), ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_loss_slows_but_loses_nothing() {
    let cluster = Cluster::new(3).await;
    cluster.leader().await;
    cluster.network.lose(10, 7);
    for n in 0..60 {
        cluster.propose(&format!("{n}")).await;
    }
    cluster.network.heal();
    cluster.agree().await;
    let mut data = cluster.servers[&1].machine.data();
    data.dedup();
    assert!(data.len() >= 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_server_is_sent_a_large_snapshot() {
    let mut cluster = Cluster::with(3, |config| config.trailing_logs = 4).await;
    let leader = cluster.leader().await;
    let late = 1 + leader % 3;
    cluster.kill(late).await;
    // Several chunks' worth.
    let large = "x".repeat(300_000);
    for n in 0..10 {
        cluster.propose(&format!("{n}{large}")).await;
    }
    let meta = cluster.raft(leader).snapshot_now().await.unwrap();
    cluster.propose("after").await;
    cluster.start(late).await;
    cluster.agree().await;
    let server = &cluster.servers[&late];
    assert_eq!(*server.machine.restored.lock(), [10]);
    assert_eq!(server.snapshots.list().unwrap()[0].meta, meta);
    assert!(server.log.bounds().base.index >= meta.index);
    // A transfer over a bad network comes through too.
    cluster.kill(late).await;
    for n in 0..10 {
        cluster.propose(&format!("more {n}{large}")).await;
    }
    let leader = cluster.leader().await;
    cluster.raft(leader).snapshot_now().await.unwrap();
    cluster.network.lose(10, 3);
    cluster.start(late).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.network.heal();
    cluster.agree().await;
    assert_eq!(cluster.servers[&late].machine.len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_join_take_over_and_leave() {
    let mut cluster = Cluster::new(1).await;
    cluster.propose("alone").await;
    for id in 2..=3 {
        cluster.add(id, config(id)).await;
        let first = cluster.raft(1);
        first.add_peer(id, info(id), false).await.unwrap();
        cluster.agree().await;
        first.add_peer(id, info(id), true).await.unwrap();
    }
    cluster.propose("together").await;
    let membership = cluster.raft(1).status().await.unwrap().membership;
    assert_eq!(membership.voters, [1, 2, 3]);
    // Two changes at once: the second waits for the first.
    let (a, b) = (cluster.raft(1), cluster.raft(1));
    let moved = crate::PeerInfo {
        address: "10.0.0.2:4647".into(),
        ..info(2)
    };
    let (a, b) = tokio::join!(
        a.add_peer(2, moved.clone(), true),
        b.change_membership(vec![Change::AddLearner(9, info(9))])
    );
    assert!(a.unwrap() < b.unwrap());
    let membership = cluster.raft(1).status().await.unwrap().membership;
    assert_eq!(membership.peers[&2], moved);
    assert_eq!(membership.learners, [9]);
    cluster.raft(1).remove_peer(9).await.unwrap();

    let to = cluster.raft(1).transfer_leadership(Some(3)).await.unwrap();
    assert_eq!(to, 3);
    assert_eq!(cluster.leader().await, 3);
    cluster.raft(3).remove_peer(1).await.unwrap();
    cluster.propose("without one").await;
    let error = cluster.raft(3).remove_peer(1).await.unwrap_err();
    assert!(error.to_string().contains("not a member"), "{error}");
    assert_eq!(
        cluster.servers[&2]
            .raft
            .as_ref()
            .unwrap()
            .status()
            .await
            .unwrap()
            .membership
            .voters,
        [2, 3]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_questions_of_reads_are_asked_again() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    cluster.propose("x").await;
    cluster.agree().await;
    let follower = cluster.raft(1 + leader % 3);
    cluster.network.lose(100, 1);
    let waiting = tokio::spawn(async move { follower.read_barrier().await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    cluster.network.heal();
    assert!(waiting.await.unwrap().unwrap() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_nobody_takes_up_fails() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    cluster.propose("x").await;
    cluster.agree().await;
    let to = 1 + leader % 3;
    cluster.network.partition(&[to]);
    let error = cluster
        .raft(leader)
        .transfer_leadership(Some(to))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did not take over"), "{error}");
    cluster.propose("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_servers_survive_two() {
    let mut cluster = Cluster::new(5).await;
    cluster.propose("x").await;
    for _ in 0..2 {
        let leader = cluster.leader().await;
        cluster.kill(leader).await;
    }
    cluster.propose("y").await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_frames_change_nothing() {
    let cluster = Cluster::new(1).await;
    cluster.propose("x").await;
    let raft = cluster.raft(1);
    for bad in [
        &b""[..],
        b"\x01\xff\xff",
        b"\x02",
        b"\x07",
        b"\x03aaaaaaaaaaaaaaaaaaaaa",
    ] {
        raft.deliver(bytes::Bytes::copy_from_slice(bad))
            .await
            .unwrap();
    }
    cluster.propose("y").await;
    assert!(matches!(raft.shutdown().await, Stopped::Clean));
}
