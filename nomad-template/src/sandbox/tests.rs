//! Paths that behave and paths that do not.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

const PLAIN: Ownership = Ownership {
    mode: 0o644,
    uid: None,
    gid: None,
};

fn sandbox() -> (TempDir, Sandbox) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (task_dir, alloc_dir) = (dir.path().join("web"), dir.path().join("alloc"));
    std::fs::create_dir_all(task_dir.join("local")).expect("local");
    std::fs::create_dir_all(alloc_dir.join("data")).expect("data");
    std::fs::write(dir.path().join("outside"), "secret").expect("outside");
    let sandbox = Sandbox {
        task_dir,
        alloc_dir,
        confined: true,
    };
    (dir, sandbox)
}

#[test]
fn writes_are_whole_and_tell_whether_they_changed_anything() {
    let (_dir, sandbox) = sandbox();
    assert!(
        sandbox
            .write_file("local/a/b/c.conf", b"one", PLAIN)
            .unwrap()
    );
    let file = sandbox.task_dir.join("local/a/b/c.conf");
    let inode = std::fs::metadata(&file).unwrap().ino();
    assert!(
        !sandbox
            .write_file("local/a/b/c.conf", b"one", PLAIN)
            .unwrap()
    );
    assert_eq!(std::fs::metadata(&file).unwrap().ino(), inode, "untouched");
    assert!(
        sandbox
            .write_file("local/a/b/c.conf", b"two", PLAIN)
            .unwrap()
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"two");
    assert_eq!(
        std::fs::read_dir(file.parent().unwrap()).unwrap().count(),
        1,
        "no leftovers"
    );
}

#[test]
fn modes_and_owners_are_set_also_on_unchanged_files() {
    let (_dir, sandbox) = sandbox();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let file = sandbox.task_dir.join("secrets/key");
    let private = Ownership {
        mode: 0o400,
        ..PLAIN
    };
    sandbox.write_file("secrets/key", b"k", private).unwrap();
    assert_eq!(mode(&file), 0o400);
    let owner = std::fs::metadata(&file).unwrap().uid();
    let own = Ownership {
        mode: 0o640,
        uid: Some(owner),
        gid: None,
    };
    // Only its owner (or root) may read it now; a test that is neither cannot compare and rewrites.
    sandbox.write_file("secrets/key", b"k", own).unwrap();
    assert_eq!(mode(&file), 0o640);
}

#[test]
fn places_of_every_kind() {
    let (_dir, sandbox) = sandbox();
    for (path, file) in [
        ("local/x", sandbox.task_dir.join("local/x")),
        ("/local/y", sandbox.task_dir.join("local/y")),
        ("./local/../z", sandbox.task_dir.join("z")),
        ("../alloc/data/d", sandbox.alloc_dir.join("data/d")),
        ("/alloc/e", sandbox.alloc_dir.join("e")),
        (
            sandbox.alloc_dir.join("f").to_str().unwrap(),
            sandbox.alloc_dir.join("f"),
        ),
        (
            sandbox.task_dir.join("g").to_str().unwrap(),
            sandbox.task_dir.join("g"),
        ),
        ("/etc/passwd", sandbox.task_dir.join("etc/passwd")),
    ] {
        sandbox
            .write_file(path, b"x", PLAIN)
            .unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(file.is_file(), "{path}");
        assert_eq!(sandbox.read_file(path, true).unwrap(), b"x", "{path}");
    }
}

#[test]
fn escapes_by_text_are_refused() {
    let (dir, sandbox) = sandbox();
    for path in [
        "../outside",
        "local/../../outside",
        "../web2/x",
        "../../../../../../etc/passwd",
        "a\0b",
        "..",
    ] {
        let error = sandbox.write_file(path, b"x", PLAIN).unwrap_err();
        assert!(
            matches!(error, SandboxError::Escapes { .. }),
            "{path}: {error}"
        );
        assert!(sandbox.read_file(path, true).is_err(), "{path}");
    }
    let absolute = dir.path().join("outside");
    let absolute = absolute.to_str().unwrap();
    assert!(matches!(
        sandbox.read_file(absolute, false),
        Err(SandboxError::Escapes { .. })
    ));
    assert!(
        sandbox.read_file(absolute, true).is_err(),
        "joined: no such file below the task"
    );
    for path in ["", ".", "/", "local/.."] {
        assert!(
            matches!(
                sandbox.write_file(path, b"x", PLAIN),
                Err(SandboxError::NoName { .. })
            ),
            "{path:?}"
        );
    }
    assert!(sandbox.write_file(&"d/".repeat(100), b"x", PLAIN).is_err());
}

