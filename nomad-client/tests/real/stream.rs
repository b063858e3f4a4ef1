//! The node's stream to a server.

use nomad_core::alloc::ClientStatus;
use nomad_core::job::{Disconnect, JobType};
use nomad_core::{API_LEVEL, Nanos};
use nomad_proto::node::error::Kind;
use nomad_proto::node::{Error, OpenTunnel, node_down, node_up};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{FakeServer, within};
use crate::world::{World, shell};

#[tokio::test]
async fn a_node_registers_runs_and_reports() {
    let mut server = FakeServer::new().await;
    let world = World::with_servers(vec![server.address]).await;
    let mut stream = server.stream().await;
    let node = stream.accept(60_000).await;
    assert_eq!(node.attributes["nomad.version"], API_LEVEL);
    assert_eq!(node.attributes["driver.raw_exec"], "1");
    assert!(node.drivers["raw_exec"].healthy);
    assert!(!node.secret_id.is_empty());
    // The first word is that there is nothing to report.
    let (_, batch) = stream.batch().await;
    assert!(batch.is_empty());
    within(world.client.wait_registered()).await;

    let alloc = World::alloc(JobType::Batch, vec![shell("t", "exit 0")]);
    stream.assign(true, std::slice::from_ref(&alloc)).await;
    let mut last = None;
    while last != Some(ClientStatus::Complete) {
        let (seq, batch) = stream.batch().await;
        assert_eq!(batch.len(), 1);
        assert_eq!(batch[0].id, alloc.id);
        last = Some(batch[0].client_status);
        stream.ack(seq).await;
    }
    // A set without it removes it.
    stream.assign(true, &[]).await;
    while !world.client.alloc_ids().is_empty() || world.path(alloc.id).exists() {
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    world.end().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_on_the_next_stream() {
    let mut server = FakeServer::new().await;
    let world = World::with_servers(vec![server.address]).await;
    let mut stream = server.stream().await;
    stream.accept(60_000).await;
    let alloc = World::alloc(JobType::Batch, vec![shell("t", "exit 0")]);
    stream.assign(true, std::slice::from_ref(&alloc)).await;
    world.status(alloc.id, ClientStatus::Complete).await;
    drop(stream);

    let mut stream = server.stream().await;
    stream.accept(60_000).await;
    let (_, batch) = stream.batch().await;
    assert_eq!(batch.len(), 1);
    assert_eq!(batch[0].client_status, ClientStatus::Complete);

    // The server is busy: the same again after a while.
    let busy = Error {
        kind: Kind::Busy.into(),
        retry_after_ms: 20,
        ..Error::default()
    };
    stream.send(node_down::Message::Error(busy)).await;
    let (seq, again) = stream.batch().await;
    assert_eq!(again, batch);
    stream.ack(seq).await;
    world.end().await;
}

#[tokio::test]
async fn the_node_goes_where_it_is_sent() {
    let mut first = FakeServer::new().await;
    let mut leader = FakeServer::new().await;
    let world = World::with_servers(vec![first.address]).await;
    let mut stream = first.stream().await;
    let node_up::Message::Register(_) = stream.next().await else {
        panic!("a registration comes first")
    };
    let sent_away = Error {
        kind: Kind::NotLeader.into(),
        leader_address: leader.address.to_string(),
        ..Error::default()
    };
    stream.send(node_down::Message::Error(sent_away)).await;
    let mut stream = leader.stream().await;
    stream.accept(60_000).await;
    within(world.client.wait_registered()).await;
    world.end().await;
}

#[tokio::test]
async fn heartbeats_come_in_time_and_silence_ends_the_stream() {
    let mut server = FakeServer::new().await;
    let world = World::with_servers(vec![server.address]).await;
    let mut stream = server.stream().await;
    stream.accept(200).await;
    let begun = std::time::Instant::now();
    loop {
        if let node_up::Message::Heartbeat(beat) = stream.next().await {
            assert_eq!(beat.seq, 1);
            break;
        }
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    world.end().await;
    assert!(stream.ended().await);
}

#[tokio::test]
async fn servers_reach_the_node_through_its_own_connection() {
    let mut server = FakeServer::new().await;
    let world = World::with_servers(vec![server.address]).await;
    let mut stream = server.stream().await;
    stream.accept(60_000).await;
    let open = OpenTunnel {
        id: "tunnel-1".to_owned(),
    };
    stream.send(node_down::Message::OpenTunnel(open)).await;
    let (id, mut io) = server.tunnel().await;
    assert_eq!(id, "tunnel-1");
    io.write_all(b"hello").await.unwrap();
    io.shutdown().await.unwrap();
    let mut back = String::new();
    within(io.read_to_string(&mut back)).await.unwrap();
    assert_eq!(back, "hello");
    world.end().await;
}

#[tokio::test]
async fn changed_meta_is_registered() {
    let mut server = FakeServer::new().await;
    let world = World::with_servers(vec![server.address]).await;
    let mut stream = server.stream().await;
    stream.accept(60_000).await;
    within(world.client.wait_registered()).await;
    let change = [("zone".to_owned(), Some("b".to_owned()))].into();
    let view = world.client.apply_node_meta(change).unwrap();
    assert_eq!(view.meta["zone"], "b");
    loop {
        if let node_up::Message::Register(register) = stream.next().await {
            let node: nomad_core::node::Node = nomad_proto::unpack(&register.node).unwrap();
            assert_eq!(node.meta["zone"], "b");
            break;
        }
    }
    world.end().await;
}

#[tokio::test]
async fn allocations_stop_when_the_servers_are_silent_for_long() {
    let world = World::new().await;
    let mut alloc = World::alloc(JobType::Service, vec![shell("t", "sleep 1000")]);
    let job = std::sync::Arc::make_mut(alloc.job.as_mut().unwrap());
    job.task_groups[0].disconnect = Some(Disconnect {
        stop_on_client_after: Some(Nanos::millis(300)),
        ..Disconnect::default()
    });
    let id = world.assign(alloc);
    let gone = async {
        while !world.client.alloc_ids().is_empty() || world.path(id).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    };
    within(gone).await;
    world.end().await;
}
