//! What becomes of jobs and nodes over time: updates, failures, drains, lost nodes, launches.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use nomad_core::alloc::{ClientStatus, DesiredStatus};
use nomad_core::deployment::DeploymentStatus;
use nomad_core::job::{Job, JobStatus, JobType, Parameterized, Periodic};
use nomad_core::node::{Eligibility, NodeStatus};
use nomad_core::view::ClusterView as _;
use nomad_core::{EvalId, JobKey, Nanos};
use nomad_proto::node::{error, node_down};
use nomad_server::heartbeat::HeartbeatConfig;
use nomad_server::ops::{DispatchJob, DrainNode, DrainSpec, RegisterJob, RegisterReply, ScaleJob};
use nomad_server::{ServerError, Storage};
use nomad_state::WatchKey;
use nomad_state::table::Table;
use support::*;

async fn register(cluster: &TestServer, job: Job) -> RegisterReply {
    cluster
        .server
        .register_job(RegisterJob {
            job,
            ..RegisterJob::default()
        })
        .await
        .unwrap()
}

async fn until_running(cluster: &TestServer, id: &str, version: u64, wanted: usize) {
    cluster
        .until(
            "allocations running",
            vec![WatchKey::JobAllocs(key(id))],
            |state| {
                let running = state.allocs_of_job(&key(id)).filter(|alloc| {
                    alloc.client_status == ClientStatus::Running
                        && alloc.desired_status == DesiredStatus::Run
                        && alloc.job_version == version
                });
                (running.count() == wanted).then_some(())
            },
        )
        .await;
}

async fn until_deployed(cluster: &TestServer, id: &str, version: u64) {
    cluster
        .until(
            "deployment successful",
            vec![WatchKey::JobDeployments(key(id))],
            |state| {
                let deployment = state.latest_deployment(&key(id))?;
                (deployment.job_version == version
                    && deployment.status == DeploymentStatus::Successful)
                    .then_some(())
            },
        )
        .await;
}

