//! Commands beside a running task.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use nomad_supervisor::{ErrorKind, ExecOutput, ExecSession, ExecSpec, ExitStatus, WindowSize};

use crate::node::{Node, alive, until};

fn command(script: &str) -> ExecSpec {
    ExecSpec {
        id: "t".into(),
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("TERM".into(), "dumb".into()),
        ]),
        cwd: "/tmp".into(),
        ..ExecSpec::default()
    }
}

/// Standard output, standard error and the end.
async fn collect(session: &mut ExecSession) -> (Vec<u8>, Vec<u8>, ExitStatus) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match session.output.next().await.expect("output") {
            ExecOutput::Stdout(bytes) => out.extend_from_slice(&bytes),
            ExecOutput::Stderr(bytes) => err.extend_from_slice(&bytes),
            ExecOutput::Exited(status) => return (out, err, status),
        }
    }
}

#[tokio::test]
async fn streams_and_exit_code_come_back() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let mut session = node
        .client
        .exec(command("pwd; cat; echo oops >&2; exit 3"))
        .await
        .expect("exec");
    session
        .input
        .stdin(Bytes::from_static(b"hello\n"))
        .await
        .expect("stdin");
    session.input.close_stdin().await.expect("close");
    let (out, err, status) = collect(&mut session).await;
    assert_eq!(
        (out.as_slice(), err.as_slice()),
        (&b"/tmp\nhello\n"[..], &b"oops\n"[..])
    );
    assert_eq!(status, ExitStatus::Exited { code: 3 });
    node.stop().await;
}

#[tokio::test]
async fn much_data_flows_both_ways_at_once() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let mut session = node.client.exec(command("cat")).await.expect("exec");
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let ExecSession { input, output, .. } = &mut session;
    let feed = async {
        input.stdin(Bytes::from(sent.clone())).await.expect("stdin");
        input.close_stdin().await.expect("close");
    };
    let mut back = Vec::new();
    let read = async {
        while let ExecOutput::Stdout(bytes) = output.next().await.expect("output") {
            back.extend_from_slice(&bytes);
        }
    };
    tokio::join!(feed, read);
    assert!(
        back == sent,
        "{} of {} bytes came back",
        back.len(),
        sent.len()
    );
    node.stop().await;
}

#[tokio::test]
async fn a_terminal_has_a_size_and_echoes() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let window = Some(WindowSize {
        height: 31,
        width: 97,
    });
    let script = "tty >/dev/null && echo tty; stty size; trap 'stty size; exit 4' WINCH; read x; echo got $x; \
        while :; do sleep 0.02; done";
    let mut session = node
        .client
        .exec(ExecSpec {
            tty: true,
            window,
            ..command(script)
        })
        .await
        .expect("exec");
    session
        .input
        .stdin(Bytes::from_static(b"word\n"))
        .await
        .expect("stdin");
    let mut seen = String::new();
    while !seen.contains("got word") {
        match session.output.next().await.expect("output") {
            ExecOutput::Stdout(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
    assert!(
        seen.contains("tty\r\n") && seen.contains("31 97\r\n"),
        "{seen:?}"
    );
    session
        .input
        .resize(WindowSize {
            height: 5,
            width: 6,
        })
        .await
        .expect("resize");
    let (out, _, status) = collect(&mut session).await;
    assert!(String::from_utf8_lossy(&out).contains("5 6\r\n"));
    assert_eq!(status, ExitStatus::Exited { code: 4 });
    node.stop().await;
}

#[tokio::test]
async fn a_command_ends_with_its_client_and_with_its_task() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let session = node.client.exec(command("sleep 21")).await.expect("exec");
    let pid = session.pid;
    assert!(alive(pid));
    drop(session);
    until("the command is dead", || !alive(pid)).await;

    let mut session = node.client.exec(command("sleep 21")).await.expect("exec");
    node.client
        .kill("t", None, Some(Duration::ZERO))
        .await
        .expect("kill");
    let (_, _, status) = collect(&mut session).await;
    assert_eq!(status.signal(), 9);
    let late = node
        .client
        .exec(command("true"))
        .await
        .err()
        .expect("ended");
    assert_eq!(late.kind(), Some(ErrorKind::NotRunning));
    node.stop().await;
}

#[tokio::test]
async fn a_missing_command_is_refused() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "sleep 20"))
        .await
        .expect("start");
    let spec = ExecSpec {
        command: "/no/such".into(),
        ..command("")
    };
    let error = node.client.exec(spec).await.err().expect("missing");
    assert_eq!(
        error.to_string(),
        "execute the program /no/such: No such file or directory (os error 2)"
    );
    node.stop().await;
}
