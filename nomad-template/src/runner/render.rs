//! One rendering of some templates of a task: with one view of the data, written where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::time::{Clock, Nanos};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::env_file::{MAX_ENV_BYTES, parse_env_file};
use super::machine::Outcome;
use super::shell::RunnerConfig;
use super::spec::TaskTemplate;
use crate::data::{Answer, DataSource, InterfaceAddr, Query};
use crate::engine::{RenderInput, Source};
use crate::limits::Limits;
use crate::sandbox::{Ownership, Sandbox, SandboxError};
use crate::watch::{Subscription, WatchHub, WatchKey};

/// What a rendering came to.
pub(super) struct Batch {
    pub(super) outcomes: BTreeMap<usize, Outcome>,
    /// The variables of all `env` templates, if any of them was rendered.
    pub(super) env: Option<BTreeMap<String, String>>,
}

impl Batch {
    /// All of them failed, for a reason outside them.
    pub(super) fn failed(templates: &BTreeSet<usize>, reason: &str) -> Self {
        let failed = |i: &usize| (*i, Outcome::Failed(reason.to_owned()));
        Self {
            outcomes: templates.iter().map(failed).collect(),
            env: None,
        }
    }
}

/// What is needed to render the templates of a task.
pub(super) struct Renderer {
    templates: Vec<TaskTemplate>,
    sandbox: Arc<Sandbox>,
    env: Arc<BTreeMap<String, String>>,
    limits: Limits,
    interfaces: Arc<[InterfaceAddr]>,
    seed: u64,
    clock: Arc<dyn Clock>,
    denied: Arc<[String]>,
    view: Arc<View>,
    /// Variables of each `env` template as last rendered.
    vars: Mutex<BTreeMap<usize, BTreeMap<String, String>>>,
}

/// The queries of a runner and what it has seen of them.
struct View {
    hub: WatchHub,
    namespace: Arc<str>,
    changed: Arc<Notify>,
    state: Mutex<ViewState>,
}

struct ViewState {
    token: Arc<str>,
    watched: BTreeMap<Query, Watched>,
    /// Queries of each template at its last rendering.
    used: Vec<BTreeSet<Query>>,
}

struct Watched {
    subscription: Subscription,
    /// Version of the answer that was rendered or reported last.
    seen: u64,
}

/// The data of one rendering: asked once, so that all its templates see the same.
struct Pass {
    view: Arc<View>,
    answers: Mutex<BTreeMap<Query, Answer>>,
}

impl DataSource for Pass {
    fn query(&self, query: &Query) -> Answer {
        let mut answers = self.answers.lock();
        if let Some(known) = answers.get(query) {
            return known.clone();
        }
        let answer = self.view.ask(query);
        answers.insert(query.clone(), answer.clone());
        answer
    }
}

impl View {
    fn ask(&self, query: &Query) -> Answer {
        let mut state = self.state.lock();
        let token = Arc::clone(&state.token);
        let watched = state.watched.entry(query.clone()).or_insert_with(|| {
            let key = WatchKey {
                query: self.in_namespace(query),
                token,
            };
            Watched {
                subscription: self.hub.subscribe(key, Arc::clone(&self.changed)),
                seen: 0,
            }
        });
        let (answer, version) = watched.subscription.answer();
        watched.seen = version;
        answer
    }

    fn in_namespace(&self, query: &Query) -> Query {
        let mut query = query.clone();
        match &mut query {
            Query::Variable { namespace, .. } | Query::Variables { namespace, .. } => {
                namespace.get_or_insert_with(|| self.namespace.to_string());
            }
            _ => {}
        }
        query
    }
}

impl Renderer {
    pub(super) fn new(config: RunnerConfig, hub: WatchHub, changed: Arc<Notify>) -> Self {
        let count = config.templates.len();
        Self {
            sandbox: Arc::new(config.sandbox),
            env: config.env,
            limits: config.limits,
            interfaces: config.interfaces,
            seed: config.seed,
            clock: config.clock,
            denied: hub.settings().function_denylist.clone().into(),
            view: Arc::new(View {
                hub,
                namespace: config.namespace,
                changed,
                state: Mutex::new(ViewState {
                    token: config.token,
                    watched: BTreeMap::new(),
                    used: vec![BTreeSet::new(); count],
                }),
            }),
            templates: config.templates,
            vars: Mutex::default(),
        }
    }

    /// From now on asks with another token: what was watched is watched anew.
    pub(super) fn set_token(&self, token: Arc<str>) {
        let old = {
            let mut state = self.view.state.lock();
            state.token = token;
            std::mem::take(&mut state.watched)
        };
        drop(old);
    }

    /// The templates whose data has changed since it was last rendered or reported here.
    pub(super) fn changed_templates(&self) -> BTreeSet<usize> {
        let mut state = self.view.state.lock();
        let ViewState { watched, used, .. } = &mut *state;
        let mut changed = BTreeSet::new();
        for (query, watched) in watched.iter_mut() {
            let version = watched.subscription.version();
            if version != watched.seen {
                watched.seen = version;
                let users = used
                    .iter()
                    .enumerate()
                    .filter(|(_, used)| used.contains(query));
                changed.extend(users.map(|(i, _)| i));
            }
        }
        changed
    }

