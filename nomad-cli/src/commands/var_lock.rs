//! `var lock`: runs a command while it holds the lock of a Variable.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::{QueryOptions, VariableWrite};
use nomad_api::types::{Variable, VariableLock};
use nomad_core::Nanos;
use nomad_core::time::parse_go_duration;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::var::{clean_path, specification};
use crate::command::Verb;
use crate::context::{Context, usage};

/// The lock is renewed after this part of its TTL.
const RENEW: f64 = 0.7;
/// Between tries to take the lock, as a part of its TTL.
const BACKOFF: f64 = 1.1;
/// How long a command has to end after its lock was lost.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// Flags of `var lock`.
#[derive(Debug, Args)]
pub struct VarLock {
    /// How long the lock is held without renewal.
    #[arg(long, value_name = "duration", default_value = "15s")]
    pub ttl: String,
    /// How long nobody may take the lock after it was lost.
    #[arg(long, value_name = "duration", default_value = "15s")]
    pub delay: String,
    /// Tries to take the lock.
    #[arg(long, value_name = "count", default_value_t = 5)]
    pub max_retry: u32,
    /// Do not wait for a lock that somebody holds.
    #[arg(long)]
    pub early_return: bool,
    /// Between tries; 1.1 times the TTL by default.
    #[arg(long, value_name = "duration")]
    pub backoff: Option<String>,
    /// Whether the command runs in a shell.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub shell: bool,
    /// Tell more on stderr.
    #[arg(long)]
    pub verbose: bool,
}

fn span(flag: &str, text: &str) -> Result<Duration> {
    match parse_go_duration(text) {
        Some(span) if span.0 > 0 => Ok(span.to_std()),
        _ => usage(format!("Invalid -{flag} {text:?}: want a duration")),
    }
}

impl Verb for VarLock {
    const ARGUMENTS: &'static str = "<path> [@file] <command...>";
    const ARITY: (usize, usize) = (2, usize::MAX);
    const ABOUT: &'static str = "Takes the lock of a Variable, runs a command while it is held, and gives it back. The \
         command ends when the lock is lost.";

    async fn run(self, context: Context) -> Result<i32> {
        let ttl = span("ttl", &self.ttl)?;
        span("delay", &self.delay)?;
        let backoff = match &self.backoff {
            Some(text) => span("backoff", text)?,
            None => ttl.mul_f64(BACKOFF),
        };
        let (mut variable, command) = target(&context.args)?;
        if !context.config.namespace.is_empty() {
            variable.namespace.clone_from(&context.config.namespace);
        }
        let options = context.in_namespace(&variable.namespace);
        let held = self.acquire(&context, variable, backoff, &options).await;
        let held = held.context("Lock error")?;
        let lock = held.lock.clone().unwrap_or_default();
        if self.verbose {
            context.ui.warn("Lock acquired");
        }
        let holding = Holding {
            context: &context,
            path: &held.path,
            id: &lock.id,
            ttl,
            options: &options,
        };
        let kept = match self.start(&command) {
            Ok(child) => holding.follow(child).await,
            Err(error) => Err(error),
        };
        let released = context
            .client
            .release_variable_lock(&held.path, &lock.id, &options)
            .await;
        kept.context("Lock error")?;
        match released.context("Lock error")? {
            VariableWrite::Done(_) => {}
            VariableWrite::Conflict(_) => bail!("Lock error: somebody else holds the lock now"),
        }
        if self.verbose {
            context.ui.warn("Lock released");
        }
        Ok(0)
    }
}

