//! Output: whole, in order, rotated.

use std::time::Duration;

use nomad_supervisor::{Event, LogSpec, Notice, TaskSpec};

use crate::node::{Node, until};

/// Every number from `first` to `last`, one a line, in order, with nothing between.
pub(crate) fn assert_counts(text: &str, first: u64, last: u64) {
    let mut expected = first;
    for line in text.lines() {
        let found: u64 = line
            .parse()
            .unwrap_or_else(|_| panic!("broken line {line:?} where {expected} should be"));
        assert_eq!(found, expected, "a line is lost or doubled");
        expected += 1;
    }
    assert_eq!(expected, last + 1, "the end is missing");
    assert!(text.ends_with('\n'));
}

#[tokio::test]
async fn both_streams_are_written_and_complete_at_the_exit() {
    let node = Node::new().await;
    for n in 0..20 {
        let id = format!("t{n}");
        node.client
            .start_task(node.script(&id, "echo out; echo err >&2; seq 1 5000; printf tail"))
            .await
            .expect("start");
        node.client.wait(&id).await.expect("wait");
        // No pause: whoever hears of the exit finds the whole log.
        let log = node.log(&format!("{id}.stdout.0"));
        let counted = log
            .strip_prefix("out\n")
            .and_then(|l| l.strip_suffix("tail"))
            .expect("head and tail");
        assert_counts(counted, 1, 5000);
        assert_eq!(node.log(&format!("{id}.stderr.0")), "err\n");
        node.client.remove(&id).await.expect("remove");
    }
    let left: Vec<_> = std::fs::read_dir(node.logs())
        .expect("logs")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert!(
        left.iter().all(|n| !n.to_string_lossy().contains("fifo")),
        "{left:?}"
    );
    node.stop().await;
}

#[tokio::test]
async fn rotation_under_load_keeps_every_line_whole() {
    const LINES: u64 = 1_000_000;
    let node = Node::new().await;
    let mut spec = node.script("t", &format!("seq 1 {LINES}"));
    spec.logs = Some(LogSpec {
        max_files: 1000,
        max_file_size: 300_000,
        ..spec.logs.expect("logs")
    });
    node.client.start_task(spec).await.expect("start");
    assert!(node.client.wait("t").await.expect("wait").status.success());
    let files = node.rotated("t.stdout");
    assert!(files.len() >= 23, "{} files", files.len());
    for (n, (index, text)) in files.iter().enumerate() {
        assert_eq!(*index, n as u64);
        assert!(
            text.len() <= 300_000 && text.ends_with('\n'),
            "file {index} has {} bytes",
            text.len()
        );
        assert!(
            n + 1 == files.len() || text.len() > 299_980,
            "file {index} has only {} bytes",
            text.len()
        );
    }
    let all: String = files.into_iter().map(|(_, text)| text).collect();
    assert_counts(&all, 1, LINES);
    node.stop().await;
}

