//! The snapshot format and the contract of its stores.

use std::io::{Read, Write};
use std::path::Path;

use super::*;
use crate::StoreError;
use crate::types::Membership;

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta {
        index,
        term: 3,
        membership: Membership {
            voters: vec![1, 2, 3],
            ..Membership::default()
        },
    }
}

fn state(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

fn file(len: usize) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(Vec::new(), &meta(9), Path::new("x.snap")).unwrap();
    writer.write_all(&state(len)).unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<(SnapshotMeta, Vec<u8>)> {
    let mut reader = SnapshotReader::new(bytes, Path::new("x.snap"))?;
    let mut out = Vec::new();
    reader
        .read_to_end(&mut out)
        .map_err(StoreError::io("read", Path::new("x.snap")))?;
    Ok((reader.meta().clone(), out))
}

#[test]
fn what_is_written_is_read() {
    for len in [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 300_000] {
        let bytes = file(len);
        assert_eq!(read(&bytes).unwrap(), (meta(9), state(len)));
        let info = inspect(&bytes[..], Path::new("x.snap")).unwrap();
        assert_eq!(info.bytes, bytes.len() as u64);
        assert_eq!(info.meta, meta(9));
    }
}

#[test]
fn every_damaged_byte_and_every_cut_is_found() {
    let bytes = file(300);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        read(&damaged).unwrap_err();
        let error = read(&bytes[..at]).unwrap_err().to_string();
        assert!(error.contains("x.snap"), "{error}");
    }
}

#[test]
fn chunks_cannot_be_dropped_or_swapped() {
    let bytes = file(3 * 64 * 1024);
    let header = bytes.len() - 3 * (64 * 1024 + 8) - 44;
    let chunk = 64 * 1024 + 8;
    let mut dropped = bytes.clone();
    dropped.drain(header..header + chunk);
    assert!(
        read(&dropped)
            .unwrap_err()
            .to_string()
            .contains("bytes of state")
    );
    let mut swapped = bytes[..header].to_vec();
    swapped.extend_from_slice(&bytes[header + chunk..header + 2 * chunk]);
    swapped.extend_from_slice(&bytes[header..header + chunk]);
    swapped.extend_from_slice(&bytes[header + 2 * chunk..]);
    assert!(read(&swapped).unwrap_err().to_string().contains("digest"));
}

#[test]
fn other_files_and_formats_are_named() {
    let error = read(b"#!/bin/sh\nexit 0").unwrap_err();
    assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
    let mut newer = file(10);
    newer[11] = 2;
    let error = read(&newer).unwrap_err();
    assert!(
        matches!(error, StoreError::UnsupportedFormat { found: 2, .. }),
        "{error}"
    );
    let mut huge = file(10);
    huge[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    read(&huge).unwrap_err();
}

fn write(store: &dyn SnapshotStore, index: u64, len: usize) -> SnapshotInfo {
    let mut sink = store.create(&meta(index)).unwrap();
    sink.write_all(&state(len)).unwrap();
    sink.commit().unwrap()
}

fn indices(store: &dyn SnapshotStore) -> Vec<u64> {
    store.list().unwrap().iter().map(|i| i.meta.index).collect()
}

fn the_newest_two_are_kept(store: &dyn SnapshotStore) {
    assert_eq!(indices(store), [0; 0]);
    assert!(open_newest(store).unwrap().is_none());
    for index in [10, 20, 30] {
        let info = write(store, index, 1000);
        assert_eq!(store.list().unwrap()[0], info);
    }
    assert_eq!(indices(store), [30, 20]);
    let mut reader = open_newest(store).unwrap().unwrap();
    assert_eq!(reader.meta(), &meta(30));
    let mut out = Vec::new();
    reader.read_to_end(&mut out).unwrap();
    assert_eq!(out, state(1000));
    let error = store.open(meta(10).position()).err().unwrap();
    assert!(matches!(error, StoreError::NoSnapshot { .. }), "{error}");
}

fn an_unfinished_one_is_not_listed(store: &dyn SnapshotStore) {
    let mut sink = store.create(&meta(5)).unwrap();
    sink.write_all(&state(10)).unwrap();
    assert_eq!(indices(store), [0; 0]);
    drop(sink);
    assert_eq!(indices(store), [0; 0]);
}

fn received_ones_are_verified(store: &dyn SnapshotStore) {
    write(store, 40, 200_000);
    let mut bytes = Vec::new();
    store
        .open(meta(40).position())
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    let mut sink = store.receive().unwrap();
    sink.write_all(&file(77)).unwrap();
    let info = sink.commit().unwrap();
    assert_eq!(info.meta, meta(9));
    assert_eq!(indices(store), [40, 9]);

    let mut sink = store.receive().unwrap();
    sink.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert!(sink.commit().unwrap_err().is_corruption());
    assert_eq!(indices(store), [40, 9]);
}

type Check = fn(&dyn SnapshotStore);
const CONTRACT: [Check; 3] = [
    the_newest_two_are_kept,
    an_unfinished_one_is_not_listed,
    received_ones_are_verified,
];

#[test]
fn stores_keep_the_contract() {
    for check in CONTRACT {
        check(&MemSnapshots::new());
        let dir = tempfile::tempdir().unwrap();
        check(&FileSnapshots::open(dir.path()).unwrap());
    }
}

#[test]
fn leftovers_are_removed_and_damaged_files_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileSnapshots::open(dir.path()).unwrap();
    write(&store, 10, 5000);
    write(&store, 20, 5000);
    drop(store);
    std::fs::write(dir.path().join("7.partial"), b"half").unwrap();
    let newest = dir.path().join("0000000000000014-0000000000000003.snap");
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();

    let store = FileSnapshots::open(dir.path()).unwrap();
    assert!(!dir.path().join("7.partial").exists());
    let reader = open_newest(&store).unwrap().unwrap();
    assert_eq!(reader.meta().index, 10);
}