/// The Variable and the command's words.
fn target(args: &[String]) -> Result<(Variable, Vec<String>)> {
    let mut words = args.to_vec();
    let first = words.remove(0);
    let mut variable = if first.starts_with('@') {
        specification(&first, "hcl")?
    } else {
        let mut variable = Variable::default();
        if words.len() > 1 && words[0].starts_with('@') {
            variable = specification(&words.remove(0), "hcl")?;
        }
        variable.path = first;
        variable
    };
    variable.path = clean_path(&variable.path);
    if variable.path.is_empty() {
        return usage("A path is needed: as the first argument, or in the specification");
    }
    if words.is_empty() {
        return usage("A command is needed");
    }
    Ok((variable, words))
}

impl VarLock {
    async fn acquire(
        &self,
        context: &Context,
        mut variable: Variable,
        backoff: Duration,
        options: &QueryOptions,
    ) -> Result<Variable> {
        variable.lock = Some(VariableLock {
            ttl: self.ttl.clone(),
            lock_delay: self.delay.clone(),
            ..VariableLock::default()
        });
        let keep_items = variable.items.is_none();
        for attempt in 0..=self.max_retry {
            if attempt > 0 {
                sleep(backoff).await;
            }
            // Taking the lock writes the items too: without any of our own the stored ones are written again.
            if keep_items {
                match context.client.variable(&variable.path, options).await {
                    Ok((stored, _)) => variable.items = stored.items,
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let acquired = context.client.acquire_variable_lock(&variable, options);
            match acquired.await? {
                VariableWrite::Done(held) => return Ok(held),
                VariableWrite::Conflict(_) if self.early_return => {
                    bail!("somebody holds the lock of {:?}", variable.path)
                }
                VariableWrite::Conflict(_) if self.verbose => {
                    context.ui.warn("Lock is held, waiting");
                }
                VariableWrite::Conflict(_) => {}
            }
        }
        bail!("somebody still holds the lock of {:?}", variable.path)
    }

    fn start(&self, words: &[String]) -> Result<Child> {
        let mut command = if self.shell {
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            let mut command = Command::new(shell);
            command.arg("-c").arg(words.join(" "));
            command
        } else {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        };
        command
            .stdin(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("Failed to run {:?}", words[0]))
    }
}

/// A lock that is held.
struct Holding<'a> {
    context: &'a Context,
    path: &'a str,
    id: &'a str,
    ttl: Duration,
    options: &'a QueryOptions,
}

impl Holding<'_> {
    /// Renews until the command has ended; ends it when the lock is lost. How the command ended is not told on.
    async fn follow(&self, mut child: Child) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let pace = self.ttl.mul_f64(RENEW);
        let mut next = Instant::now() + pace;
        let mut good_until = Instant::now() + self.ttl;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    ended.context("Failed to wait for the command")?;
                    return Ok(());
                }
                _ = interrupt.recv() => forward(&child, Signal::INT),
                _ = terminate.recv() => forward(&child, Signal::TERM),
                () = sleep_until(next) => match self.renew().await {
                    Ok(()) => {
                        next = Instant::now() + pace;
                        good_until = Instant::now() + self.ttl;
                    }
                    Err(error) if error.is_connect() && Instant::now() < good_until => {
                        next = Instant::now() + Nanos::secs(1).to_std();
                    }
                    Err(error) => {
                        end(&mut child).await;
                        return Err(error).context("the lock was lost");
                    }
                },
            }
        }
    }

    async fn renew(&self) -> Result<(), nomad_api::client::ClientError> {
        let client = &self.context.client;
        let renewed = client.renew_variable_lock(self.path, self.id, self.options);
        renewed.await.map(|_| ())
    }
}

fn forward(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

async fn end(child: &mut Child) {
    forward(child, Signal::TERM);
    if tokio::time::timeout(KILL_AFTER, child.wait())
        .await
        .is_err()
    {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_follows_the_path() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let (variable, command) = target(&words("/app/x/ echo -n hi")).unwrap();
        assert_eq!(variable.path, "app/x");
        assert_eq!(command, ["echo", "-n", "hi"]);
        assert!(target(&words("/ echo")).is_err());
        assert!(target(&words("@none.json echo")).is_err());
    }
}