#[test]
fn escapes_through_links_are_refused() {
    let (dir, sandbox) = sandbox();
    let local = sandbox.task_dir.join("local");
    symlink(dir.path(), local.join("up")).unwrap();
    symlink("../..", local.join("relative")).unwrap();
    symlink(dir.path().join("outside"), local.join("file")).unwrap();
    symlink("/proc/self/root", local.join("magic")).unwrap();
    symlink("loop", local.join("loop")).unwrap();
    for path in [
        "local/up/outside",
        "local/relative/outside",
        "local/file",
        "local/magic/etc/passwd",
        "local/loop/x",
    ] {
        assert!(sandbox.read_file(path, true).is_err(), "read {path}");
    }
    for path in [
        "local/up/new",
        "local/relative/new",
        "local/magic/tmp/new",
        "local/loop/new",
    ] {
        assert!(
            sandbox.write_file(path, b"x", PLAIN).is_err(),
            "write {path}"
        );
    }
    // A link at the place itself is replaced; what it led to stays.
    sandbox.write_file("local/file", b"mine", PLAIN).unwrap();
    assert_eq!(
        std::fs::read(dir.path().join("outside")).unwrap(),
        b"secret"
    );
    assert!(
        !std::fs::symlink_metadata(local.join("file"))
            .unwrap()
            .is_symlink()
    );
    assert!(!dir.path().join("new").exists());
}

#[test]
fn links_that_stay_inside_are_followed() {
    let (_dir, sandbox) = sandbox();
    std::fs::create_dir(sandbox.task_dir.join("local/v2")).unwrap();
    symlink("v2", sandbox.task_dir.join("local/current")).unwrap();
    sandbox.write_file("local/current/x", b"x", PLAIN).unwrap();
    assert!(sandbox.task_dir.join("local/v2/x").is_file());
    assert_eq!(sandbox.read_file("local/current/x", true).unwrap(), b"x");
}

#[test]
fn without_openat2_links_are_refused_and_plain_paths_work() {
    let (dir, sandbox) = sandbox();
    std::fs::write(sandbox.task_dir.join("local/x"), "x").unwrap();
    symlink("local", sandbox.task_dir.join("link")).unwrap();
    symlink(
        dir.path().join("outside"),
        sandbox.task_dir.join("local/out"),
    )
    .unwrap();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(&sandbox.task_dir, flags, Mode::empty()).unwrap();
    let open = |path: &str| step_by_step(&root, Path::new(path), OFlags::RDONLY | OFlags::CLOEXEC);
    assert!(open("local/x").is_ok() && open("./local/./x").is_ok());
    assert!(open("link/x").is_err() && open("local/out").is_err() && open("../outside").is_err());
}

#[test]
fn odd_files_are_refused() {
    let (_dir, sandbox) = sandbox();
    assert!(matches!(
        sandbox.read_file("local", true),
        Err(SandboxError::NotAFile { .. })
    ));
    let pipe = sandbox.task_dir.join("local/pipe");
    fs::mknodat(
        fs::CWD,
        &pipe,
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(
        sandbox.read_file("local/pipe", true),
        Err(SandboxError::NotAFile { .. })
    ));
    assert!(
        sandbox.write_file("local/pipe", b"x", PLAIN).unwrap(),
        "replaced"
    );
    assert!(
        sandbox.write_file("local", b"x", PLAIN).is_err(),
        "a directory stays"
    );
    let big = std::fs::File::create(sandbox.task_dir.join("big")).unwrap();
    big.set_len(MAX_FILE_BYTES as u64 + 1).unwrap();
    assert!(matches!(
        sandbox.read_file("big", true),
        Err(SandboxError::TooLarge { .. })
    ));
}

#[test]
fn without_confinement_any_path_goes() {
    let (dir, mut sandbox) = sandbox();
    sandbox.confined = false;
    let path = dir.path().join("elsewhere/x");
    sandbox
        .write_file(path.to_str().unwrap(), b"x", PLAIN)
        .unwrap();
    assert_eq!(sandbox.read_file("../elsewhere/x", false).unwrap(), b"x");
}
