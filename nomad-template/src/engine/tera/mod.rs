//! Tera: `engine = "tera"` in a template block, with the same functions as Go templates.
//!
//! Functions take their parameters by name (`nomadVar(path="nomad/jobs/web")`), and every function
//! with a parameter is a filter too: the value before the bar becomes the one parameter that is not
//! named (`x | toJSON`, `x | split(sep=",")`). Where Tera has a filter or function of the name, that
//! one is used, but for `get_env`, which reads the task's environment. Nothing is escaped.
//!
//! Tera has no bounds of its own; `guard` builds them into the parsed template.

mod guard;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use tera::{Context, Template, Tera};

use super::{
    Compiled, Engine, RenderInput, Rendered, Source, TemplateError, conclude, on_large_stack,
};
use crate::functions::{self, Scope, Spec};
use crate::limits::Limits;
use crate::value::Value;
use crate::value::encode::json::{from_tera, to_serde};

/// The engine of Tera templates.
#[derive(Debug, Clone, Copy, Default)]
pub struct TeraEngine;

struct TeraTemplate {
    name: String,
    template: Template,
    functions: Vec<&'static Spec>,
    filters: Vec<&'static Spec>,
}

impl Engine for TeraEngine {
    fn compile(
        &self,
        source: &Source,
        limits: &Limits,
    ) -> Result<Arc<dyn Compiled>, TemplateError> {
        if source.text.len() > limits.max_source_bytes {
            return Err(TemplateError::TooLong {
                name: source.name.clone(),
                limit: limits.max_source_bytes,
            });
        }
        let wrong = |message: String| TemplateError::Parse {
            name: source.name.clone(),
            message,
        };
        guard::check_text(&source.text).map_err(wrong)?;
        on_large_stack(&source.name, || {
            let template = Template::new(&source.name, None, &source.text)
                .map_err(|error| wrong(chain(&error)))?;
            let guarded = guard::guard(template).map_err(|problems| wrong(problems.join("; ")))?;
            Ok(Arc::new(TeraTemplate {
                name: source.name.clone(),
                template: guarded.template,
                functions: guarded.functions,
                filters: guarded.filters,
            }) as Arc<dyn Compiled>)
        })
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Compiled for TeraTemplate {
    fn render(&self, input: &RenderInput) -> Result<Rendered, TemplateError> {
        let scope = input.scope();
        let result = on_large_stack(&self.name, || {
            self.execute(&scope).map_err(|message| TemplateError::Exec {
                name: self.name.clone(),
                line: 0,
                message,
            })
        });
        conclude(&scope, result)
    }
}

impl TeraTemplate {
    fn execute(&self, scope: &Arc<Scope>) -> Result<Vec<u8>, String> {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::new());
        tera.templates
            .insert(self.name.clone(), self.template.clone());
        tera.build_inheritance_chains()
            .map_err(|error| chain(&error))?;
        guard::register(&mut tera, scope);
        for spec in &self.functions {
            tera.register_function(spec.name, Bridge::new(spec, scope));
        }
        for spec in &self.filters {
            tera.register_filter(spec.name, Bridge::new(spec, scope));
        }
        let mut output = Bounded {
            bytes: Vec::new(),
            limit: scope.limits.max_output_bytes,
        };
        tera.render_to(&self.name, &Context::new(), &mut output)
            .map_err(|error| chain(&error))?;
        Ok(output.bytes)
    }
}

/// Output that refuses to grow beyond a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(std::io::Error::other(format!(
                "the output is longer than {} bytes",
                self.limit
            )));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A function of ours as one of Tera's.
struct Bridge {
    spec: &'static Spec,
    scope: Arc<Scope>,
}

type Named = HashMap<String, tera::Value>;

impl Bridge {
    fn new(spec: &'static Spec, scope: &Arc<Scope>) -> Self {
        Self {
            spec,
            scope: Arc::clone(scope),
        }
    }

    fn run(&self, named: &Named, piped: Option<&tera::Value>) -> tera::Result<tera::Value> {
        let args = self.positional(named, piped).map_err(tera::Error::msg)?;
        let value = functions::call(self.spec, &args, &self.scope).map_err(tera::Error::msg)?;
        if let Value::Obj(object) = &value
            && let Some((from, to)) = object.int_range()
        {
            if to.saturating_sub(from) > guard::MAX_RANGE {
                return Err(tera::Error::msg(format!(
                    "more than {} turns",
                    guard::MAX_RANGE
                )));
            }
            return Ok((from..to).collect());
        }
        Ok(to_serde(&value))
    }

    /// Puts named arguments in order; what was piped in is the last parameter that is not named.
    fn positional(&self, named: &Named, piped: Option<&tera::Value>) -> Result<Vec<Value>, String> {
        let params = &self.spec.params;
        if let Some(unknown) = named
            .keys()
            .find(|key| params.iter().all(|p| p.name != *key))
        {
            let names: Vec<&str> = params.iter().map(|p| p.name).collect();
            return Err(format!(
                "{} has no parameter {unknown:?}; it has: {}",
                self.spec.name,
                names.join(", ")
            ));
        }
        let free: Vec<usize> = (0..params.len())
            .filter(|i| !named.contains_key(params[*i].name))
            .collect();
        let required = free
            .iter()
            .rev()
            .find(|i| !params[**i].optional && !params[**i].many);
        let place = piped.and_then(|_| required.or(free.last())).copied();
        if piped.is_some() && place.is_none() {
            return Err(format!("{} takes no value from a pipe", self.spec.name));
        }
        let mut args = Vec::new();
        for (i, param) in params.iter().enumerate() {
            let given = if place == Some(i) {
                piped
            } else {
                named.get(param.name)
            };
            match given {
                Some(tera::Value::Array(items)) if param.many => {
                    args.extend(items.iter().map(from_tera));
                }
                Some(value) => args.push(from_tera(value)),
                None if param.optional || param.many => {}
                None => return Err(format!("{} needs {}", self.spec.name, param.name)),
            }
        }
        Ok(args)
    }
}

impl tera::Function for Bridge {
    fn call(&self, args: &Named) -> tera::Result<tera::Value> {
        self.run(args, None)
    }
}

impl tera::Filter for Bridge {
    fn filter(&self, value: &tera::Value, args: &Named) -> tera::Result<tera::Value> {
        self.run(args, Some(value))
    }
}

#[cfg(test)]
mod tests;
