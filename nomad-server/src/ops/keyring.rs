//! The keyring: rotation and removal of root keys.
//!
//! Source: HTTP API reference, "Operator and system".

use std::sync::Arc;

use nomad_core::{Timestamp, Uuid};
use nomad_state::command::{RootKeyDelete, RootKeyUpsert};
use nomad_state::variable::{RootKeyRow, RootKeyState};

use crate::error::ServerError;
use crate::server::{Inner, Server};

impl Inner {
    /// Makes a root key, away from the async threads.
    pub(crate) async fn new_root_key(
        self: &Arc<Self>,
        state: RootKeyState,
        publish_time: Timestamp,
    ) -> Result<RootKeyRow, ServerError> {
        let inner = Arc::clone(self);
        let id = self.ids.fresh();
        let now = self.clock.now();
        let made = tokio::task::spawn_blocking(move || {
            inner.keyring.generate(id, state, publish_time, now)
        });
        let made = made
            .await
            .map_err(|error| ServerError::internal(error.to_string()))?;
        Ok(made?)
    }
}

impl Server {
    /// Makes a new root key the active one, or publishes it for a later time; gives it and the index of the write.
    /// With `full`, everything under older keys is sealed anew in the background.
    pub async fn rotate_root_key(
        &self,
        full: bool,
        publish_time: Option<Timestamp>,
    ) -> Result<(RootKeyRow, u64), ServerError> {
        if full && publish_time.is_some() {
            return Err(ServerError::refused(
                "keyring cannot be prepublished and full rotated at the same time",
            ));
        }
        self.inner.wait_for_leader().await?;
        let (state, at) = match publish_time {
            Some(at) => (RootKeyState::Prepublished, at),
            None => (RootKeyState::Active, Timestamp::ZERO),
        };
        let key = self.inner.new_root_key(state, at).await?;
        let command = RootKeyUpsert {
            key: key.clone(),
            first: false,
            rekey: full,
        };
        let applied = self.inner.propose(command).await?;
        Ok((key, applied.index))
    }

    /// Deletes a root key; one that is in use only with `force`, and what is under it is lost then.
    pub async fn delete_root_key(&self, id: Uuid, force: bool) -> Result<u64, ServerError> {
        Ok(self.write(RootKeyDelete { id, force }).await?.index)
    }
}