    /// Ends the interest in queries that no template uses any more. Those that were just rendered
    /// for good (`complete`, and not `watched` further) use none.
    pub(super) fn forget_unused(
        &self,
        complete: &BTreeSet<usize>,
        watched: impl Fn(usize) -> bool,
    ) {
        let unused = {
            let mut state = self.view.state.lock();
            for i in complete.iter().filter(|i| !watched(**i)) {
                state.used[*i].clear();
            }
            let ViewState { watched, used, .. } = &mut *state;
            let in_use = |query: &Query| used.iter().any(|used| used.contains(query));
            let (kept, unused) = std::mem::take(watched)
                .into_iter()
                .partition(|(q, _)| in_use(q));
            *watched = kept;
            let unused: BTreeMap<Query, Watched> = unused;
            unused
        };
        drop(unused);
    }

    /// Renders these templates and writes what is complete. Blocks.
    pub(super) fn render(&self, templates: &BTreeSet<usize>) -> Batch {
        let pass = Arc::new(Pass {
            view: Arc::clone(&self.view),
            answers: Mutex::default(),
        });
        let mut outcomes = BTreeMap::new();
        let mut env_changed = false;
        for i in templates {
            let template = &self.templates[*i];
            let outcome = self
                .render_one(*i, template, &pass)
                .unwrap_or_else(Outcome::Failed);
            let complete = matches!(outcome, Outcome::Changed | Outcome::Unchanged);
            env_changed |= template.env && complete;
            let failed = matches!(outcome, Outcome::Failed(_));
            outcomes.insert(*i, outcome);
            if failed {
                break;
            }
        }
        let env = match env_changed.then(|| self.environment()) {
            Some(Ok(env)) => Some(env),
            Some(Err((i, reason))) => {
                outcomes.insert(i, Outcome::Failed(reason));
                None
            }
            None => None,
        };
        Batch { outcomes, env }
    }

    fn render_one(
        &self,
        i: usize,
        template: &TaskTemplate,
        pass: &Arc<Pass>,
    ) -> Result<Outcome, String> {
        let text = if template.source.is_empty() {
            template.data.clone()
        } else {
            let bytes = self
                .sandbox
                .read_file(&template.source, false)
                .map_err(told)?;
            String::from_utf8(bytes).map_err(|_| format!("{}: not UTF-8", template.source))?
        };
        let source = Source {
            name: template.destination.clone(),
            text,
            left_delimiter: template.left_delimiter.clone(),
            right_delimiter: template.right_delimiter.clone(),
            error_on_missing_key: template.error_on_missing_key,
        };
        // Compiled anew each time: that takes microseconds, kept trees would take memory.
        let engine = template.engine.engine();
        let compiled = engine
            .compile(&source, &self.limits)
            .map_err(|error| error.to_string())?;
        drop(source);
        let now = self.clock.now();
        let (clock, limit) = (Arc::clone(&self.clock), self.limits.max_time_ms);
        let limit = Nanos(i64::try_from(limit.saturating_mul(1_000_000)).unwrap_or(i64::MAX));
        let input = RenderInput {
            env: Arc::clone(&self.env),
            data: Arc::clone(pass) as Arc<dyn DataSource>,
            files: Arc::clone(&self.sandbox) as _,
            interfaces: Arc::clone(&self.interfaces),
            now_ns: now.0,
            seed: self.seed ^ now.0.cast_unsigned() ^ (i as u64).rotate_left(32),
            denied: Arc::clone(&self.denied),
            limits: self.limits,
            strict: false,
            expired: Arc::new(move || clock.now().since(now) > limit),
        };
        let rendered = compiled.render(&input).map_err(|error| error.to_string())?;
        self.view.state.lock().used[i] = rendered.used;
        if !rendered.missing.is_empty() {
            if let Some(problem) = &rendered.problem {
                tracing::debug!(template = %template.destination, problem, "waiting for data");
            }
            return Ok(Outcome::Waits(
                rendered.missing.iter().map(ToString::to_string).collect(),
            ));
        }
        if template.env {
            let vars = variables(&rendered.output, &template.destination)?;
            self.vars.lock().insert(i, vars);
        }
        let ownership = Ownership {
            mode: template.perms,
            uid: template.uid,
            gid: template.gid,
        };
        let changed = self
            .sandbox
            .write_file(&template.destination, &rendered.output, ownership)
            .map_err(told)?;
        Ok(if changed {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        })
    }

    /// The variables of all `env` templates, later ones over earlier ones. What has not been
    /// rendered since the agent started is read from its file.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, String>, (usize, String)> {
        let rendered = self.vars.lock().clone();
        let mut env = BTreeMap::new();
        for (i, template) in self.templates.iter().enumerate().filter(|(_, t)| t.env) {
            let vars = match rendered.get(&i) {
                Some(vars) => vars.clone(),
                None => match self.sandbox.read_file(&template.destination, true) {
                    Ok(bytes) => variables(&bytes, &template.destination).map_err(|e| (i, e))?,
                    Err(_) => continue,
                },
            };
            env.extend(vars);
        }
        Ok(env)
    }
}

fn variables(bytes: &[u8], destination: &str) -> Result<BTreeMap<String, String>, String> {
    if bytes.len() > MAX_ENV_BYTES {
        return Err(format!(
            "{destination}: an environment file is at most {MAX_ENV_BYTES} bytes long"
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{destination}: not UTF-8"))?;
    parse_env_file(text).map_err(|error| format!("{destination}: {error}"))
}

/// An error with its cause, for a task event.
fn told(error: SandboxError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