#[tokio::test]
async fn only_the_newest_files_are_kept() {
    let node = Node::new().await;
    let mut spec = node.script("t", "seq 1 100000");
    spec.logs = Some(LogSpec {
        max_files: 3,
        max_file_size: 100_000,
        ..spec.logs.expect("logs")
    });
    node.client.start_task(spec.clone()).await.expect("start");
    node.client.wait("t").await.expect("wait");
    let files = node.rotated("t.stdout");
    assert_eq!(files.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(files[2].1.ends_with("\n100000\n"));
    let newest = files[2].1.len();
    // A task of the same name goes on in the newest file.
    node.client.remove("t").await.expect("remove");
    spec.args[1] = "echo once more".into();
    node.client.start_task(spec).await.expect("start");
    node.client.wait("t").await.expect("wait");
    let log = node.log("t.stdout.5");
    assert_eq!(&log[newest..], "once more\n");
    node.stop().await;
}

#[tokio::test]
async fn an_unfinished_line_appears_without_waiting_for_its_end() {
    let node = Node::new().await;
    let mut spec = node.script("t", "printf '$ '; sleep 20");
    // Small enough that every line is looked at.
    spec.logs = Some(LogSpec {
        max_file_size: 1000,
        ..spec.logs.expect("logs")
    });
    node.client.start_task(spec).await.expect("start");
    until("the prompt is there", || node.log("t.stdout.0") == "$ ").await;
    node.stop().await;
}

#[tokio::test]
async fn disabled_logs_leave_no_files() {
    let node = Node::new().await;
    node.client
        .start_task(Node::quiet("t", "echo out; echo err >&2; [ ! -t 0 ]"))
        .await
        .expect("start");
    assert!(node.client.wait("t").await.expect("wait").status.success());
    assert_eq!(std::fs::read_dir(node.logs()).expect("logs").count(), 0);
    node.stop().await;
}

#[tokio::test]
async fn a_task_may_close_its_output_and_descendants_may_keep_it() {
    let node = Node::new().await;
    // The main process closes its streams and ends; a child writes on later.
    let script = "echo first; (sleep 0.4; echo later) & exec >&- 2>&-; sleep 0.1; exit 5";
    node.client
        .start_task(node.script("t", script))
        .await
        .expect("start");
    let exit = node.client.wait("t").await.expect("wait");
    assert_eq!(exit.status.exit_code(), Some(5));
    assert_eq!(node.log("t.stdout.0"), "first\n");
    until("the child's line is there", || {
        node.log("t.stdout.0") == "first\nlater\n"
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_descendant_that_writes_without_end_does_not_hold_up_the_exit() {
    let node = Node::new().await;
    let mut spec = node.script("t", "yes & sleep 0.1; exit 0");
    spec.logs = Some(LogSpec {
        max_files: 2,
        ..spec.logs.expect("logs")
    });
    node.client.start_task(spec).await.expect("start");
    let exit = tokio::time::timeout(Duration::from_secs(5), node.client.wait("t"))
        .await
        .expect("in time");
    assert!(exit.expect("wait").status.success());
    node.client.remove("t").await.expect("remove");
    node.stop().await;
}

#[tokio::test]
async fn two_running_tasks_do_not_share_files() {
    let node = Node::new().await;
    let first = node.script("a", "sleep 0.2");
    let second = TaskSpec {
        id: "b".into(),
        ..first.clone()
    };
    node.client.start_task(first).await.expect("start");
    let error = node
        .client
        .start_task(second.clone())
        .await
        .expect_err("shared files");
    assert_eq!(
        error.to_string(),
        "running task \"a\" writes the same log files"
    );
    node.client.wait("a").await.expect("wait");
    // An ended one gives them up, although it is not removed yet.
    node.client
        .start_task(TaskSpec {
            args: vec!["-c".into(), "echo b".into()],
            ..second
        })
        .await
        .expect("start");
    node.client.wait("b").await.expect("wait");
    node.client.remove("a").await.expect("remove");
    assert_eq!(node.log("a.stdout.0"), "b\n");
    node.stop().await;
}

#[tokio::test]
async fn a_log_directory_that_vanishes_is_reported_and_the_task_goes_on() {
    let mut node = Node::new().await;
    let script = "read x < /dev/null; sleep 0.3; seq 1 100000; exit 6";
    let mut spec = node.script("t", script);
    // Too small for the file that is open: the next one cannot be made.
    spec.logs = Some(LogSpec {
        max_file_size: 20_000,
        ..spec.logs.expect("logs")
    });
    node.client.start_task(spec).await.expect("start");
    std::fs::remove_dir_all(node.logs()).expect("remove logs");
    let exit = tokio::time::timeout(Duration::from_secs(30), node.client.wait("t"))
        .await
        .expect("in time");
    assert_eq!(exit.expect("wait").status.exit_code(), Some(6));
    loop {
        if let Notice::Task(Event::LogError { id, message, .. }) =
            node.notices.recv().await.expect("notice")
        {
            assert_eq!(
                (id.as_str(), message.as_str()),
                ("t", "No such file or directory (os error 2)")
            );
            break;
        }
    }
    node.stop().await;
}
