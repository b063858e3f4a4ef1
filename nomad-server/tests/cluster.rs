//! Three servers: writes survive the loss of the leader, and the next one goes on where it stopped.

mod support;

use std::time::{Duration, Instant};

use nomad_core::Uuid;
use nomad_core::alloc::ClientStatus;
use nomad_core::job::JobType;
use nomad_core::node::NodeStatus;
use nomad_core::view::ClusterView as _;
use nomad_proto::node::{error, node_down};
use nomad_server::keyring::Items;
use nomad_server::ops::{RegisterJob, WriteVariable};
use nomad_server::{ServerError, Storage};
use nomad_state::WatchKey;
use nomad_state::table::Table;
use nomad_state::variable::VariableKey;
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn server_id(number: u8) -> Uuid {
    Uuid::from_random([number; 16])
}

async fn start(count: u8) -> Vec<TestServer> {
    let mut servers = Vec::new();
    for number in 1..=count {
        let server = TestServer::start_with(Storage::memory(), |config| {
            config.name = format!("server-{number}");
            config.id = server_id(number);
            config.raft = nomad_raft::RaftConfig::new(nomad_server::config::raft_id(config.id));
            config.raft.election_timeout = Duration::from_millis(300);
            config.bootstrap_expect = 0;
        })
        .await;
        servers.push(server);
    }
    let members: Vec<_> = servers
        .iter()
        .map(|server| {
            (
                server.server.config().id,
                server.server.config().peer_info(),
            )
        })
        .collect();
    for server in &servers {
        server.server.bootstrap(&members).await.unwrap();
    }
    servers
}

