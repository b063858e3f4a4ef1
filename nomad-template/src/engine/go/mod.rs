//! Go's text/template: `gotmpl` reads the syntax, the evaluation is here.
//!
//! gotmpl's own evaluator has no methods (`.Metadata.Path`, `scratch.Set "k" 1`), no types beyond
//! JSON's and no bound on time, output or memory, all of which Nomad's templates need.

mod builtins;
mod check;
mod eval;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gotmpl::parse::{ListNode, Node, Parser, TextNode, is_empty_tree};

use super::{
    Compiled, Engine, PANICKED, RenderInput, Rendered, Source, TemplateError, conclude,
    on_large_stack,
};
use crate::functions::{FuncError, Scope};
use crate::limits::Limits;
use crate::value::Value;

use eval::Evaluator;

/// The engine of Go templates.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoEngine;

/// Most `else if` and `else with` of one template: the parser recurses for each.
const MAX_ELSE_CHAIN: usize = 400;

/// Stands behind the source while it is parsed; the parser stops early at a stray `end`, and this shows it.
const SENTINEL: &str = "\u{e000}end of template\u{e001}";

/// A parsed template with the templates it defines.
#[derive(Debug)]
struct GoTemplate {
    name: String,
    root: ListNode,
    defines: BTreeMap<String, ListNode>,
    error_on_missing_key: bool,
}

impl Engine for GoEngine {
    fn compile(
        &self,
        source: &Source,
        limits: &Limits,
    ) -> Result<Arc<dyn Compiled>, TemplateError> {
        on_large_stack(&source.name, || {
            Ok(Arc::new(parse(source, limits, "")?) as Arc<dyn Compiled>)
        })
    }
}

fn parse(source: &Source, limits: &Limits, prefix: &str) -> Result<GoTemplate, TemplateError> {
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
    let left = or_default(&source.left_delimiter, "{{");
    let right = or_default(&source.right_delimiter, "}}");
    if else_chains(&source.text, left) > MAX_ELSE_CHAIN {
        return Err(wrong(format!(
            "more than {MAX_ELSE_CHAIN} else-if branches"
        )));
    }
    let text = format!("{}{SENTINEL}", source.text);
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        Parser::new(&text, left, right)?.parse()
    }));
    let (mut root, defines) = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => return Err(wrong(error.to_string())),
        Err(_) => return Err(wrong(PANICKED.to_owned())),
    };
    if !take_sentinel(&mut root) {
        return Err(wrong(
            "an {{end}} or {{else}} without a block, or a block without its {{end}}".to_owned(),
        ));
    }
    let mut named = BTreeMap::new();
    for define in defines {
        let empty = define.body.nodes.iter().all(is_empty_tree);
        let known: Option<&ListNode> = named.get(define.name.as_str());
        match known {
            Some(_) if empty => {}
            Some(known) if !known.nodes.iter().all(is_empty_tree) => {
                return Err(wrong(format!(
                    "multiple definition of template {:?}",
                    define.name
                )));
            }
            _ => {
                named.insert(define.name.to_string(), define.body);
            }
        }
    }
    let template = GoTemplate {
        name: source.name.clone(),
        root,
        defines: named,
        error_on_missing_key: source.error_on_missing_key,
    };
    let problems = check::check(&template.root, template.defines.values(), prefix);
    if problems.is_empty() {
        Ok(template)
    } else {
        Err(wrong(problems.join("; ")))
    }
}

fn or_default<'s>(delimiter: &'s str, default: &'s str) -> &'s str {
    if delimiter.is_empty() {
        default
    } else {
        delimiter
    }
}

/// How often `else if` or `else with` may stand behind a left delimiter.
fn else_chains(text: &str, left: &str) -> usize {
    text.split(left)
        .skip(1)
        .filter(|action| {
            let action = action.trim_start_matches('-').trim_start();
            action.strip_prefix("else").is_some_and(|rest| {
                let rest = rest.trim_start();
                rest.starts_with("if") || rest.starts_with("with")
            })
        })
        .count()
}

/// Takes the sentinel off the end of the top-level list. False if it is not there.
fn take_sentinel(root: &mut ListNode) -> bool {
    let Some(Node::Text(last)) = root.nodes.last() else {
        return false;
    };
    let Some(text) = last.text.strip_suffix(SENTINEL) else {
        return false;
    };
    let text = TextNode {
        pos: last.pos,
        text: Arc::from(text),
    };
    root.nodes.pop();
    if !text.text.is_empty() {
        root.nodes.push(Node::Text(text));
    }
    true
}

impl Compiled for GoTemplate {
    fn render(&self, input: &RenderInput) -> Result<Rendered, TemplateError> {
        let scope = input.scope();
        let result = on_large_stack(&self.name, || self.execute(&scope, ""));
        conclude(&scope, result)
    }
}

impl GoTemplate {
    fn execute(&self, scope: &Scope, prefix: &str) -> Result<Vec<u8>, TemplateError> {
        let mut evaluator = Evaluator::new(scope, &self.defines, self.error_on_missing_key, prefix);
        evaluator
            .run(&self.root, &Value::Nil)
            .map_err(|failure| TemplateError::Exec {
                name: self.name.clone(),
                line: failure.line,
                message: failure.message,
            })
    }
}

/// Evaluates one pipeline with the functions whose names begin with `prefix`, as text.
///
/// # Errors
/// It does not parse, or fails.
pub(crate) fn evaluate_pipeline(
    pipeline: &str,
    scope: &Scope,
    prefix: &str,
) -> Result<String, FuncError> {
    let text = if pipeline.contains("{{") {
        pipeline.to_owned()
    } else {
        format!("{{{{{pipeline}}}}}")
    };
    let source = Source::new("expression", text);
    let fail = |error: TemplateError| FuncError::new(error.to_string());
    let template = parse(&source, &scope.limits, prefix).map_err(fail)?;
    let output = template.execute(scope, prefix).map_err(fail)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests;
