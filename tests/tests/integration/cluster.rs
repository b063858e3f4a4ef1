//! Servers and clients in processes of their own.

use std::path::Path;

use crate::binary;
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{Agent, Options, Role, http, job, process, until};

/// A server that notices lost nodes quickly.
fn server(binary: &Path) -> Agent {
    let config = "name = \"s1\"\nserver {\n  bootstrap_expect = 1\n  min_heartbeat_ttl = \"1s\"\n  heartbeat_grace = \"1s\"\n}\n";
    Agent::with(
        binary,
        &Options {
            config: config.to_owned(),
            role: Role::Server,
            ..Options::default()
        },
    )
}

/// A client of the server, told of it in `how`.
fn client(binary: &Path, name: &str, how: &str) -> Agent {
    Agent::with(
        binary,
        &Options {
            config: format!("name = \"{name}\"\nclient {{\n{how}\n}}\n"),
            role: Role::Client,
            ..Options::default()
        },
    )
}

/// Which processes run an allocation; the shell is the oldest.
fn shell(alloc: &Value) -> u32 {
    *process::of_alloc(alloc).first().expect("it runs")
}

#[test]
fn clients_without_a_server_work_through_one() {
    let binary = binary!();
    let mut server = server(&binary);
    let rpc = server.rpc_port;
    let one = client(&binary, "c1", &format!("  servers = [\"127.0.0.1:{rpc}\"]"));
    // The first server of this list never answers.
    let mut two = client(
        &binary,
        "c2",
        &format!("  server_join {{\n    retry_join = [\"127.0.0.1:1\", \"127.0.0.1:{rpc}\"]\n  }}"),
    );
    assert_eq!(server.json("/v1/nodes").as_array().map(Vec::len), Some(2));

    // A client's API takes writes and reads of the cluster, and says itself what it is.
    let group = json!({"Tasks": [job::task("t", "echo on $NOMAD_ALLOC_ID; exec sleep 600")]});
    one.register(&job::job("sys", "system", group));
    let allocs = two.wait_allocs("sys", "running", 2);
    let mut nodes: Vec<_> = allocs.iter().map(|alloc| &alloc["NodeName"]).collect();
    nodes.sort_by_key(|name| name.as_str());
    assert_eq!(nodes, ["c1", "c2"]);
    let about = one.json("/v1/agent/self");
    assert_eq!(about["stats"]["nomad"]["server"], "false");
    assert_eq!(about["config"]["Server"]["Enabled"], json!(false));
    assert_eq!(
        one.json("/v1/agent/members")["Members"][0]["Name"],
        "s1.global"
    );
    assert_eq!(
        one.json("/v1/agent/servers"),
        json!([format!("127.0.0.1:{rpc}")])
    );
    assert_eq!(
        one.get("/v1/agent/schedulers").expect("an answer").status,
        400
    );
    assert_eq!(
        one.put("/v1/agent/join?address=a", &json!({}))
            .expect("an answer")
            .status,
        501
    );

    // Every agent reaches every allocation and node.
    for agent in [&server, &one, &two] {
        for alloc in &allocs {
            let id = alloc["ID"].as_str().expect("id");
            assert_eq!(agent.wait_line(alloc, "t", "on "), id);
            let files = agent.json(&format!("/v1/client/fs/ls/{id}?path=/"));
            assert!(
                files.as_array().is_some_and(|files| files.len() >= 2),
                "{files}"
            );
            let stats = agent.json(&format!("/v1/client/allocation/{id}/stats"));
            assert!(stats["Tasks"]["t"].is_object(), "{stats}");
            let node = alloc["NodeID"].as_str().expect("node");
            agent.json(&format!("/v1/client/stats?node_id={node}"));
        }
        let absent = agent
            .get("/v1/client/fs/ls/8ba85cef-0000-4000-8000-000000000000")
            .expect("an answer");
        assert_eq!(absent.status, 404, "{}", absent.text());
    }
    let exec = two.cli(&[
        "alloc",
        "exec",
        "-i=false",
        "-t=false",
        other_than(&allocs, "c2"),
        "/bin/echo",
        "through",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&exec.stdout),
        "through\n",
        "{exec:?}"
    );

    // A server that is killed and comes back changes nothing for what runs.
    let pids: Vec<u32> = allocs.iter().map(shell).collect();
    server.kill();
    let answer = one.get("/v1/jobs").expect("an answer");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "No cluster leader")
    );
    let own = allocs
        .iter()
        .find(|alloc| alloc["NodeName"] == "c1")
        .expect("one");
    assert!(
        one.logs(own, "t", "stdout").starts_with("on "),
        "logs need no server"
    );
    server.run();
    server.wait_ready();
    for agent in [&one, &two] {
        until("the clients are back", || {
            let node = agent.node()?;
            (node["Status"] == "ready").then_some(())
        });
    }
    let after = one.wait_allocs("sys", "running", 2);
    for (alloc, pid) in allocs.iter().zip(pids) {
        let now = after
            .iter()
            .find(|now| now["ID"] == alloc["ID"])
            .expect("it is still there");
        assert_eq!(shell(now), pid);
        assert_eq!(job::state(now, "t")["Restarts"], json!(0));
    }

    // What ran on a client that goes is placed on the other one.
    one.register(&job::service("svc", 2, "exec sleep 600"));
    let before = one.wait_allocs("svc", "running", 2);
    let lost: Vec<&Value> = before
        .iter()
        .filter(|alloc| alloc["NodeName"] == "c2")
        .collect();
    assert_eq!(lost.len(), 1, "one on each node: {before:?}");
    let gone = two.node_id().expect("an id");
    two.signal(Signal::TERM);
    until("the node is down", || {
        (one.json(&format!("/v1/node/{gone}"))["Status"] == "down").then_some(())
    });
    let moved = until("both run on the node that is left", || {
        let mut allocs = one.allocs("svc");
        allocs.retain(|alloc| alloc["ClientStatus"] == "running" && alloc["NodeName"] == "c1");
        (allocs.len() == 2).then_some(allocs)
    });
    assert!(moved.iter().all(|alloc| alloc["ID"] != lost[0]["ID"]));
    one.wait_alloc(lost[0]["ID"].as_str().expect("id"), &["lost"]);
}

