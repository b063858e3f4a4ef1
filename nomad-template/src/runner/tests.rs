//! Whole runners: templates, files, watchers, and an agent at the other end of in-memory connections.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use nomad_core::time::{Clock, Timestamp};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::bufconn::{BufferPool, BufferedConn, ConnConfig, in_memory};
use crate::limits::Limits;
use crate::sandbox::Sandbox;
use crate::watch::{HttpFetch, WatchHub};

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000, Ordering::SeqCst))
    }
}

/// An agent that serves Variables with blocking queries, as Nomad does.
#[derive(Default)]
struct Agent {
    variables: Mutex<BTreeMap<String, (u64, String)>>,
    index: AtomicU64,
    changed: Notify,
    requests: AtomicU64,
}

impl Agent {
    fn put(&self, path: &str, value: &str) {
        let index = self.index.fetch_add(1, Ordering::SeqCst) + 1;
        self.variables
            .lock()
            .insert(path.to_owned(), (index, value.to_owned()));
        self.changed.notify_waiters();
    }

    /// Status, index and body of the Variable at `path`.
    fn read(&self, path: &str) -> (u16, u64, String) {
        match self.variables.lock().get(path) {
            Some((index, value)) => {
                let items = serde_json::json!({"value": value});
                let body = serde_json::json!({"Namespace": "default", "Path": path, "Items": items, "ModifyIndex": index});
                (200, *index, body.to_string())
            }
            None => (
                404,
                self.index.load(Ordering::SeqCst),
                "variable not found".to_owned(),
            ),
        }
    }

    async fn serve(self: Arc<Self>, mut conn: BufferedConn) {
        loop {
            let mut request = Vec::new();
            conn.readable().await;
            while !request.ends_with(b"\r\n\r\n") {
                if conn.read_buf(&mut request).await.is_ok_and(|n| n == 0) {
                    return;
                }
            }
            self.requests.fetch_add(1, Ordering::SeqCst);
            let request = String::from_utf8(request).expect("requests are text");
            if !request.contains("X-Nomad-Token: secret\r\n") {
                let denied =
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nPermission denied";
                conn.write_all(denied).await.expect("the client reads");
                continue;
            }
            let target = request.split(' ').nth(1).expect("a target");
            let (path, params) = target.split_once('?').expect("parameters");
            let path = path
                .strip_prefix("/v1/var/")
                .expect("a Variable")
                .to_owned();
            let after = params.split('&').find_map(|p| p.strip_prefix("index="));
            let after: u64 = after.map_or(0, |index| index.parse().expect("a number"));
            drop(request);
            let (status, index, body) = loop {
                let changed = self.changed.notified();
                let read = self.read(&path);
                if read.1 > after {
                    break read;
                }
                tokio::select! {
                    () = changed => {}
                    () = conn.readable() => return,
                }
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\nX-Nomad-Index: {index}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            conn.write_all((head + &body).as_bytes())
                .await
                .expect("the client reads");
        }
    }
}

struct World {
    agent: Arc<Agent>,
    hub: WatchHub,
    dir: TempDir,
}

fn world(settings: ClientSettings) -> World {
    let (mut listener, dialer) = in_memory(ConnConfig::default(), BufferPool::default());
    let agent = Arc::new(Agent::default());
    agent.index.store(5, Ordering::SeqCst);
    let serving = Arc::clone(&agent);
    tokio::spawn(async move {
        while let Ok(conn) = listener.accept().await {
            tokio::spawn(Arc::clone(&serving).serve(conn));
        }
    });
    let fetch = HttpFetch::new(dialer, settings.block_query_wait);
    World {
        agent,
        hub: WatchHub::new(Arc::new(fetch), settings),
        dir: tempfile::tempdir().expect("a temporary directory"),
    }
}

fn quick() -> ClientSettings {
    ClientSettings {
        wait: None,
        ..ClientSettings::default()
    }
}

impl World {
    fn config(&self, templates: Vec<TaskTemplate>) -> RunnerConfig {
        let task_dir = self.dir.path().join("web");
        let alloc_dir = self.dir.path().join("alloc");
        std::fs::create_dir_all(&task_dir).expect("the task's directory");
        std::fs::create_dir_all(&alloc_dir).expect("the shared directory");
        RunnerConfig {
            templates,
            sandbox: Sandbox {
                task_dir,
                alloc_dir,
                confined: true,
            },
            env: Arc::new([("NAME".to_owned(), "web".to_owned())].into()),
            namespace: "default".into(),
            token: "secret".into(),
            limits: Limits::default(),
            interfaces: Arc::from([]),
            seed: 1,
            task_running: false,
            clock: Arc::new(TestClock(AtomicI64::new(1_700_000_000_000_000_000))),
        }
    }

