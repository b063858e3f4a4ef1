//! Keys that wrap the keyring, from server to server: whoever lacks one asks, whoever has it delivers.
//!
//! A key goes only to the address at which the members know the asking server, and a server takes only keys that its
//! state names, that it lacks, and that open what they should. Over the same connections as the log, so no better
//! protected than that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nomad_core::Uuid;
use nomad_proto::bytes::{KeyDelivery, KeyRequest};
use nomad_proto::service::server_client;
use nomad_state::{Table, WatchKey};
use tonic::Status;

use super::peers::Peers;
use crate::server::Inner;

/// Most keys in one request.
const MAX_KEYS: usize = 16;
/// Asking again when nobody had the keys.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// Asks the other servers for keys that this one lacks, whenever it lacks some.
pub(crate) async fn follow(inner: Arc<Inner>) {
    loop {
        let changed = inner.store.watch(vec![WatchKey::Table(Table::RootKeys)]);
        let missing = inner.keyring.missing(&inner.store.snapshot());
        if missing.is_empty() {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = changed => {}
            }
            continue;
        }
        ask(&inner, &missing).await;
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    }
}

async fn ask(inner: &Inner, missing: &[Uuid]) {
    let (own, _) = inner.peers.own();
    let ids = missing.iter().take(MAX_KEYS);
    let request = KeyRequest {
        server: own,
        ids: ids.map(|id| Bytes::copy_from_slice(&id.0)).collect(),
    };
    for (number, peer) in inner.peers.all() {
        if number == own {
            continue;
        }
        let Ok(channel) = Peers::channel(&peer.address) else {
            continue;
        };
        let mut client = server_client(channel);
        let asked = tokio::time::timeout(CALL, client.request_keys(request.clone())).await;
        if !matches!(asked, Ok(Ok(_))) {
            tracing::debug!(server = peer.name, "keys could not be asked for");
        }
        if inner.keyring.missing(&inner.store.snapshot()).is_empty() {
            return;
        }
    }
}

/// Delivers the keys that a server asked for, as far as this one has them.
pub(super) async fn deliver(inner: &Inner, server: u64, ids: &[Bytes]) -> Result<(), Status> {
    let address = inner.peers.member_address(server);
    let address = address.ok_or_else(|| Status::permission_denied("not a member"))?;
    let channel = Peers::channel(&address)
        .map_err(|_| Status::failed_precondition("the member's address is unusable"))?;
    let mut client = server_client(channel);
    for id in ids.iter().take(MAX_KEYS) {
        let Some(key) = uuid(id).and_then(|id| inner.keyring.export(id)) else {
            continue;
        };
        let delivery = KeyDelivery {
            id: id.clone(),
            key: Bytes::copy_from_slice(&key),
        };
        match tokio::time::timeout(CALL, client.deliver_key(delivery)).await {
            Ok(delivered) => delivered.map(|_| ())?,
            Err(_) => return Err(Status::deadline_exceeded("the key was not taken in time")),
        }
    }
    Ok(())
}

/// Takes a key that was asked for.
pub(super) fn accept(inner: &Inner, delivery: &KeyDelivery) -> Result<(), Status> {
    let id = uuid(&delivery.id).ok_or_else(|| Status::invalid_argument("id is no UUID"))?;
    let state = inner.store.snapshot();
    let taken = inner.keyring.import(&state, id, &delivery.key);
    taken.map_err(|error| Status::failed_precondition(error.to_string()))?;
    tracing::info!(key = %id, "key that wraps the keyring received");
    inner.keys_changed.send_replace(());
    Ok(())
}

fn uuid(bytes: &[u8]) -> Option<Uuid> {
    bytes.try_into().ok().map(Uuid)
}
