//! The template functions, shared by both engines: consul-template's, sprig's and Nomad's own.
//!
//! A function is a plain `fn` over a [`Call`]. The table of a module gives each its name and its
//! parameters, from which the number of arguments is checked here and named arguments are put in
//! order for Tera. Functions see the outside only through the call's [`Scope`].

mod args;
mod collections;
mod consul;
mod convert;
mod hash;
mod math;
mod nomad;
pub(crate) mod pattern;
mod scratch;
mod sockaddr;
mod spew;
mod sprig;
mod text;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::data::{Answer, Data, DataSource, FileSource, InterfaceAddr, Query};
use crate::limits::Limits;
use crate::value::{MAX_DEPTH, Value};

pub(crate) use nomad::VarItem;
pub(crate) use scratch::Scratch;
pub(crate) use sprig::is_not_repeatable;

/// Why a function failed, in a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FuncError(String);

impl FuncError {
    /// With this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A template function.
pub(crate) type Func = fn(&Call<'_>) -> Result<Value, FuncError>;

/// What the table of a module says of a function: name, parameters, code.
///
/// Parameters are separated by spaces; `name?` may be left out, `name*` takes any number.
pub(crate) type Entry = (&'static str, &'static str, Func);

/// A function as the engines see it.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) params: Vec<Param>,
    func: Func,
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) optional: bool,
    pub(crate) many: bool,
}

impl Spec {
    /// Fewest and most arguments.
    fn arity(&self) -> (usize, usize) {
        let least = self
            .params
            .iter()
            .filter(|p| !p.optional && !p.many)
            .count();
        let most = if self.params.iter().any(|p| p.many) {
            usize::MAX
        } else {
            self.params.len()
        };
        (least, most)
    }
}

static TABLE: LazyLock<BTreeMap<&'static str, Spec>> = LazyLock::new(|| {
    let mut table = BTreeMap::new();
    let tables: [&[Entry]; 11] = [
        text::TABLE,
        math::TABLE,
        convert::TABLE,
        collections::TABLE,
        hash::TABLE,
        time::TABLE,
        nomad::TABLE,
        consul::TABLE,
        scratch::TABLE,
        sockaddr::TABLE,
        spew::TABLE,
    ];
    let sprig = sprig::tables();
    for (name, params, func) in tables.iter().chain(&sprig).flat_map(|table| table.iter()) {
        let params = params
            .split_whitespace()
            .map(|param| Param {
                name: param.trim_end_matches(['?', '*']),
                optional: param.ends_with('?'),
                many: param.ends_with('*'),
            })
            .collect();
        let spec = Spec {
            name,
            params,
            func: *func,
        };
        table.insert(*name, spec);
    }
    table
});

/// The function `name`, if there is one.
pub(crate) fn find(name: &str) -> Option<&'static Spec> {
    TABLE.get(name)
}

/// Names of all functions, for messages and documentation.
pub fn names() -> Vec<&'static str> {
    // Names with a dot belong to the language inside `sockaddr`.
    TABLE
        .keys()
        .copied()
        .filter(|name| !name.contains('.'))
        .collect()
}

/// What a rendering may use and what it has used so far.
pub(crate) struct Scope {
    pub(crate) env: Arc<BTreeMap<String, String>>,
    pub(crate) data: Arc<dyn DataSource>,
    pub(crate) files: Arc<dyn FileSource>,
    pub(crate) interfaces: Arc<[InterfaceAddr]>,
    pub(crate) now_ns: i64,
    pub(crate) denied: Arc<[String]>,
    pub(crate) limits: Limits,
    /// Whether a Variable's item counts as a string only where the reference lets it.
    pub(crate) strict_items: bool,
    state: Mutex<State>,
}

struct State {
    used: BTreeSet<Query>,
    missing: BTreeSet<Query>,
    scratch: Arc<Scratch>,
    random: u64,
    made_bytes: usize,
    calls: u64,
    expired: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What a scope is made from.
pub(crate) struct ScopeParts {
    pub(crate) env: Arc<BTreeMap<String, String>>,
    pub(crate) data: Arc<dyn DataSource>,
    pub(crate) files: Arc<dyn FileSource>,
    pub(crate) interfaces: Arc<[InterfaceAddr]>,
    pub(crate) now_ns: i64,
    pub(crate) seed: u64,
    pub(crate) denied: Arc<[String]>,
    pub(crate) limits: Limits,
    pub(crate) strict_items: bool,
    pub(crate) expired: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Calls and loop turns between two looks at the clock.
const CLOCK_EVERY: u64 = 256;

impl Scope {
    pub(crate) fn new(parts: ScopeParts) -> Self {
        Self {
            env: parts.env,
            data: parts.data,
            files: parts.files,
            interfaces: parts.interfaces,
            now_ns: parts.now_ns,
            denied: parts.denied,
            limits: parts.limits,
            strict_items: parts.strict_items,
            state: Mutex::new(State {
                used: BTreeSet::new(),
                missing: BTreeSet::new(),
                scratch: Arc::default(),
                random: parts.seed,
                made_bytes: 0,
                calls: 0,
                expired: parts.expired,
            }),
        }
    }

