//! What was acknowledged is there after a restart, and after a power cut.

mod support;

use std::sync::Arc;

use nomad_core::job::JobType;
use nomad_core::view::ClusterView as _;
use nomad_server::Storage;
use nomad_server::ops::RegisterJob;
use nomad_store::{MemLog, MemSnapshots};
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let log = Arc::new(MemLog::with_crashes());
    let snapshots = Arc::new(MemSnapshots::new());
    let storage = Storage {
        log: Arc::clone(&log) as _,
        snapshots: Arc::clone(&snapshots) as _,
    };
    let cluster = TestServer::start(storage).await;
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    let mut after_cut = Vec::new();
    for number in 0..50 {
        let id = format!("job-{number}");
        let request = RegisterJob {
            job: job(&id, JobType::Batch, 1),
            ..RegisterJob::default()
        };
        let reply = cluster.server.register_job(request).await.unwrap();
        acknowledged.push((id, reply.job_modify_index));
        if number % 10 == 9 {
            // What a disk holds of it now, had the power gone.
            after_cut.push((log.crash(0), acknowledged.clone()));
        }
    }
    cluster.stop().await;
    for (log, acknowledged) in after_cut {
        let storage = Storage {
            log: Arc::new(log),
            snapshots: Arc::clone(&snapshots) as _,
        };
        let cluster = TestServer::start(storage).await;
        cluster.server.wait_until_leading().await.unwrap();
        let state = cluster.server.state();
        for (id, index) in &acknowledged {
            let job = state.job(&key(id)).expect("an acknowledged job is there");
            assert_eq!(job.job_modify_index, *index);
        }
        cluster.stop().await;
    }
}

#[cfg(feature = "rocksdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_and_work_goes_on() {
    use nomad_core::alloc::ClientStatus;
    use nomad_core::node::NodeStatus;
    use nomad_state::WatchKey;
    use nomad_state::table::Table;

    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for round in 0..3 {
        let began = std::time::Instant::now();
        let storage = Storage::open(directory.path()).unwrap();
        let cluster = TestServer::start(storage).await;
        cluster.server.wait_until_leading().await.unwrap();
        println!("round {round}: leading after {:?}", began.elapsed());
        for (id, index) in &acknowledged {
            let state = cluster.server.state();
            let job = state.job(&key(id)).expect("an acknowledged job is there");
            assert_eq!(job.job_modify_index, *index);
        }
        let node = FakeNode::connect(cluster.address, node(1)).await;
        let nodes = vec![WatchKey::Table(Table::Nodes)];
        cluster
            .until("node ready", nodes, |state| {
                (state.node(node.id)?.status == NodeStatus::Ready).then_some(())
            })
            .await;
        for number in 0..5 {
            let id = format!("job-{round}-{number}");
            let request = RegisterJob {
                job: job(&id, JobType::Batch, 1),
                ..RegisterJob::default()
            };
            let reply = cluster.server.register_job(request).await.unwrap();
            acknowledged.push((id, reply.job_modify_index));
        }
        let all = acknowledged.len();
        cluster
            .until(
                "everything runs",
                vec![WatchKey::Table(Table::Allocs)],
                |state| {
                    let running = state
                        .allocs()
                        .filter(|alloc| alloc.client_status == ClientStatus::Running)
                        .count();
                    (running == all).then_some(())
                },
            )
            .await;
        // The last words of a round are not waited for: a job may be half way.
        let last = format!("late-{round}");
        let request = RegisterJob {
            job: job(&last, JobType::Batch, 1),
            ..RegisterJob::default()
        };
        let reply = cluster.server.register_job(request).await.unwrap();
        acknowledged.push((last, reply.job_modify_index));
        drop(node);
        cluster.stop().await;
    }
    assert_eq!(acknowledged.len(), 18);
}