    fn file(&self, path: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("web").join(path)).expect(path)
    }
}

fn template(destination: &str, data: &str) -> TaskTemplate {
    TaskTemplate {
        data: data.to_owned(),
        destination: destination.to_owned(),
        splay: Duration::ZERO,
        ..TaskTemplate::default()
    }
}

async fn next(events: &mut mpsc::Receiver<RunnerEvent>) -> RunnerEvent {
    tokio::time::timeout(Duration::from_secs(20), events.recv())
        .await
        .expect("an event in time")
        .expect("the runner goes on")
}

async fn nothing(events: &mut mpsc::Receiver<RunnerEvent>) {
    let event = tokio::time::timeout(Duration::from_millis(150), events.recv()).await;
    assert!(event.is_err(), "{event:?}");
}

const VAR: &str = "{{ with nomadVar \"nomad/jobs/web\" }}{{ .value }}{{ end }}";

#[tokio::test]
async fn the_task_waits_for_its_variable_and_is_restarted_when_it_changes() {
    let world = world(quick());
    let (runner, mut events) = Runner::spawn(
        world.config(vec![template("local/a", VAR)]),
        world.hub.clone(),
    );
    let message = "Missing: nomad.var.block(nomad/jobs/web)".to_owned();
    assert_eq!(next(&mut events).await, RunnerEvent::Message(message));
    world.agent.put("nomad/jobs/web", "one");
    assert_eq!(
        next(&mut events).await,
        RunnerEvent::Unblocked(BTreeMap::new())
    );
    assert_eq!(world.file("local/a"), "one");
    world.agent.put("nomad/jobs/web", "two");
    assert_eq!(
        next(&mut events).await,
        RunnerEvent::Restart(BTreeMap::new())
    );
    assert_eq!(world.file("local/a"), "two");
    // The same again is no change.
    world.agent.put("nomad/jobs/web", "two");
    nothing(&mut events).await;
    drop(runner);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.hub.stats().watchers, 0);
}

#[tokio::test]
async fn several_templates_of_one_variable_make_one_restart() {
    let world = world(quick());
    world.agent.put("nomad/jobs/web", "one");
    let templates = (0..50)
        .map(|i| template(&format!("local/{i}"), VAR))
        .collect();
    let (runner, mut events) = Runner::spawn(world.config(templates), world.hub.clone());
    while !matches!(next(&mut events).await, RunnerEvent::Unblocked(_)) {}
    assert_eq!(world.hub.stats().watchers, 1);
    world.agent.put("nomad/jobs/web", "two");
    assert_eq!(
        next(&mut events).await,
        RunnerEvent::Restart(BTreeMap::new())
    );
    assert_eq!(
        (world.file("local/0"), world.file("local/49")),
        ("two".to_owned(), "two".to_owned())
    );
    nothing(&mut events).await;
    assert_eq!(
        runner.shared().renderings(),
        3,
        "before the data, with it, after the change"
    );
}

