//! A driver's configuration: every string is an HCL template over the task's environment.
//!
//! Source: job specification reference, sections 2.7 and 2.9.

use nomad_core::job::AnyMap;
use serde_json::Value;

use super::TaskEnv;
use super::expr::Template;
use super::value::{self, Operand};

/// Nesting of lists and maps, and of expressions, that is accepted.
pub(super) const MAX_DEPTH: usize = 64;

/// Something in a task's `config` cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigError {
    /// Where: `config.args[2]`.
    pub path: String,
    /// What is wrong, in words.
    pub message: String,
}

/// Evaluates a configuration.
///
/// # Errors
/// All mistakes at once, each with its place.
pub fn evaluate_config(config: &AnyMap, env: &TaskEnv) -> Result<AnyMap, Vec<ConfigError>> {
    let mut walk = Walk {
        env,
        errors: Vec::new(),
    };
    let out = walk.map(config, "config", 0);
    if walk.errors.is_empty() {
        Ok(out)
    } else {
        Err(walk.errors)
    }
}

struct Walk<'a> {
    env: &'a TaskEnv,
    errors: Vec<ConfigError>,
}

impl Walk<'_> {
    fn map(&mut self, map: &AnyMap, path: &str, depth: usize) -> AnyMap {
        map.iter()
            .map(|(key, value)| {
                let path = format!("{path}.{key}");
                let key = match self.text(key, &path) {
                    Some(Value::String(key)) => key,
                    Some(other) => value::to_text(&other).unwrap_or_else(|| key.clone()),
                    None => key.clone(),
                };
                (key, self.value(value, &path, depth + 1))
            })
            .collect()
    }

    fn value(&mut self, value: &Value, path: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            self.error(path, format!("is nested deeper than {MAX_DEPTH} levels"));
            return Value::Null;
        }
        match value {
            Value::String(text) => self.text(text, path).unwrap_or(Value::Null),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(index, value)| self.value(value, &format!("{path}[{index}]"), depth + 1))
                .collect(),
            Value::Object(map) => Value::Object(self.map(map, path, depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn text(&mut self, text: &str, path: &str) -> Option<Value> {
        if !text.contains("${") && !text.contains("%{") {
            return Some(Value::String(text.to_owned()));
        }
        let result = Template::parse(text).and_then(|template| template.evaluate(self.env));
        match result.map(Operand::into_value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(path, message);
                None
            }
        }
    }

    fn error(&mut self, path: &str, message: String) {
        self.errors.push(ConfigError {
            path: path.to_owned(),
            message,
        });
    }
}