/// Waits until one of them leads; gives its place.
async fn leader(servers: &[TestServer]) -> usize {
    let began = Instant::now();
    loop {
        if let Some(at) = servers.iter().position(|server| server.server.is_leader()) {
            return at;
        }
        assert!(began.elapsed() < PATIENCE, "nobody leads");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn register(server: &TestServer, id: &str) -> Result<u64, ServerError> {
    let request = RegisterJob {
        job: job(id, JobType::Service, 1),
        ..RegisterJob::default()
    };
    server
        .server
        .register_job(request)
        .await
        .map(|reply| reply.index)
}

async fn until_running(server: &TestServer, id: &str) {
    server
        .until(
            "allocation running",
            vec![WatchKey::JobAllocs(key(id))],
            |state| (count(state, id, ClientStatus::Running) == 1).then_some(()),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_goes_on() {
    let mut servers = start(3).await;
    let first = leader(&servers).await;
    let follower = (first + 1) % 3;

    // Followers say who leads.
    let refused = register(&servers[follower], "web").await.unwrap_err();
    let address = servers[first].address.to_string();
    assert!(
        matches!(&refused, ServerError::NotLeader { leader } if *leader == address),
        "{refused:?}"
    );
    let mut lost = FakeNode::connect(servers[follower].address, node(1)).await;
    let told = lost
        .expect("the leader's address", |message| match message.message {
            Some(node_down::Message::Error(error)) if error.kind() == error::Kind::NotLeader => {
                Some(error.leader_address)
            }
            _ => None,
        })
        .await;
    assert_eq!(told, address);

    let node_one = FakeNode::connect(servers[first].address, node(1)).await;
    let index = register(&servers[first], "web").await.unwrap();
    until_running(&servers[first], "web").await;
    // Every server comes to the same state.
    for server in &servers {
        let state = server.server.wait_for_index(index).await.unwrap();
        assert!(state.job(&key("web")).is_some());
    }
    servers[follower].server.read_barrier().await.unwrap();

    // A job that waits for capacity waits on under the next leader.
    let mut large = job("large", JobType::Service, 1);
    large.task_groups[0].tasks[0].resources.cpu = 3950;
    let request = RegisterJob {
        job: large,
        ..RegisterJob::default()
    };
    servers[first].server.register_job(request).await.unwrap();
    servers[first]
        .until("blocked", vec![WatchKey::JobEvals(key("large"))], |state| {
            let blocked = state
                .evals_of_job(&key("large"))
                .any(|eval| eval.should_block());
            blocked.then_some(())
        })
        .await;

    let gone = servers.remove(first);
    gone.stop().await;
    drop(node_one);
    let began = Instant::now();
    let second = leader(&servers).await;
    println!("next leader after {:?}", began.elapsed());
    let state = servers[second].server.state();
    assert_eq!(
        state.node(node(1).id).unwrap().status,
        NodeStatus::Ready,
        "nodes have time"
    );
    let _node_one = FakeNode::connect(servers[second].address, node(1)).await;
    let _node_two = FakeNode::connect(servers[second].address, node(2)).await;
    until_running(&servers[second], "large").await;
    register(&servers[second], "after").await.unwrap();
    until_running(&servers[second], "after").await;
    assert_eq!(
        count(
            &servers[second].server.state(),
            "web",
            ClientStatus::Running
        ),
        1
    );
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_join_and_leadership_is_handed_over() {
    let mut servers = start(1).await;
    let first = leader(&servers).await;
    register(&servers[first], "web").await.unwrap();
    let joining = TestServer::start_with(Storage::memory(), |config| {
        config.name = "server-9".to_owned();
        config.id = server_id(9);
        config.raft = nomad_raft::RaftConfig::new(nomad_server::config::raft_id(config.id));
        config.raft.election_timeout = Duration::from_millis(300);
        config.bootstrap_expect = 0;
    })
    .await;
    let info = joining.server.config().peer_info();
    let index = servers[first]
        .server
        .add_server(server_id(9), info, true)
        .await
        .unwrap();
    joining
        .until(
            "the job arrives",
            vec![WatchKey::Table(Table::Jobs)],
            |state| state.job(&key("web")).map(|_| ()),
        )
        .await;
    assert!(index > 0);
    let index = register(&servers[first], "second").await.unwrap();
    joining.server.wait_for_index(index).await.unwrap();
    servers.push(joining);
    servers[first]
        .server
        .transfer_leadership(None)
        .await
        .unwrap();
    let began = Instant::now();
    while !servers[1].server.is_leader() {
        assert!(began.elapsed() < PATIENCE, "leadership is not taken over");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    register(&servers[1], "after").await.unwrap();

    // The old leader hands requests on.
    servers[1]
        .server
        .set_forward_handler(std::sync::Arc::new(|mut io| {
            tokio::spawn(async move {
                let mut request = String::new();
                io.read_to_string(&mut request).await.unwrap();
                io.write_all(format!("answer to {request}").as_bytes())
                    .await
                    .unwrap();
                io.shutdown().await.unwrap();
            });
        }));
    let mut io = servers[0].server.forward_to_leader().await.unwrap();
    io.write_all(b"request").await.unwrap();
    io.shutdown().await.unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer to request");
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_opens_variables_and_the_next_leader_seals_them() {
    let mut servers = start(3).await;
    let first = leader(&servers).await;
    let write = |value: &str| WriteVariable {
        key: VariableKey::new("default", "app"),
        items: Items([("k".to_owned(), value.to_owned())].into()),
        ..WriteVariable::default()
    };
    let reply = servers[first].server.write_variable(write("one")).await;
    let index = reply.unwrap().index;
    for server in &servers {
        assert_eq!(opened(server, index).await.0["k"], "one");
    }
    servers.remove(first).stop().await;
    let next = leader(&servers).await;
    let reply = servers[next].server.write_variable(write("two")).await;
    let index = reply.unwrap().index;
    for server in &servers {
        assert_eq!(opened(server, index).await.0["k"], "two");
    }
}

/// The items of the Variable as that server reads them once it has the write.
async fn opened(server: &TestServer, index: u64) -> Items {
    let state = server.server.wait_for_index(index).await.unwrap();
    let row = state.variable(&VariableKey::new("default", "app")).unwrap();
    server.server.open_variable(&state, row).await.unwrap()
}
