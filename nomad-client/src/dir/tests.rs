//! Directories on a real file system.

use std::os::unix::fs::MetadataExt as _;

use nomad_core::Uuid;

use super::*;

fn alloc(dir: &Path, n: u8) -> AllocDir {
    AllocDir::new(dir, &AllocId(Uuid([n; 16])))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_layout_and_its_permissions() {
    let temp = tempfile::tempdir().unwrap();
    let dir = alloc(temp.path(), 1);
    assert!(!dir.exists());
    dir.build().unwrap();
    dir.build_task("web", 0, None).unwrap();
    for (path, wanted) in [
        ("", 0o755),
        ("alloc", 0o777),
        ("alloc/data", 0o777),
        ("alloc/logs", 0o777),
        ("alloc/tmp", 0o777),
        ("web", 0o777),
        ("web/local", 0o777),
        ("web/tmp", 0o1777),
        ("web/secrets", 0o700),
        ("web/private", 0o700),
    ] {
        assert_eq!(mode(&dir.root().join(path)), wanted, "{path}");
    }
    assert!(dir.exists());
    // Making it again changes nothing, and removing it twice is no error.
    fs::write(dir.task("web").join("local/kept"), "x").unwrap();
    dir.build().unwrap();
    dir.build_task("web", 0, None).unwrap();
    assert!(dir.task("web").join("local/kept").exists());
    dir.destroy().unwrap();
    assert!(!dir.root().exists());
    dir.destroy().unwrap();
}

#[test]
fn secrets_are_in_memory_where_the_agent_may_mount() {
    let temp = tempfile::tempdir().unwrap();
    let dir = alloc(temp.path(), 2);
    dir.build().unwrap();
    dir.build_task("web", 2, None).unwrap();
    let secrets = dir.secrets("web");
    if !mounts::is_mounted(&secrets).unwrap() {
        println!("skipped: this user may not mount");
        return;
    }
    assert!(secrets.join(".nomad-mount").exists());
    let info = rustix::fs::statvfs(&secrets).unwrap();
    assert_eq!(info.f_blocks * info.f_frsize, 2 << 20);
    dir.release_task("web").unwrap();
    assert!(!mounts::is_mounted(&secrets).unwrap());
    dir.build_task("web", 2, None).unwrap();
    assert!(mounts::is_mounted(&secrets).unwrap());
    dir.destroy().unwrap();
    assert!(!dir.root().exists());
}

#[test]
fn a_link_in_place_of_a_directory_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = alloc(temp.path(), 3);
    dir.build().unwrap();
    std::os::unix::fs::symlink("/etc", dir.task("web")).unwrap();
    assert!(dir.build_task("web", 0, None).is_err());
}

#[test]
fn a_replacement_takes_over_data() {
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (alloc(temp.path(), 4), alloc(temp.path(), 5));
    for dir in [&old, &new] {
        dir.build().unwrap();
        dir.build_task("web", 0, None).unwrap();
    }
    fs::write(old.shared().join("data/db"), "rows").unwrap();
    fs::write(old.task("web").join("local/cache"), "warm").unwrap();
    fs::write(old.task("web").join("tmp/x"), "stays").unwrap();
    move_disk(&old, &new, &["web".to_owned(), "gone".to_owned()]).unwrap();
    assert_eq!(
        fs::read_to_string(new.shared().join("data/db")).unwrap(),
        "rows"
    );
    assert_eq!(
        fs::read_to_string(new.task("web").join("local/cache")).unwrap(),
        "warm"
    );
    assert!(!new.task("web").join("tmp/x").exists());
    for dir in [&old, &new] {
        dir.destroy().unwrap();
    }
}
