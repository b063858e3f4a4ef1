//! Running an agent from its command line: configuration, banner, signals.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::banner::{self, Shown};
use crate::build::Agent;
use crate::config::{Config, Flags, Problem, parse_flags};
use crate::telemetry::logs;

/// How long a graceful leave may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `nomad agent` with the arguments after `agent`; gives the exit code.
///
/// # Errors
/// The agent cannot start. Mistakes in the configuration are printed, and give exit code 1.
pub fn run(args: &[String]) -> anyhow::Result<i32> {
    let loaded = parse_flags(args).and_then(|flags| Ok((Config::load(&flags)?, flags)));
    let ((config, warnings), flags) = match loaded {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain(&problems);
            return Ok(1);
        }
    };
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start runtime")?;
    runtime.block_on(agent(config, warnings, flags))
}

fn complain(problems: &[Problem]) {
    let mut out = std::io::stderr().lock();
    for problem in problems {
        // Nobody is left to tell if even this cannot be written.
        let _ = writeln!(out, "==> {problem}");
    }
}

/// Every running task holds a few descriptors open.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Without it fewer tasks fit; the agent works all the same.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Reads the files again and takes over what can change while the agent runs: the level of the log. One that cannot
/// be read changes nothing.
fn reload(flags: &Flags) {
    match Config::load(flags) {
        Ok((config, _)) => {
            logs::set_level(&config.log_level);
            tracing::info!(log_level = config.log_level, "configuration reloaded");
        }
        Err(problems) => {
            for problem in problems {
                tracing::error!(%problem, "configuration is not reloaded");
            }
        }
    }
}

async fn agent(config: Config, warnings: Vec<String>, flags: Flags) -> anyhow::Result<i32> {
    // Handlers first: a signal during the start must not kill what has just been started.
    let mut interrupt = signal(SignalKind::interrupt()).context("handle SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("handle SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("handle SIGHUP")?;
    let config = Arc::new(config);
    for warning in &warnings {
        banner::print(&[format!("==> {warning}")]);
    }
    logs::start(&config)?;
    let mut agent = Agent::start(Arc::clone(&config)).await?;
    let shown = |addresses: &crate::backend::Addresses| Shown {
        http: addresses.http.clone(),
        rpc: addresses.rpc.clone(),
        serf: addresses.serf.clone(),
    };
    let id = agent.id();
    banner::print(&banner::lines(
        &config,
        &shown(&agent.bind),
        &shown(&agent.advertise),
        id.as_deref(),
    ));
    let (name, graceful) = loop {
        tokio::select! {
            _ = interrupt.recv() => break ("interrupt", config.leave_on_interrupt),
            _ = terminate.recv() => break ("terminated", config.leave_on_terminate),
            reason = agent.failed() => {
                tracing::error!(reason, "the agent cannot go on");
                banner::print(&[format!("==> {reason}")]);
                agent.stop().await;
                return Ok(1);
            }
            _ = hangup.recv() => {
                banner::print(&["==> Caught signal: hangup".to_owned(), "==> Reloading configuration...".to_owned()]);
                reload(&flags);
            }
        }
    };
    banner::print(&[format!("==> Caught signal: {name}")]);
    if graceful {
        banner::print(&["==> Gracefully shutting down agent...".to_owned()]);
    }
    let going = async {
        if graceful {
            agent.leave().await;
        }
        agent.stop().await;
    };
    tokio::select! {
        stopped = tokio::time::timeout(LEAVE_TIMEOUT, going) => {
            Ok(i32::from(!graceful || stopped.is_err()))
        }
        _ = interrupt.recv() => Ok(1),
        _ = terminate.recv() => Ok(1),
    }
}