    /// Asks the data source, noting the query.
    pub(crate) fn query(&self, query: Query) -> Result<Option<Arc<Data>>, FuncError> {
        let answer = self.data.query(&query);
        let mut state = self.state.lock();
        state.used.insert(query.clone());
        match answer {
            Answer::Ready(data) => Ok(Some(data)),
            Answer::Failed(text) => Err(FuncError(text)),
            Answer::Pending => {
                state.missing.insert(query);
                Ok(None)
            }
        }
    }

    /// Notes that rendering cannot be complete without more than `query` has answered.
    pub(crate) fn waits_for(&self, query: Query) {
        self.state.lock().missing.insert(query);
    }

    /// The queries made, and those among them that rendering waits for.
    pub(crate) fn queries(&self) -> (BTreeSet<Query>, BTreeSet<Query>) {
        let state = self.state.lock();
        (state.used.clone(), state.missing.clone())
    }

    pub(crate) fn scratch(&self) -> Arc<Scratch> {
        Arc::clone(&self.state.lock().scratch)
    }

    /// The next number of the seeded stream (splitmix64).
    pub(crate) fn random(&self) -> u64 {
        let mut state = self.state.lock();
        state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Counts one turn of a loop or one call; fails when there were too many or time is up.
    pub(crate) fn tick(&self) -> Result<(), FuncError> {
        let expired = {
            let mut state = self.state.lock();
            state.calls += 1;
            if state.calls > self.limits.max_steps {
                return Err(FuncError(format!(
                    "the template takes more than {} steps",
                    self.limits.max_steps
                )));
            }
            if !state.calls.is_multiple_of(CLOCK_EVERY) {
                return Ok(());
            }
            Arc::clone(&state.expired)
        };
        if expired() {
            return Err(FuncError(format!(
                "the template takes longer than {} ms",
                self.limits.max_time_ms
            )));
        }
        Ok(())
    }

    /// Counts a value that was made; fails if it or all together are too large.
    pub(crate) fn made(&self, value: &Value) -> Result<(), FuncError> {
        let bytes = value.own_bytes();
        if bytes > self.limits.max_value_bytes {
            return Err(FuncError(format!(
                "a value is larger than {} bytes",
                self.limits.max_value_bytes
            )));
        }
        if value.depth() > MAX_DEPTH {
            return Err(FuncError(format!("a value nests deeper than {MAX_DEPTH}")));
        }
        let mut state = self.state.lock();
        state.made_bytes = state.made_bytes.saturating_add(bytes);
        if state.made_bytes > self.limits.max_total_bytes {
            return Err(FuncError(format!(
                "the template makes more than {} bytes of values",
                self.limits.max_total_bytes
            )));
        }
        Ok(())
    }

    /// Whether the function may not be called.
    fn denies(&self, name: &str) -> bool {
        self.denied.iter().any(|glob| pattern::glob(glob, name))
    }
}

/// One call of a function.
pub(crate) struct Call<'a> {
    /// Name it was called by.
    pub(crate) name: &'static str,
    pub(crate) args: &'a [Value],
    pub(crate) scope: &'a Scope,
}

/// Calls `spec` with `args`, within the limits of `scope`.
///
/// # Errors
/// The function is denied, the number of arguments is wrong, it fails, or a limit is reached.
pub(crate) fn call(spec: &'static Spec, args: &[Value], scope: &Scope) -> Result<Value, FuncError> {
    scope.tick()?;
    if scope.denies(spec.name) {
        return Err(FuncError(format!("function {} is disabled", spec.name)));
    }
    let (least, most) = spec.arity();
    if args.len() < least || args.len() > most {
        let want = if least == most {
            least.to_string()
        } else {
            format!("at least {least}")
        };
        return Err(FuncError(format!(
            "wrong number of args for {}: want {want} got {}",
            spec.name,
            args.len()
        )));
    }
    let call = Call {
        name: spec.name,
        args,
        scope,
    };
    let value = (spec.func)(&call).map_err(|error| {
        if error.0.starts_with(spec.name) {
            error
        } else {
            FuncError(format!("{}: {}", spec.name, error.0))
        }
    })?;
    scope.made(&value)?;
    Ok(value)
}
