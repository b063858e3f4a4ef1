//! Files and logs on a real file system.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use tokio_stream::StreamExt as _;

use super::*;

fn alloc() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in ["alloc/logs", "web/local", "web/secrets", "web/private"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    fs::write(dir.path().join("web/local/config.txt"), "hello").unwrap();
    fs::write(dir.path().join("web/secrets/token"), "s3cret").unwrap();
    dir
}

fn read(root: &SafeRoot, path: &str) -> Result<String, FsError> {
    let mut text = String::new();
    io::Read::read_to_string(&mut root.read(path)?, &mut text).unwrap();
    Ok(text)
}

#[test]
fn nothing_outside_and_no_secret_is_read() {
    let dir = alloc();
    let at = |path: &str| dir.path().join(path);
    symlink("/etc/passwd", at("web/local/absolute")).unwrap();
    symlink("../../../../../../etc/passwd", at("web/local/up")).unwrap();
    symlink("/", at("web/local/slash")).unwrap();
    symlink("../secrets/token", at("web/local/leak")).unwrap();
    symlink("config.txt", at("web/local/fine")).unwrap();
    let root = SafeRoot::open(dir.path()).unwrap();
    assert_eq!(read(&root, "/web/local/config.txt").unwrap(), "hello");
    assert_eq!(read(&root, "web/local/../local/fine").unwrap(), "hello");
    for path in [
        "../../../../etc/passwd",
        "web/local/absolute",
        "web/local/up",
        "web/local/slash/etc/passwd",
    ] {
        assert!(matches!(root.read(path), Err(FsError::Escapes)), "{path}");
    }
    for path in [
        "web/secrets/token",
        "/web/SECRETS/token",
        "web/local/leak",
        "web/private/x",
        "web/local/../secrets/token",
    ] {
        assert!(
            matches!(root.read(path), Err(FsError::Prohibited { .. })),
            "{path}: {:?}",
            root.read(path)
        );
    }
    assert!(matches!(
        root.read("web/local"),
        Err(FsError::IsDirectory { .. })
    ));
    assert!(matches!(
        root.read("no/such"),
        Err(FsError::NotFound { .. })
    ));
    assert_eq!(root.list("web/secrets").unwrap().len(), 1);
}

#[test]
fn a_pipe_does_not_hold_the_reader() {
    let dir = alloc();
    let path = dir.path().join("alloc/logs/.web.stdout.fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let root = SafeRoot::open(dir.path()).unwrap();
    assert!(root.read("alloc/logs/.web.stdout.fifo").is_err());
}

#[test]
fn files_are_described_as_the_api_shows_them() {
    let dir = alloc();
    let root = SafeRoot::open(dir.path()).unwrap();
    let info = root.stat("/web/local/config.txt").unwrap();
    assert_eq!(info.name, "config.txt");
    assert_eq!(info.content_type, "text/plain; charset=utf-8");
    assert_eq!(info.size, 5);
    assert!(info.file_mode.starts_with("-rw"));
    let json = serde_json::to_value(&info).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "Name",
            "IsDir",
            "Size",
            "FileMode",
            "ModTime",
            "ContentType"
        ]
    );
    let names: Vec<String> = root
        .list("/")
        .unwrap()
        .into_iter()
        .map(|info| info.name)
        .collect();
    assert_eq!(names, ["alloc", "web"]);
    assert_eq!(info::mode_text(0o041_777), "dtrwxrwxrwx");
    assert_eq!(info::mode_text(0o100_644), "-rw-r--r--");
    assert_eq!(info::mode_text(0o140_666), "Srw-rw-rw-");
}

fn write(dir: &Path, name: &str, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("alloc/logs").join(name))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn request(follow: bool, origin: Origin, offset: u64) -> LogRequest {
    LogRequest {
        task: "web".to_owned(),
        kind: LogKind::Stdout,
        follow,
        offset,
        origin,
    }
}

