//! `version`.

use anyhow::Result;
use clap::Args;

use crate::command::Verb;
use crate::context::Context;

/// No flags of its own.
#[derive(Debug, Args)]
pub struct Version {}

impl Verb for Version {
    const ABOUT: &'static str =
        "Shows the version of this program and the level of Nomad's API it answers.";

    async fn run(self, context: Context) -> Result<i32> {
        context.ui.out(format!(
            "Nomad v{}\nAPI level {}",
            env!("CARGO_PKG_VERSION"),
            nomad_core::API_LEVEL
        ));
        Ok(0)
    }
}
