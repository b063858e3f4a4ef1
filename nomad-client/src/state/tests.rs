//! Rows that come back as they were.

use std::os::unix::fs::PermissionsExt as _;

use nomad_core::Timestamp;
use nomad_core::job::Job;
use nomad_store::MemKv;

use super::*;
use crate::machine::events;

fn db() -> (StateDb, Arc<MemKv>) {
    let kv = Arc::new(MemKv::new(&TABLES));
    (StateDb::new(kv.clone()), kv)
}

fn alloc(n: u8, version: u64, jobs: &JobCache) -> Allocation {
    let job = Job {
        id: "web".into(),
        namespace: "default".into(),
        version,
        ..Job::default()
    };
    Allocation {
        id: AllocId(Uuid([n; 16])),
        job: Some(jobs.intern(job)),
        job_version: version,
        ..Allocation::default()
    }
}

#[test]
fn allocations_come_back_with_one_job_for_all() {
    let (db, kv) = db();
    let jobs = JobCache::default();
    for n in 1..=3 {
        db.put_alloc(&AllocRow::of(alloc(n, 7, &jobs))).unwrap();
    }
    db.put_alloc(&AllocRow::of(alloc(4, 8, &jobs))).unwrap();
    let mut row = TaskRow::default();
    row.state.push_event(events::started(Timestamp(5)));
    let handle = HandleRow {
        handle: Some(TaskHandle {
            version: 1,
            driver: "raw_exec".to_owned(),
            task_id: "a/t/1".to_owned(),
            driver_state: serde_json::json!({"pid": 7}),
        }),
        ..HandleRow::default()
    };
    let id = AllocId(Uuid([1; 16]));
    db.put_task(id, "t", &row).unwrap();
    db.put_handle(id, "t", &handle).unwrap();
    assert_eq!(db.task(id, "t").unwrap(), Some(row.clone()));
    assert_eq!(db.handle(id, "t").unwrap(), Some(handle.clone()));
    assert_eq!(kv.scan(JOBS, &KeyRange::all(), 10).unwrap().len(), 2);

    let jobs = JobCache::default();
    let (stored, damaged) = db.load(&jobs).unwrap();
    assert!(damaged.is_empty());
    assert_eq!(stored.len(), 4);
    let job = |at: usize| stored[at].row.alloc.job.as_ref().unwrap();
    assert!(Arc::ptr_eq(job(0), job(2)));
    assert_eq!(job(3).version, 8);
    assert_eq!(stored[0].tasks["t"], row);
    assert_eq!(stored[0].handles["t"], handle);
}

#[test]
fn forgotten_allocations_take_their_tasks_and_unused_jobs_along() {
    let (db, kv) = db();
    let jobs = JobCache::default();
    let row = AllocRow::of(alloc(1, 7, &jobs));
    db.put_alloc(&row).unwrap();
    db.put_task(row.alloc.id, "t", &TaskRow::default()).unwrap();
    db.delete_alloc(row.alloc.id).unwrap();
    assert_eq!(db.task(row.alloc.id, "t").unwrap(), None);
    let (stored, _) = db.load(&JobCache::default()).unwrap();
    assert!(stored.is_empty());
    assert!(kv.scan(JOBS, &KeyRange::all(), 10).unwrap().is_empty());
}

#[test]
fn one_damaged_row_does_not_hide_the_others() {
    let (db, kv) = db();
    let jobs = JobCache::default();
    db.put_alloc(&AllocRow::of(alloc(1, 7, &jobs))).unwrap();
    kv.put(ALLOCS, &[9; 16], b"\xc1garbage").unwrap();
    kv.put(ALLOCS, b"short", b"x").unwrap();
    let (stored, damaged) = db.load(&JobCache::default()).unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].0, AllocId(Uuid([9; 16])));
}

#[test]
fn node_meta_keeps_tombstones() {
    let (db, _) = db();
    assert!(db.node_meta().unwrap().is_empty());
    let meta = DynamicMeta::from([
        ("a".to_owned(), Some("1".to_owned())),
        ("b".to_owned(), None),
    ]);
    db.put_node_meta(&meta).unwrap();
    assert_eq!(db.node_meta().unwrap(), meta);
}

#[test]
fn ids_are_made_once_and_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let first = NodeIds::load(dir.path()).unwrap();
    assert_eq!(NodeIds::load(dir.path()).unwrap(), first);
    for file in ["client-id", "secret-id"] {
        let meta = std::fs::metadata(dir.path().join(file)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert!(!format!("{first:?}").contains(&first.secret));
    std::fs::write(dir.path().join("client-id"), "nonsense").unwrap();
    assert!(matches!(
        NodeIds::load(dir.path()),
        Err(IdError::Malformed { .. })
    ));
}

#[test]
fn jobs_that_nobody_holds_are_forgotten() {
    let jobs = JobCache::default();
    let held = alloc(1, 1, &jobs);
    let key = AllocRow::of(held.clone()).job;
    assert!(jobs.in_use(&key));
    drop(held);
    assert!(!jobs.in_use(&key));
}

#[test]
fn the_end_of_a_task_and_the_loss_of_its_handle_are_stored_as_one() {
    let (db, _) = db();
    let id = AllocId(Uuid([1; 16]));
    let kept = HandleRow {
        hooks_done: BTreeSet::from(["dir".to_owned()]),
        ..HandleRow::default()
    };
    let handle = HandleRow {
        handle: Some(TaskHandle {
            version: 1,
            driver: "raw_exec".to_owned(),
            task_id: "a/t/1".to_owned(),
            driver_state: serde_json::Value::Null,
        }),
        starting: true,
        ..kept.clone()
    };
    db.put_handle(id, "t", &handle).unwrap();
    let mut row = TaskRow::default();
    row.state.push_event(events::started(Timestamp(5)));
    db.put_ended_task(id, "t", &row).unwrap();
    assert_eq!(db.task(id, "t").unwrap(), Some(row));
    assert_eq!(db.handle(id, "t").unwrap(), Some(kept));
}