#[tokio::test]
async fn environment_templates_reach_the_task_and_malformed_ones_kill_it() {
    let world = world(quick());
    world.agent.put("nomad/jobs/web", "A=1");
    let mut first = template("secrets/a.env", VAR);
    let mut second = template("secrets/b.env", "B='2'\nNAME={{ env \"NAME\" }}\nA2=x");
    (first.env, second.env) = (true, true);
    first.perms = 0o400;
    let (_runner, mut events) = Runner::spawn(world.config(vec![first, second]), world.hub.clone());
    let unblocked = loop {
        match next(&mut events).await {
            RunnerEvent::Message(_) => {}
            other => break other,
        }
    };
    let env = |a: &str| {
        let vars = [("A", a), ("B", "2"), ("NAME", "web"), ("A2", "x")];
        vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    };
    assert_eq!(unblocked, RunnerEvent::Unblocked(env("1")));
    let mode = std::fs::metadata(world.dir.path().join("web/secrets/a.env"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o400);
    world.agent.put("nomad/jobs/web", "A=3");
    assert_eq!(next(&mut events).await, RunnerEvent::Restart(env("3")));
    world.agent.put("nomad/jobs/web", "hush hush");
    let RunnerEvent::Failed(reason) = next(&mut events).await else {
        panic!("the task is killed");
    };
    assert!(
        reason.starts_with("Template failed: secrets/a.env: environment file, line 1"),
        "{reason}"
    );
    assert!(!reason.contains("hush"));
}

#[tokio::test]
async fn an_agent_restart_without_news_restarts_nothing() {
    let world = world(quick());
    world.agent.put("nomad/jobs/web", "A=1");
    let mut watched = template("local/a.env", VAR);
    watched.env = true;
    let mut once = template("local/once", "{{ sprig_randInt 0 1000000 }}");
    once.once = true;
    let templates = vec![watched, once];
    let (runner, mut events) = Runner::spawn(world.config(templates.clone()), world.hub.clone());
    while !matches!(next(&mut events).await, RunnerEvent::Unblocked(_)) {}
    let random = world.file("local/once");
    drop(runner);
    // The agent comes back; the task has been running all the time.
    let again = |world: &World| RunnerConfig {
        task_running: true,
        seed: 77,
        ..world.config(templates.clone())
    };
    let (runner, mut events) = Runner::spawn(again(&world), world.hub.clone());
    let env: BTreeMap<String, String> = [("A".to_owned(), "1".to_owned())].into();
    let unblocked = loop {
        match next(&mut events).await {
            RunnerEvent::Message(_) => {}
            other => break other,
        }
    };
    assert_eq!(unblocked, RunnerEvent::Unblocked(env));
    nothing(&mut events).await;
    assert_eq!(world.file("local/once"), random, "once is once");
    drop(runner);
    // What changed while the agent was away counts.
    world.agent.put("nomad/jobs/web", "A=2");
    let (_runner, mut events) = Runner::spawn(again(&world), world.hub.clone());
    let mut seen = BTreeSet::new();
    while !seen.contains("restart") {
        match next(&mut events).await {
            RunnerEvent::Restart(env) => {
                assert_eq!(env["A"], "2");
                seen.insert("restart");
            }
            RunnerEvent::Unblocked(_) | RunnerEvent::Message(_) => {}
            other => panic!("{other:?}"),
        }
    }
    nothing(&mut events).await;
}

#[tokio::test]
async fn once_is_not_watched() {
    let world = world(quick());
    world.agent.put("nomad/jobs/web", "one");
    let mut once = template("local/a", VAR);
    once.once = true;
    let (_runner, mut events) = Runner::spawn(world.config(vec![once]), world.hub.clone());
    while !matches!(next(&mut events).await, RunnerEvent::Unblocked(_)) {}
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.hub.stats().watchers, 0);
}

#[tokio::test]
async fn a_new_token_is_used_from_then_on() {
    let settings = ClientSettings {
        retry_attempts: 0,
        ..quick()
    };
    let world = world(settings);
    world.agent.put("nomad/jobs/web", "one");
    let config = RunnerConfig {
        token: "stale".into(),
        ..world.config(vec![template("local/a", VAR)])
    };
    let (runner, mut events) = Runner::spawn(config, world.hub.clone());
    assert!(matches!(next(&mut events).await, RunnerEvent::Message(_)));
    nothing(&mut events).await;
    runner.set_token("secret".into()).await;
    assert_eq!(
        next(&mut events).await,
        RunnerEvent::Unblocked(BTreeMap::new())
    );
}

