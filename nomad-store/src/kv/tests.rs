//! The contract of tables, run on every implementation.

use super::*;

const TABLES: [&str; 2] = ["allocs", "events"];

fn keys(rows: &[(Bytes, Bytes)]) -> Vec<&str> {
    rows.iter()
        .map(|(k, _)| std::str::from_utf8(k).unwrap())
        .collect()
}

fn rows_are_set_and_removed(kv: &dyn KvStore) {
    assert_eq!(kv.get("allocs", b"a").unwrap(), None);
    kv.put("allocs", b"a", b"1").unwrap();
    kv.put("allocs", b"a", b"2").unwrap();
    assert_eq!(kv.get("allocs", b"a").unwrap().unwrap(), "2");
    assert_eq!(kv.get("events", b"a").unwrap(), None);
    kv.delete("allocs", b"a").unwrap();
    kv.delete("allocs", b"a").unwrap();
    assert_eq!(kv.get("allocs", b"a").unwrap(), None);
    kv.sync().unwrap();
}

fn scans_are_in_key_order(kv: &dyn KvStore) {
    for key in ["b/2", "a", "b/1", "b", "c", "b0", "b/10"] {
        kv.put("events", key.as_bytes(), b"").unwrap();
    }
    let scan = |range: &KeyRange, limit| kv.scan("events", range, limit).unwrap();
    assert_eq!(
        keys(&scan(&KeyRange::all(), 99)),
        ["a", "b", "b/1", "b/10", "b/2", "b0", "c"]
    );
    let slash = KeyRange::prefix(b"b/");
    assert_eq!(keys(&scan(&slash, 99)), ["b/1", "b/10", "b/2"]);
    assert_eq!(keys(&scan(&slash, 2)), ["b/1", "b/10"]);
    assert_eq!(keys(&scan(&slash.after(b"b/10"), 99)), ["b/2"]);
    let range = |start: Bound<&[u8]>, end: Bound<&[u8]>| KeyRange {
        start: start.map(<[u8]>::to_vec),
        end: end.map(<[u8]>::to_vec),
    };
    let included = range(Bound::Included(b"b"), Bound::Included(b"b0"));
    assert_eq!(
        keys(&scan(&included, 99)),
        ["b", "b/1", "b/10", "b/2", "b0"]
    );
    let excluded = range(Bound::Excluded(b"b"), Bound::Excluded(b"b0"));
    assert_eq!(keys(&scan(&excluded, 99)), ["b/1", "b/10", "b/2"]);
    let backwards = range(Bound::Included(b"c"), Bound::Excluded(b"a"));
    assert_eq!(keys(&scan(&backwards, 99)), [""; 0]);
    let nothing = range(Bound::Excluded(b"b"), Bound::Excluded(b"b"));
    assert_eq!(keys(&scan(&nothing, 99)), [""; 0]);
}

fn a_batch_is_whole_and_in_order(kv: &dyn KvStore) {
    let mut batch = KvBatch::new();
    batch
        .put("allocs", "x", "1")
        .put("events", "y", "2")
        .delete("allocs", "x")
        .put("events", "z", "3");
    kv.write(&batch, Durability::Synced).unwrap();
    assert_eq!(kv.get("allocs", b"x").unwrap(), None);
    assert_eq!(kv.get("events", b"y").unwrap().unwrap(), "2");

    let mut bad = KvBatch::new();
    bad.put("allocs", "x", "1").put("nowhere", "y", "2");
    let error = kv.write(&bad, Durability::Synced).unwrap_err();
    assert!(matches!(error, StoreError::UnknownTable { .. }), "{error}");
    let mut bad = KvBatch::new();
    bad.put("allocs", "x", "1")
        .put("allocs", vec![0; MAX_KEY_BYTES as usize + 1], "2");
    let error = kv.write(&bad, Durability::Synced).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert_eq!(kv.get("allocs", b"x").unwrap(), None);
    kv.get("nowhere", b"k").unwrap_err();
    kv.scan("nowhere", &KeyRange::all(), 1).unwrap_err();
}

fn ranges_are_removed(kv: &dyn KvStore) {
    for key in [&b"a"[..], b"b/1", b"b/2", b"c", b"\xff\xff\xff", b""] {
        kv.put("allocs", key, b"v").unwrap();
    }
    let mut batch = KvBatch::new();
    batch
        .delete_range("allocs", KeyRange::prefix(b"b/"))
        .put("allocs", "b/3", "v");
    kv.write(&batch, Durability::Buffered).unwrap();
    assert_eq!(kv.scan("allocs", &KeyRange::all(), 99).unwrap().len(), 5);
    let mut batch = KvBatch::new();
    batch.delete_range("allocs", KeyRange::all());
    kv.write(&batch, Durability::Buffered).unwrap();
    assert_eq!(kv.scan("allocs", &KeyRange::all(), 99).unwrap(), []);
}

type Check = fn(&dyn KvStore);
const CONTRACT: [Check; 4] = [
    rows_are_set_and_removed,
    scans_are_in_key_order,
    a_batch_is_whole_and_in_order,
    ranges_are_removed,
];

#[test]
fn mem_kv_keeps_the_contract() {
    for check in CONTRACT {
        check(&MemKv::new(&TABLES));
    }
}

#[test]
fn prefixes_end_where_they_should() {
    assert_eq!(KeyRange::prefix(b"a").end, Bound::Excluded(b"b".to_vec()));
    assert_eq!(
        KeyRange::prefix(b"a\xff\xff").end,
        Bound::Excluded(b"b".to_vec())
    );
    assert_eq!(KeyRange::prefix(b"\xff").end, Bound::Unbounded);
    assert_eq!(KeyRange::prefix(b"").end, Bound::Unbounded);
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocks_kv_keeps_the_contract() {
    for check in CONTRACT {
        let dir = tempfile::tempdir().unwrap();
        check(&RocksKv::open(dir.path(), &TABLES).unwrap());
    }
}

#[cfg(feature = "rocksdb")]
#[test]
fn tables_survive_reopening_and_can_be_added() {
    let dir = tempfile::tempdir().unwrap();
    {
        let kv = RocksKv::open(dir.path(), &TABLES).unwrap();
        kv.put("allocs", b"a", b"1").unwrap();
        let error = RocksKv::open(dir.path(), &TABLES).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }
    let kv = RocksKv::open(dir.path(), &["more"]).unwrap();
    assert_eq!(kv.get("allocs", b"a").unwrap().unwrap(), "1");
    kv.put("more", b"b", b"2").unwrap();
}