fn with_env(mut job: Job, value: &str) -> Job {
    let env = &mut job.task_groups[0].tasks[0].env;
    env.insert("VALUE".to_owned(), value.to_owned());
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_rolls_and_a_bad_one_is_rolled_back() {
    let cluster = TestServer::start(Storage::memory()).await;
    let bad = |alloc: &nomad_core::alloc::Allocation| {
        let job = alloc.job.as_ref()?;
        let is_bad = job.task_groups[0].tasks[0]
            .env
            .get("VALUE")
            .is_some_and(|v| v == "bad");
        Some(if is_bad {
            failed(alloc)
        } else {
            running(alloc, true)
        })
    };
    let _node = FakeNode::connect_with(cluster.address, node(1), Arc::new(bad)).await;
    let mut web = job("web", JobType::Service, 3);
    if let Some(update) = &mut web.task_groups[0].update {
        update.auto_revert = true;
    }
    // Fail the deployment with the first failure, without waiting for replacements.
    if let Some(policy) = &mut web.task_groups[0].reschedule_policy {
        policy.unlimited = false;
        policy.attempts = 0;
    }
    register(&cluster, with_env(web.clone(), "one")).await;
    until_deployed(&cluster, "web", 0).await;
    until_running(&cluster, "web", 0, 3).await;

    register(&cluster, with_env(web.clone(), "two")).await;
    until_deployed(&cluster, "web", 1).await;
    until_running(&cluster, "web", 1, 3).await;

    register(&cluster, with_env(web, "bad")).await;
    cluster
        .until(
            "version rolled back",
            vec![WatchKey::Table(Table::Jobs)],
            |state| (state.job(&key("web"))?.version == 3).then_some(()),
        )
        .await;
    let state = cluster.server.state();
    let failure = state
        .deployments_of_job(&key("web"))
        .find(|d| d.job_version == 2)
        .unwrap();
    assert_eq!(failure.status, DeploymentStatus::Failed);
    assert_eq!(
        failure.status_description,
        "Failed due to unhealthy allocations - rolling back to job version 1"
    );
    until_deployed(&cluster, "web", 3).await;
    // The two that the bad version never touched go on under the new version, in place.
    until_running(&cluster, "web", 3, 3).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_wait_for_promotion() {
    let cluster = TestServer::start(Storage::memory()).await;
    let _node = FakeNode::connect(cluster.address, node(1)).await;
    let mut web = job("web", JobType::Service, 2);
    if let Some(update) = &mut web.task_groups[0].update {
        update.canary = 1;
    }
    register(&cluster, with_env(web.clone(), "one")).await;
    until_deployed(&cluster, "web", 0).await;
    register(&cluster, with_env(web, "two")).await;
    let id = cluster
        .until(
            "healthy canary",
            vec![WatchKey::Table(Table::Deployments)],
            |state| {
                let deployment = state.latest_deployment(&key("web"))?;
                (deployment.job_version == 1 && deployment.task_groups["web"].healthy_allocs == 1)
                    .then_some(deployment.id)
            },
        )
        .await;
    assert_eq!(
        count(&cluster.server.state(), "web", ClientStatus::Running),
        3
    );
    let nobody = cluster
        .server
        .promote_deployment(nomad_core::DeploymentId::default(), None)
        .await;
    assert_eq!(nobody.unwrap_err().to_string(), "deployment not found");
    let reply = cluster.server.promote_deployment(id, None).await.unwrap();
    assert!(reply.eval_id.is_some() && reply.deployment_modify_index == reply.index);
    until_deployed(&cluster, "web", 1).await;
    until_running(&cluster, "web", 1, 2).await;
    let again = cluster.server.fail_deployment(id).await.unwrap_err();
    assert_eq!(again.to_string(), "can't fail terminal deployment");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_goes_down_and_its_work_moves() {
    let cluster = TestServer::start_with(Storage::memory(), |config| {
        config.heartbeat = HeartbeatConfig {
            min_ttl: Nanos::millis(1000),
            grace: Nanos::millis(500),
            max_per_second: 1000.0,
            ..HeartbeatConfig::default()
        };
    })
    .await;
    let mut first = FakeNode::connect(cluster.address, node(1)).await;
    register(&cluster, job("web", JobType::Service, 1)).await;
    until_running(&cluster, "web", 0, 1).await;
    // It is connected, but says nothing more.
    first.mute(true);
    let nodes = vec![WatchKey::Table(Table::Nodes)];
    let is = |id, status| {
        move |state: &nomad_state::State| (state.node(id)?.status == status).then_some(())
    };
    cluster
        .until("node down", nodes.clone(), is(first.id, NodeStatus::Down))
        .await;
    let second = FakeNode::connect(cluster.address, node(2)).await;
    let second_id = second.id;
    let beating = async move {
        loop {
            second.beat().await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = beating => {}
        () = async {
            cluster
                .until("replacement runs", vec![WatchKey::JobAllocs(key("web"))], |state| {
                    let lost = count(state, "web", ClientStatus::Lost) == 1;
                    let running = state.allocs_of_job(&key("web")).any(|alloc| {
                        alloc.client_status == ClientStatus::Running
                            && alloc.node_id == second_id
                    });
                    (lost && running).then_some(())
                })
                .await;
            // A sign of life brings the first one back.
            first.mute(false);
            first.beat().await;
            cluster.until("node back", nodes, is(first.id, NodeStatus::Ready)).await;
            let stopped = first
                .expect("stopped allocation", |message| match message.message {
                    Some(node_down::Message::Allocs(allocs)) => allocs.allocs.first().map(|row| {
                        let alloc: nomad_core::alloc::Allocation = nomad_proto::unpack(&row.alloc).unwrap();
                        alloc.desired_status
                    }).filter(|status| *status == DesiredStatus::Stop),
                    _ => None,
                })
                .await;
            assert_eq!(stopped, DesiredStatus::Stop);
        } => {}
    }
    let events: Vec<_> = {
        let state = cluster.server.state();
        let node = state.node(first.id).unwrap();
        node.events
            .iter()
            .map(|event| event.message.clone())
            .collect()
    };
    assert_eq!(
        events[..3],
        [
            "Node registered",
            "Node heartbeat missed",
            "Node reregistered by heartbeat"
        ]
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_moves_everything_and_ends() {
    let cluster = TestServer::start(Storage::memory()).await;
    let first = FakeNode::connect(cluster.address, node(1)).await;
    register(&cluster, job("web", JobType::Service, 3)).await;
    until_deployed(&cluster, "web", 0).await;
    // Replacements outside of a deployment become healthy by the migrate block, as a client would report it.
    let healthy = |alloc: &nomad_core::alloc::Allocation| {
        let mut update = running(alloc, false);
        update.deployment_status = Some(nomad_core::alloc::AllocDeploymentStatus {
            healthy: Some(true),
            timestamp: nomad_core::Clock::now(&WallClock),
            ..nomad_core::alloc::AllocDeploymentStatus::default()
        });
        Some(update)
    };
    let second = FakeNode::connect_with(cluster.address, node(2), Arc::new(healthy)).await;
    cluster
        .until(
            "second node ready",
            vec![WatchKey::Table(Table::Nodes)],
            |state| {
                state
                    .node(second.id)
                    .filter(|node| node.is_ready())
                    .map(|_| ())
            },
        )
        .await;
    let spec = DrainSpec {
        deadline: Nanos::hours(1),
        ignore_system_jobs: false,
    };
    let request = DrainNode {
        spec: Some(spec),
        ..DrainNode::default()
    };
    let reply = cluster.server.drain_node(first.id, request).await.unwrap();
    assert!(reply.node_modify_index > 0 && reply.eval_ids.is_empty());
    let nodes = vec![WatchKey::Table(Table::Nodes)];
    cluster
        .until("drain complete", nodes, |state| {
            let node = state.node(first.id)?;
            (node.drain_strategy.is_none() && node.last_drain.as_ref()?.status == "complete")
                .then_some(())
        })
        .await;
    let state = cluster.server.state();
    let on = |id| {
        let live = state
            .allocs_of_node(id)
            .filter(|alloc| !alloc.client_terminal());
        live.count()
    };
    assert_eq!((on(first.id), on(second.id)), (0, 3), "{}", cluster.dump());
    let node = state.node(first.id).unwrap();
    assert_eq!(node.scheduling_eligibility, Eligibility::Ineligible);
    assert_eq!(node.events.last().unwrap().message, "Node drain complete");
    let reply = cluster
        .server
        .set_eligibility(first.id, Eligibility::Eligible)
        .await
        .unwrap();
    assert!(reply.index > 0);
    let same = cluster
        .server
        .set_eligibility(first.id, Eligibility::Eligible)
        .await
        .unwrap();
    assert_eq!(same.index, 0, "no change, no write");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_work_is_placed_again_and_batch_jobs_end() {
    let cluster = TestServer::start(Storage::memory()).await;
    let first_only = |alloc: &nomad_core::alloc::Allocation| {
        Some(if alloc.previous_allocation.is_none() {
            failed(alloc)
        } else {
            complete(alloc)
        })
    };
    let _node = FakeNode::connect_with(cluster.address, node(1), Arc::new(first_only)).await;
    let mut batch = job("batch", JobType::Batch, 5);
    if let Some(policy) = &mut batch.task_groups[0].reschedule_policy {
        policy.delay = Nanos::ZERO;
    }
    register(&cluster, batch).await;
    cluster
        .until("job dead", vec![WatchKey::Job(key("batch"))], |state| {
            (state.job(&key("batch"))?.status == JobStatus::Dead).then_some(())
        })
        .await;
    let state = cluster.server.state();
    assert_eq!(
        count(&state, "batch", ClientStatus::Complete),
        5,
        "{}",
        cluster.dump()
    );
    let summary = state.job_summary(&key("batch")).unwrap().summary["web"];
    assert_eq!(
        (summary.complete, summary.failed, summary.running),
        (5, 5, 0)
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_purging_reverting_scaling_and_collecting() {
    let cluster = TestServer::start(Storage::memory()).await;
    let _node = FakeNode::connect(cluster.address, node(1)).await;
    let server = &cluster.server;
    register(&cluster, with_env(job("web", JobType::Service, 1), "one")).await;
    until_deployed(&cluster, "web", 0).await;

    let scale = ScaleJob {
        group: "web".to_owned(),
        count: Some(3),
        ..ScaleJob::default()
    };
    server.scale_job(key("web"), scale.clone()).await.unwrap();
    until_running(&cluster, "web", 1, 3).await;
    let state = server.state();
    let (_, events) = state.scaling_events(&key("web")).next().unwrap();
    assert_eq!((events[0].count, events[0].previous_count), (Some(3), 1));
    let bad = ScaleJob {
        group: "zz".to_owned(),
        ..scale
    };
    let refused = server.scale_job(key("web"), bad).await.unwrap_err();
    assert!(matches!(&refused, ServerError::BadRequest { reason }
        if reason == "task group \"zz\" specified for scaling does not exist in job"));

    let refused = server.revert_job(key("web"), 1, None).await.unwrap_err();
    assert_eq!(refused.to_string(), "can't revert to current version");
    let refused = server.revert_job(key("web"), 0, Some(9)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Current job has version 1; enforcing version 9"
    );
    server.revert_job(key("web"), 0, Some(1)).await.unwrap();
    until_running(&cluster, "web", 2, 1).await;

    let plan = server
        .plan_job(
            RegisterJob {
                job: with_env(job("web", JobType::Service, 1), "three"),
                ..RegisterJob::default()
            },
            true,
        )
        .await
        .unwrap();
    let said = &plan.explanations[0];
    assert_eq!(said.task_group, "web");
    assert!(said.nodes.iter().any(|node| node.verdict == "scored"));
    let updates = plan.annotations.unwrap().desired_tg_updates["web"];
    assert_eq!((updates.destructive_update, updates.place), (1, 0));
    assert_eq!(
        server.state().job(&key("web")).unwrap().version,
        2,
        "nothing is stored"
    );

    let alloc = server
        .state()
        .allocs_of_job(&key("web"))
        .find(|alloc| !alloc.terminal())
        .map(|alloc| alloc.id)
        .unwrap();
    server.stop_alloc(alloc, false, false).await.unwrap();
    cluster
        .until(
            "another one runs",
            vec![WatchKey::JobAllocs(key("web"))],
            |state| {
                let running = state.allocs_of_job(&key("web")).find(|alloc| {
                    alloc.client_status == ClientStatus::Running
                        && alloc.desired_status == DesiredStatus::Run
                })?;
                (running.id != alloc).then_some(())
            },
        )
        .await;

    let conflict = RegisterJob {
        job: job("web", JobType::Service, 1),
        enforce_index: Some(1),
        ..RegisterJob::default()
    };
    let refused = server.register_job(conflict).await.unwrap_err().to_string();
    assert!(refused.starts_with("Enforcing job modify index 1: job exists with conflicting"));
    let other_type = RegisterJob {
        job: job("web", JobType::Batch, 1),
        ..RegisterJob::default()
    };
    let refused = server
        .register_job(other_type)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "cannot update job from type \"service\" to \"batch\""
    );

    server
        .deregister_job(key("web"), false, 0, false)
        .await
        .unwrap();
    cluster
        .until(
            "all stopped",
            vec![WatchKey::Table(Table::Jobs), WatchKey::Table(Table::Allocs)],
            |state| {
                let job = state.job(&key("web"))?;
                (job.stop
                    && job.status == JobStatus::Dead
                    && state.allocs().all(|a| a.client_terminal()))
                .then_some(())
            },
        )
        .await;
    let none = server
        .deregister_job(key("nothing"), false, 0, false)
        .await
        .unwrap();
    assert_eq!((none.index, none.eval_id), (0, None));
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    server.collect_garbage().await.unwrap();
    let state = server.state();
    let left = (
        state.job_count(),
        state.alloc_count(),
        state.evals().count(),
    );
    assert_eq!(left, (0, 0, 0), "{}", cluster.dump());
    assert_eq!(state.deployments().count(), 0);

    register(&cluster, job("web", JobType::Service, 1)).await;
    until_running(&cluster, "web", 0, 1).await;
    server
        .deregister_job(key("web"), true, 0, false)
        .await
        .unwrap();
    assert!(server.state().job(&key("web")).is_none());
    cluster
        .until(
            "purged work stopped",
            vec![WatchKey::Table(Table::Allocs)],
            |state| {
                state
                    .allocs()
                    .all(|alloc| alloc.client_terminal())
                    .then_some(())
            },
        )
        .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parents_launch_children() {
    let cluster = TestServer::start(Storage::memory()).await;
    let server = &cluster.server;
    let ends = |alloc: &nomad_core::alloc::Allocation| Some(complete(alloc));
    let _node = FakeNode::connect_with(cluster.address, node(1), Arc::new(ends)).await;
    let mut parent = job("work", JobType::Batch, 1);
    parent.parameterized_job = Some(Parameterized {
        payload: "optional".to_owned(),
        meta_required: vec!["who".to_owned()],
        ..Parameterized::default()
    });
    let reply = register(&cluster, parent).await;
    assert_eq!((reply.eval_id, reply.eval_create_index), (None, 0));
    let request = DispatchJob {
        meta: [("who".to_owned(), "me".to_owned())].into(),
        payload: b"hello".to_vec(),
        idempotency_token: "once".to_owned(),
        ..DispatchJob::default()
    };
    let dispatched = server
        .dispatch_job(key("work"), request.clone())
        .await
        .unwrap();
    let again = server.dispatch_job(key("work"), request).await.unwrap();
    assert_eq!(again.dispatched_job_id, dispatched.dispatched_job_id);
    assert_eq!(
        (again.eval_id, again.job_create_index),
        (None, dispatched.job_create_index)
    );
    let child = JobKey::new("default", &*dispatched.dispatched_job_id);
    cluster
        .until("child done", vec![WatchKey::Job(child.clone())], |state| {
            (state.job(&child)?.status == JobStatus::Dead).then_some(())
        })
        .await;

    let mut cron = job("cron", JobType::Batch, 1);
    cron.periodic = Some(Periodic {
        enabled: true,
        specs: vec!["* * * * * * *".to_owned()],
        ..Periodic::default()
    });
    register(&cluster, cron).await;
    let children = |state: &nomad_state::State| -> BTreeSet<String> {
        state
            .job_children(&key("cron"))
            .map(|job| job.id.to_string())
            .collect()
    };
    cluster
        .until(
            "two launches",
            vec![WatchKey::Table(Table::Jobs)],
            |state| (children(state).len() >= 2).then_some(()),
        )
        .await;
    let (eval, _): (Option<EvalId>, u64) = server.force_periodic(key("cron")).await.unwrap();
    assert!(eval.is_some() || !children(&server.state()).is_empty());
    let refused = server.force_periodic(key("work")).await.unwrap_err();
    assert_eq!(refused.to_string(), "can't force launch non-periodic job");
    server
        .deregister_job(key("cron"), false, 0, false)
        .await
        .unwrap();
    let before = children(&server.state()).len();
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert!(
        children(&server.state()).len() <= before + 1,
        "launches end with the job"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_a_wrong_secret_or_no_name_are_refused() {
    let cluster = TestServer::start(Storage::memory()).await;
    let _node = FakeNode::connect(cluster.address, node(1)).await;
    cluster
        .until("node ready", vec![WatchKey::Table(Table::Nodes)], |state| {
            state
                .all_nodes()
                .any(|node| node.status == NodeStatus::Ready)
                .then_some(())
        })
        .await;
    let mut thief = node(1);
    thief.secret_id = "guess".to_owned();
    let mut nameless = node(2);
    nameless.name = String::new();
    for (node, kind) in [
        (thief, error::Kind::WrongSecret),
        (nameless, error::Kind::BadRequest),
    ] {
        let mut refused = FakeNode::connect(cluster.address, node).await;
        let found = refused
            .expect("an error", |message| match message.message {
                Some(node_down::Message::Error(error)) => Some(error.kind()),
                _ => None,
            })
            .await;
        assert_eq!(found, kind);
    }
    assert_eq!(cluster.server.state().node_count(), 1);
    cluster.stop().await;
}