fn other_than<'a>(allocs: &'a [Value], node: &str) -> &'a str {
    let other = allocs.iter().find(|alloc| alloc["NodeName"] != node);
    other
        .and_then(|alloc| alloc["ID"].as_str())
        .expect("another")
}

/// A server of several, told whom to look for.
fn one_of_three(binary: &Path, name: &str, expect: u32, join: Option<u16>) -> Agent {
    let join = join.map_or_else(String::new, |port| {
        format!("  server_join {{\n    retry_join = [\"127.0.0.1:{port}\"]\n    retry_interval = \"1s\"\n  }}\n")
    });
    let config = format!(
        "name = \"{name}\"\nleave_on_terminate = true\nserver {{\n  bootstrap_expect = {expect}\n{join}}}\n"
    );
    let mut agent = Agent::prepare(
        binary,
        &Options {
            config,
            role: Role::Server,
            ..Options::default()
        },
    )
    .expect("folder of the agent");
    agent.run();
    agent
}

/// Names and states of the members, as an agent tells them.
fn members(agent: &Agent) -> Option<Vec<(String, String)>> {
    let answer = agent.get("/v1/agent/members").ok()?.json().ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    answer["Members"]
        .as_array()?
        .iter()
        .map(|member| Some((text(&member["Name"])?, text(&member["Status"])?)))
        .collect()
}

fn voters(agent: &Agent) -> Option<Vec<Value>> {
    let answer = agent
        .get("/v1/operator/raft/configuration")
        .ok()?
        .json()
        .ok()?;
    answer["Servers"].as_array().cloned()
}