async fn all(stream: FrameStream) -> String {
    let frames: Vec<_> = stream.collect().await;
    let bytes: Vec<u8> = frames
        .into_iter()
        .flat_map(|frame| frame.unwrap().data.to_vec())
        .collect();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_log_is_read_over_its_files() {
    let dir = alloc();
    write(dir.path(), "web.stdout.1", "one ");
    write(dir.path(), "web.stdout.2", "two ");
    write(dir.path(), "web.stdout.10", "ten");
    write(dir.path(), "web.stderr.0", "other");
    for (origin, offset, wanted) in [
        (Origin::Start, 0, "one two ten"),
        (Origin::Start, 5, "wo ten"),
        (Origin::End, 4, " ten"),
        (Origin::End, 0, ""),
    ] {
        let stream = follow_logs(dir.path(), request(false, origin, offset)).unwrap();
        assert_eq!(all(stream).await, wanted);
    }
}

#[tokio::test]
async fn frames_say_where_they_are_from() {
    let dir = alloc();
    write(dir.path(), "web.stdout.0", "oops\n");
    let mut stream = follow_logs(dir.path(), request(false, Origin::Start, 0)).unwrap();
    let frame = stream.next().await.unwrap().unwrap();
    assert_eq!(frame.file, "alloc/logs/web.stdout.0");
    assert_eq!((frame.offset, frame.event), (5, ""));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn large_logs_come_in_bounded_frames() {
    let dir = alloc();
    let text = "x".repeat(MAX_FRAME_BYTES * 2 + 10);
    write(dir.path(), "web.stdout.0", &text);
    let stream = follow_logs(dir.path(), request(false, Origin::Start, 0)).unwrap();
    let frames: Vec<_> = stream.collect().await;
    let sizes: Vec<usize> = frames
        .iter()
        .map(|frame| frame.as_ref().unwrap().data.len())
        .collect();
    assert_eq!(sizes, [MAX_FRAME_BYTES, MAX_FRAME_BYTES, 10]);
}

async fn take(stream: &mut FrameStream, wanted: &str) {
    let mut got = String::new();
    while got.len() < wanted.len() {
        let next = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
        let frame = next.expect("told in time").expect("goes on").unwrap();
        got.push_str(std::str::from_utf8(&frame.data).unwrap());
    }
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn following_waits_for_the_task_and_crosses_rotations() {
    let dir = alloc();
    let mut stream = follow_logs(dir.path(), request(true, Origin::Start, 0)).unwrap();
    write(dir.path(), "web.stdout.0", "a");
    take(&mut stream, "a").await;
    write(dir.path(), "web.stdout.0", "b");
    take(&mut stream, "b").await;
    write(dir.path(), "web.stdout.0", "c");
    write(dir.path(), "web.stdout.1", "d");
    fs::remove_file(dir.path().join("alloc/logs/web.stdout.0")).unwrap();
    take(&mut stream, "cd").await;
    fs::remove_dir_all(dir.path().join("alloc")).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(4), stream.next()).await;
    assert!(end.expect("ends with the allocation").is_none());
}

#[tokio::test]
async fn a_log_that_does_not_exist_is_an_error_unless_followed() {
    let dir = alloc();
    assert!(matches!(
        follow_logs(dir.path(), request(false, Origin::Start, 0)),
        Err(FsError::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_followed_file_tells_of_truncation_and_removal() {
    let dir = alloc();
    let path = dir.path().join("web/local/config.txt");
    let mut stream =
        stream_file(dir.path(), "/web/local/config.txt", true, Origin::End, 2).unwrap();
    take(&mut stream, "lo").await;
    fs::write(&path, "hi").unwrap();
    let mut events = Vec::new();
    let mut text = String::new();
    while text != "hi" {
        let frame = tokio::time::timeout(Duration::from_secs(3), stream.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        text.push_str(std::str::from_utf8(&frame.data).unwrap());
        if !frame.event.is_empty() {
            events.push(frame.event);
        }
    }
    assert_eq!(events, ["file truncated"]);
    fs::remove_file(&path).unwrap();
    let last = tokio::time::timeout(Duration::from_secs(3), stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(last.event, "file deleted");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn the_kernel_tells_when_a_pipe_is_spliced_into_a_file() {
    let dir = alloc();
    let path = dir.path().join("alloc/logs/web.stdout.0");
    let file = fs::File::create(&path).unwrap();
    let mut watch = watch::Watch::dir(path.parent().unwrap());
    let (read, write) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&write, b"line\n").unwrap();
    let moved = rustix::pipe::splice(
        &read,
        None,
        &file,
        None,
        100,
        rustix::pipe::SpliceFlags::empty(),
    );
    assert_eq!(moved, Ok(5));
    let told = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
    if told.is_err() {
        println!("skipped: this kernel does not tell of splices; followers look every two seconds");
    }
}
