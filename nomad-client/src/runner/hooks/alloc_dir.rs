//! Makes the allocation's directories.

use std::sync::Arc;

use super::super::AllocRunner;

pub(super) async fn run(runner: &Arc<AllocRunner>) -> Result<(), String> {
    let dir = runner.dir.clone();
    match tokio::task::spawn_blocking(move || dir.build()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error}: {}", error.source)),
        Err(error) => Err(error.to_string()),
    }
}
