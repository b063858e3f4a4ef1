//! `operator root keyring list|rotate|remove`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::RootKeyMeta;
use nomad_core::Timestamp;
use nomad_core::time::parse_go_duration;

use super::shared::row;
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{short_id, table, time};

fn keys_table(keys: &[RootKeyMeta], verbose: bool) -> String {
    let mut rows = vec![row(["Key", "State", "Create Time", "Publish Time"])];
    rows.extend(keys.iter().map(|key| {
        vec![
            short_id(&key.key_id, verbose),
            key.state.clone(),
            time(Timestamp(key.create_time)),
            time(Timestamp(key.publish_time)),
        ]
    }));
    table(&rows)
}

/// Flags of `operator root keyring list`.
#[derive(Debug, Args)]
pub struct KeyringList {
    /// Whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for KeyringList {
    const ABOUT: &'static str = "Lists the root keys that encrypt Variables.";

    async fn run(self, context: Context) -> Result<i32> {
        let (keys, _) = context
            .client
            .root_keys(&QueryOptions::new())
            .await
            .context("error")?;
        context.ui.out(keys_table(&keys, self.verbose));
        Ok(0)
    }
}

/// Flags of `operator root keyring rotate`.
#[derive(Debug, Args)]
pub struct KeyringRotate {
    /// The new key becomes active at once.
    #[arg(long)]
    pub now: bool,
    /// The new key is published now and becomes active after this duration.
    #[arg(long, value_name = "duration")]
    pub prepublish: Option<String>,
    /// Everything under older keys is encrypted anew.
    #[arg(long)]
    pub full: bool,
    /// Whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for KeyringRotate {
    const ABOUT: &'static str = "Makes a new root key. Older keys still open what is under them.";

    async fn run(self, context: Context) -> Result<i32> {
        let publish_time = match (&self.prepublish, self.now) {
            (None, true) => None,
            (Some(text), false) => match parse_go_duration(text) {
                Some(span) if span.0 > 0 => Some((now() + span).0),
                _ => return usage(format!("Invalid -prepublish {text:?}: want a duration")),
            },
            _ => return usage("Exactly one of -now and -prepublish is needed"),
        };
        let rotated = context
            .client
            .rotate_root_key(self.full, publish_time)
            .await
            .context("error")?;
        context.ui.out(keys_table(&[rotated.key], self.verbose));
        Ok(0)
    }
}

/// Flags of `operator root keyring remove`.
#[derive(Debug, Args)]
pub struct KeyringRemove {
    /// Even if something is encrypted with it: that is lost.
    #[arg(long)]
    pub force: bool,
}

impl Verb for KeyringRemove {
    const ARGUMENTS: &'static str = "<key>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Removes a root key that nothing needs any more.";

    async fn run(self, context: Context) -> Result<i32> {
        let prefix = context.arg(0);
        let (keys, _) = context
            .client
            .root_keys(&QueryOptions::new())
            .await
            .context("error")?;
        let mut fitting = keys.iter().filter(|key| key.key_id.starts_with(prefix));
        let id = match (fitting.next(), fitting.next()) {
            (Some(key), None) => &key.key_id,
            (None, _) => bail!("No root key with prefix {prefix:?} found"),
            (Some(_), Some(_)) => bail!("Prefix {prefix:?} matched several root keys"),
        };
        context
            .client
            .delete_root_key(id, self.force)
            .await
            .context("error")?;
        context.ui.out(format!("Removed encryption key {id}"));
        Ok(0)
    }
}
