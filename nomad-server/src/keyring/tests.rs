//! The keyring: sealing, restarts, files, and when keys are due.

use std::os::unix::fs::PermissionsExt as _;

use nomad_core::Nanos;
use nomad_state::Store;
use nomad_state::command::{RootKeyUpsert, VariableApply};

use super::rotation::{DEFAULT_ROTATION, Step};
use super::*;

const T0: Timestamp = Timestamp(1_000_000_000_000);

fn id(number: u8) -> Uuid {
    Uuid([number; 16])
}

fn add_key(store: &Store, key: RootKeyRow) {
    let index = store.snapshot().last_index() + 1;
    let command = RootKeyUpsert {
        key,
        ..RootKeyUpsert::default()
    };
    store.apply(index, &command.into()).unwrap();
}

fn items() -> Items {
    Items(BTreeMap::from([("user".to_owned(), "geheim".to_owned())]))
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    let needle = needle.as_bytes();
    haystack.windows(needle.len()).any(|part| part == needle)
}

#[test]
fn items_open_again_after_a_restart_and_only_at_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keystore");
    let keyring = Keyring::open(Some(&path)).unwrap();
    let store = Store::new();
    let place = VariableKey::new("default", "app");
    let empty = keyring.seal(&store.snapshot(), &place, &items());
    assert!(matches!(empty, Err(KeyringError::NoActiveKey)));
    let key = keyring
        .generate(id(1), RootKeyState::Active, Timestamp::ZERO, T0)
        .unwrap();
    assert_eq!(key.rsa_modulus.len(), RSA_BITS / 8);
    assert_eq!(key.rsa_exponent, [1, 0, 1]);
    add_key(&store, key);
    let state = store.snapshot();
    let sealed = keyring.seal(&state, &place, &items()).unwrap();
    assert!(!contains(&sealed.data.0, "geheim") && !contains(&sealed.data.0, "user"));
    assert_ne!(sealed, keyring.seal(&state, &place, &items()).unwrap());
    let row = VariableRow {
        key: place.clone(),
        items: sealed.clone(),
        ..VariableRow::default()
    };
    // A restart: another keyring on the same files.
    let again = Keyring::open(Some(&path)).unwrap();
    assert_eq!(again.open_items(&state, &row).unwrap(), items());
    let moved = VariableRow {
        key: VariableKey::new("default", "other"),
        ..row.clone()
    };
    let mut changed = row.clone();
    changed.items.data.0[20] ^= 1;
    let mut short = row.clone();
    short.items.data.0.truncate(5);
    for bad in [moved, changed, short] {
        let error = again.open_items(&state, &bad).unwrap_err();
        assert!(matches!(error, KeyringError::Damaged { .. }), "{error}");
    }
    // Another server does not open it until it has the wrapping key.
    let other = Keyring::open(None).unwrap();
    let error = other.open_items(&state, &row).unwrap_err();
    assert!(matches!(error, KeyringError::NotHere { .. }));
    let [missing] = other.missing(&state)[..] else {
        panic!("one key is missing");
    };
    let bytes = keyring.export(missing).unwrap();
    let mut wrong = bytes.to_vec();
    wrong[0] ^= 1;
    assert!(other.import(&state, missing, &bytes[1..]).is_err());
    assert!(other.import(&state, missing, &wrong).is_err());
    assert!(other.import(&state, id(8), &bytes).is_err());
    other.import(&state, missing, &bytes).unwrap();
    assert_eq!(other.open_items(&state, &row).unwrap(), items());
    assert!(other.missing(&state).is_empty());
}

#[test]
fn key_files_are_private_and_whole_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let keystore = Keystore::open(Some(path)).unwrap();
    let (id, _) = keystore.wrapping().unwrap();
    assert_eq!(keystore.wrapping().unwrap().0, id, "one is enough");
    let file = path.join(format!("{id}.kek"));
    let mode = || std::fs::metadata(&file).unwrap().permissions();
    assert_eq!(mode().mode() & 0o777, 0o600);
    let mut open = mode();
    open.set_mode(0o644);
    std::fs::set_permissions(&file, open.clone()).unwrap();
    let refused = Keystore::open(Some(path)).err().unwrap();
    assert!(matches!(refused, KeystoreError::Open { .. }));
    open.set_mode(0o600);
    std::fs::set_permissions(&file, open).unwrap();
    std::fs::write(&file, b"short").unwrap();
    let refused = Keystore::open(Some(path)).err().unwrap();
    assert!(matches!(refused, KeystoreError::Malformed { .. }));
    // What a crash left under its first name counts for nothing.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(path.join(format!("{id}.new")), b"half").unwrap();
    assert!(Keystore::open(Some(path)).unwrap().get(id).is_none());
}

#[test]
fn secrets_are_in_no_text() {
    let text = format!("{:?}", items());
    assert_eq!(text, "1 items");
    let command = VariableApply {
        items: SealedItems {
            key_id: id(1),
            data: Sealed(b"sealed".to_vec()),
        },
        ..VariableApply::default()
    };
    assert!(format!("{command:?}").contains("6 sealed bytes"));
}

#[test]
fn keys_are_due_in_their_time() {
    let next =
        |store: &Store, now: Timestamp| rotation::next(&store.snapshot(), DEFAULT_ROTATION, now);
    let store = Store::new();
    assert_eq!(next(&store, T0), (Some(Step::Found), None));
    let key = |number, state, publish_time| RootKeyRow {
        id: id(number),
        state,
        publish_time,
        create_time: T0,
        ..RootKeyRow::default()
    };
    add_key(&store, key(1, RootKeyState::Active, Timestamp::ZERO));
    let half = T0 + Nanos::hours(360);
    let due = T0 + Nanos::hours(720);
    assert_eq!(next(&store, T0), (None, Some(half)));
    let prepublish = |publish_time| (Some(Step::Prepublish { publish_time }), None);
    assert_eq!(next(&store, half), prepublish(due));
    let late = T0 + Nanos::hours(2000);
    assert_eq!(next(&store, late), prepublish(late + Nanos::hours(1)));
    add_key(&store, key(2, RootKeyState::Prepublished, due));
    assert_eq!(next(&store, half), (None, Some(due)));
    let promote = (Some(Step::Promote { id: id(2) }), None);
    assert_eq!(next(&store, due), promote);
    add_key(&store, key(3, RootKeyState::Rekeying, Timestamp::ZERO));
    assert_eq!(next(&store, T0), (Some(Step::Rekey { id: id(3) }), None));
}