#[tokio::test]
async fn failures_of_every_kind_are_told() {
    let world = world(quick());
    for (spec, reason) in [
        (
            template("local/a", "{{ nope }}"),
            "function \"nope\" not defined",
        ),
        (
            template("local/a", "{{ parseInt \"x\" }}"),
            "invalid syntax",
        ),
        (template("../../x", "x"), "leads outside"),
        (
            template("local/a", "{{ file \"../../secret\" }}"),
            "leads outside",
        ),
        (
            template("local/a", "{{ key \"x\" }}"),
            "Consul is not configured",
        ),
        (
            TaskTemplate {
                source: "local/missing.tpl".to_owned(),
                ..template("local/a", "")
            },
            "local/missing.tpl",
        ),
        (
            template("local/a", "{{ range loop 1000000000000 }}{{ end }}"),
            "takes more than",
        ),
    ] {
        let (_runner, mut events) =
            Runner::spawn(world.config(vec![spec.clone()]), world.hub.clone());
        let RunnerEvent::Failed(text) = next(&mut events).await else {
            panic!("{spec:?} fails");
        };
        assert!(
            text.starts_with("Template failed: ") && text.contains(reason),
            "{text}"
        );
        assert!(events.recv().await.is_none(), "nothing follows");
    }
}

#[tokio::test]
async fn sources_signals_scripts_and_rendering_again() {
    let world = world(quick());
    world.agent.put("nomad/jobs/web", "one");
    let script = ChangeScript {
        command: "/bin/reload".to_owned(),
        args: vec!["now".to_owned()],
        timeout: Duration::from_secs(5),
        fail_on_error: true,
        run_on_first_render: true,
    };
    let config = world.config(vec![
        TaskTemplate {
            source: "local/a.tpl".to_owned(),
            change_mode: ChangeMode::Signal("SIGHUP".to_owned()),
            ..template("local/a", "")
        },
        TaskTemplate {
            change_mode: ChangeMode::Script(script.clone()),
            ..template("local/b", VAR)
        },
    ]);
    std::fs::create_dir_all(world.dir.path().join("web/local")).unwrap();
    std::fs::write(world.dir.path().join("web/local/a.tpl"), format!("[{VAR}]")).unwrap();
    let (runner, mut events) = Runner::spawn(config, world.hub.clone());
    while !matches!(next(&mut events).await, RunnerEvent::Unblocked(_)) {}
    runner.task_started().await;
    assert_eq!(
        next(&mut events).await,
        RunnerEvent::Scripts(vec![script.clone()])
    );
    world.agent.put("nomad/jobs/web", "two");
    let hup = BTreeSet::from(["SIGHUP".to_owned()]);
    assert_eq!(next(&mut events).await, RunnerEvent::Signal(hup));
    assert_eq!(next(&mut events).await, RunnerEvent::Scripts(vec![script]));
    assert_eq!(world.file("local/a"), "[two]");
    runner.render_again().await;
    assert_eq!(
        next(&mut events).await,
        RunnerEvent::Unblocked(BTreeMap::new())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_wakes_each_of_many_runners_exactly_once() {
    const RUNNERS: u64 = 200;
    let world = world(quick());
    world.agent.put("nomad/jobs/web", "one");
    let mut runners = Vec::new();
    for i in 0..RUNNERS {
        let spec = template(&format!("local/{i}"), VAR);
        runners.push(Runner::spawn(world.config(vec![spec]), world.hub.clone()));
    }
    for (_, events) in &mut runners {
        while !matches!(next(events).await, RunnerEvent::Unblocked(_)) {}
    }
    assert_eq!(
        (world.hub.stats().watchers, world.hub.stats().answers),
        (1, 1)
    );
    let wakes = |runners: &[(Runner, mpsc::Receiver<RunnerEvent>)]| -> u64 {
        runners
            .iter()
            .map(|(runner, _)| runner.shared().wakes())
            .sum()
    };
    let (before, asked) = (wakes(&runners), world.agent.requests.load(Ordering::SeqCst));
    world.agent.put("nomad/jobs/web", "two");
    for (_, events) in &mut runners {
        assert_eq!(next(events).await, RunnerEvent::Restart(BTreeMap::new()));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(wakes(&runners) - before, RUNNERS);
    assert_eq!(
        world.agent.requests.load(Ordering::SeqCst) - asked,
        1,
        "one query for all"
    );
}
