//! A small HCL2 template language: literals, `${expression}`, `%{ if }`; names, indices, operators, conditionals, calls.

use serde_json::{Map, Value};

use super::TaskEnv;
use super::config::MAX_DEPTH;
use super::functions::call;
use super::value::{Operand, number, to_bool, to_number, to_text};

mod lexer;
mod parser;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Expr(Expr),
    If {
        condition: Expr,
        then: Template,
        otherwise: Template,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Literal(Value),
    Template(Template),
    /// `a.b["c"].0`: the first part is a name.
    Path(Vec<Step>),
    /// Something else with steps after it.
    Index(Box<Expr>, Vec<Step>),
    Call(String, Vec<Expr>),
    List(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Unary(char, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(Box<Expr>),
}

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parser::template(text)
    }

    /// A template of one expression keeps that expression's type, any other is text.
    pub(super) fn evaluate(&self, env: &TaskEnv) -> Result<Operand, String> {
        if let [Part::Expr(expr)] = self.parts.as_slice() {
            return expr.evaluate(env);
        }
        self.text(env).map(Operand::text)
    }

    fn text(&self, env: &TaskEnv) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(expr) => {
                    let value = expr.evaluate(env)?.into_value();
                    match to_text(&value) {
                        Some(text) => out.push_str(&text),
                        None => {
                            return Err(
                                "only strings, numbers and booleans can be put into text".into()
                            );
                        }
                    }
                }
                Part::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let branch = if condition.truth(env)? {
                        then
                    } else {
                        otherwise
                    };
                    out.push_str(&branch.text(env)?);
                }
            }
        }
        Ok(out)
    }
}

impl Expr {
    fn evaluate(&self, env: &TaskEnv) -> Result<Operand, String> {
        Ok(match self {
            Self::Literal(value) => Operand::Value(value.clone()),
            Self::Template(template) => template.evaluate(env)?,
            Self::Path(steps) => resolve(steps, env)?,
            Self::Index(base, steps) => {
                let mut value = base.evaluate(env)?.into_value();
                for step in steps {
                    value = index(value, step, env)?;
                }
                Operand::Value(value)
            }
            Self::Call(name, args) => {
                let args: Result<Vec<_>, _> = args.iter().map(|arg| arg.value(env)).collect();
                Operand::Value(call(name, args?)?)
            }
            Self::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| item.value(env)).collect();
                Operand::Value(Value::Array(items?))
            }
            Self::Object(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let key = to_text(&key.value(env)?).ok_or("a key must be a string")?;
                    map.insert(key, value.value(env)?);
                }
                Operand::Value(Value::Object(map))
            }
            Self::Unary('!', operand) => Operand::Value(Value::Bool(!operand.truth(env)?)),
            Self::Unary(_, operand) => Operand::Value(number(-operand.number(env)?)),
            Self::Binary(operator, left, right) => {
                Operand::Value(binary(operator, left, right, env)?)
            }
            Self::Conditional(condition, then, otherwise) => {
                if condition.truth(env)? {
                    then.evaluate(env)?
                } else {
                    otherwise.evaluate(env)?
                }
            }
        })
    }

    fn value(&self, env: &TaskEnv) -> Result<Value, String> {
        self.evaluate(env).map(Operand::into_value)
    }

    fn truth(&self, env: &TaskEnv) -> Result<bool, String> {
        to_bool(&self.value(env)?).ok_or_else(|| "a condition must be true or false".to_owned())
    }

    fn number(&self, env: &TaskEnv) -> Result<f64, String> {
        to_number(&self.value(env)?).ok_or_else(|| "a number is required".to_owned())
    }
}

fn binary(operator: &str, left: &Expr, right: &Expr, env: &TaskEnv) -> Result<Value, String> {
    Ok(match operator {
        "&&" => Value::Bool(left.truth(env)? && right.truth(env)?),
        "||" => Value::Bool(left.truth(env)? || right.truth(env)?),
        "==" | "!=" => {
            let equal = left.value(env)? == right.value(env)?;
            Value::Bool(equal == (operator == "=="))
        }
        _ => {
            let (a, b) = (left.number(env)?, right.number(env)?);
            match operator {
                "<" => Value::Bool(a < b),
                "<=" => Value::Bool(a <= b),
                ">" => Value::Bool(a > b),
                ">=" => Value::Bool(a >= b),
                "+" => number(a + b),
                "-" => number(a - b),
                "*" => number(a * b),
                "/" | "%" if b == 0.0 => return Err("division by zero".to_owned()),
                "/" => number(a / b),
                _ => number(a % b),
            }
        }
    })
}

/// The value that a path of names stands for: the longest prefix that is known, then indices into it.
fn resolve(steps: &[Step], env: &TaskEnv) -> Result<Operand, String> {
    let mut names = Vec::with_capacity(steps.len());
    for step in steps {
        names.push(match step {
            Step::Name(name) => name.clone(),
            Step::Index(expr) => to_text(&expr.value(env)?)
                .ok_or_else(|| "an index must be a string or a number".to_owned())?,
        });
    }
    let full = names.join(".");
    // `env` is the map of all variables.
    if names[0] == "env" && names.len() > 1 {
        let key = names[1..].join(".");
        return match env.vars.get(&key) {
            Some(value) => Ok(Operand::text(value)),
            None => Err(format!("this task has no environment variable \"{key}\"")),
        };
    }
    if let Some(value) = env.get(&full) {
        return Ok(Operand::text(value));
    }
    let below: std::collections::BTreeMap<String, String> = match names[0].as_str() {
        "env" => env.vars.clone(),
        "attr" => under(&env.node.attributes, &names[1..]),
        "meta" => under(&env.node.meta, &names[1..]),
        "secret" => under(&env.secrets, &names[1..]),
        _ => std::collections::BTreeMap::new(),
    };
    if !below.is_empty() {
        return Ok(Operand::Object(below));
    }
    match names[0].as_str() {
        "env" | "attr" | "meta" | "secret" | "node" => {
            Err(format!("\"{full}\" is not known on this node"))
        }
        _ => Err(format!(
            "unknown variable \"{full}\": it is no environment variable of this task"
        )),
    }
}

fn under(
    map: &std::collections::BTreeMap<String, String>,
    prefix: &[String],
) -> std::collections::BTreeMap<String, String> {
    if prefix.is_empty() {
        return map.clone();
    }
    let prefix = format!("{}.", prefix.join("."));
    map.iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
        .collect()
}

fn index(value: Value, step: &Step, env: &TaskEnv) -> Result<Value, String> {
    let key = match step {
        Step::Name(name) => Value::String(name.clone()),
        Step::Index(expr) => expr.value(env)?,
    };
    match value {
        Value::Array(mut list) => {
            let at = to_number(&key).filter(|n| *n >= 0.0 && *n < list.len() as f64);
            match at {
                Some(at) => Ok(list.swap_remove(at as usize)),
                None => Err(format!("there is no element {key} in the list")),
            }
        }
        Value::Object(mut map) => to_text(&key)
            .and_then(|key| map.remove(&key))
            .ok_or_else(|| format!("there is no key {key} in the map")),
        _ => Err("only lists and maps have elements".to_owned()),
    }
}