#[test]
fn three_servers_make_a_cluster_that_outlives_its_leader() {
    let binary = binary!();
    // The first one knows nobody, the third only the second.
    let one = one_of_three(&binary, "s1", 3, None);
    let two = one_of_three(&binary, "s2", 3, Some(one.serf_port));
    let three = one_of_three(&binary, "s3", 3, Some(two.serf_port));
    let mut servers = vec![one, two, three];
    for server in &mut servers {
        server.wait_ready();
    }
    let alive = |names: &[&str]| -> Vec<(String, String)> {
        names
            .iter()
            .map(|name| (format!("{name}.global"), "alive".to_owned()))
            .collect()
    };
    for server in &servers {
        until("three members", || {
            (members(server)? == alive(&["s1", "s2", "s3"])).then_some(())
        });
        let voters = voters(server).expect("a configuration");
        assert_eq!(voters.len(), 3);
        assert!(voters.iter().all(|voter| voter["Voter"] == json!(true)));
        let leaders = voters.iter().filter(|voter| voter["Leader"] == json!(true));
        assert_eq!(leaders.count(), 1, "{voters:?}");
    }
    let list = servers[0].cli(&["server", "members"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert_eq!(list.lines().count(), 4, "{list}");
    assert_eq!(list.matches(" true ").count(), 1, "{list}");

    // Any of them takes writes, and the node is told of all of them.
    let addresses: Vec<String> = servers
        .iter()
        .map(|server| format!("\"127.0.0.1:{}\"", server.rpc_port))
        .collect();
    let node = client(&binary, "c1", &format!("  servers = [{}]", addresses[0]));
    for (at, server) in servers.iter().enumerate() {
        server.register(&job::service(&format!("svc{at}"), 1, "exec sleep 600"));
    }
    let allocs: Vec<Value> = (0..3)
        .map(|at| {
            servers[(at + 1) % 3]
                .wait_allocs(&format!("svc{at}"), "running", 1)
                .remove(0)
        })
        .collect();
    assert_eq!(
        node.json("/v1/agent/servers").as_array().map(Vec::len),
        Some(3)
    );
    for server in &servers {
        let id = allocs[0]["ID"].as_str().expect("id");
        server.json(&format!("/v1/client/allocation/{id}/stats"));
    }

    // Without its leader the cluster goes on.
    let leader = voters(&servers[0]).expect("a configuration");
    let leader = leader
        .iter()
        .find(|voter| voter["Leader"] == json!(true))
        .expect("one leads");
    let name = leader["Node"].as_str().expect("name").to_owned();
    let at = ["s1.global", "s2.global", "s3.global"]
        .iter()
        .position(|known| *known == name)
        .expect("one of them");
    let mut gone = servers.remove(at);
    gone.kill();
    until("a write goes through another server", || {
        let job = job::service("after", 1, "exec sleep 600");
        let answer = servers[0].put("/v1/jobs", &job).ok()?;
        (answer.status == 200).then_some(())
    });
    node.wait_allocs("after", "running", 1);
    for alloc in &allocs {
        let id = alloc["ID"].as_str().expect("id");
        let now = servers[1].json(&format!("/v1/allocation/{id}"));
        assert_eq!(now["ClientStatus"], "running");
        assert_eq!(job::state(&now, "t")["Restarts"], json!(0));
    }
    until("the one that is gone is seen as failed", || {
        let failed = (name.clone(), "failed".to_owned());
        members(&servers[0])?.contains(&failed).then_some(())
    });
    let health = servers[0]
        .get("/v1/operator/autopilot/health")
        .expect("an answer");
    assert_eq!(health.status, 429, "{}", health.text());

    // It comes back, and a fourth one joins and leaves again.
    gone.run();
    gone.wait_ready();
    servers.push(gone);
    until("all are back", || {
        (members(&servers[0])? == alive(&["s1", "s2", "s3"])).then_some(())
    });
    let state = |agent: &Agent| agent.json("/v1/jobs?stale=true").as_array().map(Vec::len);
    until("it has caught up", || {
        (state(&servers[2]) == Some(4)).then_some(())
    });
    let mut four = one_of_three(&binary, "s4", 0, Some(servers[1].rpc_port));
    four.wait_ready();
    until("four voters", || {
        (voters(&servers[0])?.len() == 4).then_some(())
    });
    until("it has the state", || {
        (state(&four) == Some(4)).then_some(())
    });
    assert_eq!(four.signal(Signal::TERM), 0);
    until("three voters", || {
        (voters(&servers[0])?.len() == 3).then_some(())
    });
    servers[2].register(&job::service("last", 1, "exec sleep 600"));
    node.wait_allocs("last", "running", 1);

    // A snapshot that one of them restores is restored by all of them.
    let saved = servers[0].get("/v1/operator/snapshot").expect("an answer");
    assert_eq!(saved.status, 200);
    servers[0].stop_job("last", "?purge=true");
    let restored = http::request(
        servers[1].http_port,
        "PUT",
        "/v1/operator/snapshot",
        &saved.body,
    );
    assert_eq!(restored.expect("an answer").status, 200);
    for server in &servers {
        until("the job is back", || {
            (state(server) == Some(5)).then_some(())
        });
    }
    node.wait_allocs("last", "running", 1);
}
