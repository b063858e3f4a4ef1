//! From a job's registration to a running allocation and a healthy deployment, over a real node stream.

mod support;

use std::time::{Duration, Instant};

use nomad_core::alloc::ClientStatus;
use nomad_core::deployment::DeploymentStatus;
use nomad_core::eval::EvalStatus;
use nomad_core::job::{JobStatus, JobType};
use nomad_core::node::NodeStatus;
use nomad_core::view::ClusterView as _;
use nomad_server::Storage;
use nomad_server::ops::RegisterJob;
use nomad_state::WatchKey;
use nomad_state::table::Table;
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_job_runs_and_its_deployment_succeeds() {
    let began = Instant::now();
    let cluster = TestServer::start(Storage::memory()).await;
    cluster.server.wait_until_leading().await.unwrap();
    println!("server started and leading after {:?}", began.elapsed());

    let began = Instant::now();
    let node = FakeNode::connect(cluster.address, node(1)).await;
    let nodes = vec![WatchKey::Table(Table::Nodes)];
    cluster
        .until("node ready", nodes, |state| {
            state
                .node(node.id)
                .filter(|node| node.status == NodeStatus::Ready)
                .map(|_| ())
        })
        .await;
    println!("node connected and ready after {:?}", began.elapsed());

    let mut latencies = Vec::new();
    for number in 0..20 {
        let id = format!("job-{number}");
        let began = Instant::now();
        let request = RegisterJob {
            job: job(&id, JobType::Service, 1),
            ..RegisterJob::default()
        };
        let reply = cluster.server.register_job(request).await.unwrap();
        assert!(reply.eval_id.is_some() && reply.job_modify_index == reply.index);
        cluster
            .until(
                "allocation running",
                vec![WatchKey::JobAllocs(key(&id))],
                |state| (count(state, &id, ClientStatus::Running) == 1).then_some(()),
            )
            .await;
        latencies.push(began.elapsed());
        cluster
            .until(
                "deployment successful",
                vec![WatchKey::JobDeployments(key(&id))],
                |state| {
                    let deployment = state.latest_deployment(&key(&id))?;
                    (deployment.status == DeploymentStatus::Successful).then_some(())
                },
            )
            .await;
        let state = cluster.server.state();
        let job = state.job(&key(&id)).unwrap();
        assert_eq!(job.status, JobStatus::Running);
        assert!(
            job.stable,
            "a successful deployment makes the version stable"
        );
    }
    latencies.sort();
    let median = latencies[latencies.len() / 2];
    println!(
        "register to running: median {median:?}, worst {:?}",
        latencies.last().unwrap()
    );
    assert!(median < Duration::from_millis(100), "median {median:?}");
    let state = cluster.server.state();
    assert!(
        state
            .evals()
            .all(|eval| eval.status == EvalStatus::Complete),
        "{}",
        cluster.dump()
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_room_waits_and_runs_when_a_node_joins() {
    let cluster = TestServer::start(Storage::memory()).await;
    let job = job("early", JobType::Batch, 2);
    cluster
        .server
        .register_job(RegisterJob {
            job,
            ..RegisterJob::default()
        })
        .await
        .unwrap();
    let evals = vec![WatchKey::JobEvals(key("early"))];
    cluster
        .until("blocked evaluation", evals, |state| {
            state
                .evals()
                .any(|eval| eval.status == EvalStatus::Blocked)
                .then_some(())
        })
        .await;
    assert_eq!(
        cluster.server.state().job(&key("early")).unwrap().status,
        JobStatus::Pending
    );
    let _node = FakeNode::connect(cluster.address, node(1)).await;
    cluster
        .until(
            "both running",
            vec![WatchKey::JobAllocs(key("early"))],
            |state| (count(state, "early", ClientStatus::Running) == 2).then_some(()),
        )
        .await;
    cluster.stop().await;
}
