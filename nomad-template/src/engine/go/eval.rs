//! The evaluation of a parsed Go template, within bounds.

use std::collections::BTreeMap;

use gotmpl::parse::{
    BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, SmolStr, TemplateNode,
};

use super::builtins;
use crate::functions::{self, FuncError, Scope};
use crate::value::{Value, fmt};

/// Why an execution stopped.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) line: usize,
    pub(super) message: String,
}

/// What ends the walk over a list early.
enum Stop {
    Failed(Box<Failure>),
    Break,
    Continue,
}

impl From<FuncError> for Stop {
    fn from(error: FuncError) -> Self {
        Self::Failed(Box::new(Failure {
            line: 0,
            message: error.to_string(),
        }))
    }
}

type Walk<T> = Result<T, Stop>;

fn fail<T>(message: impl Into<String>) -> Walk<T> {
    Err(FuncError::new(message).into())
}

pub(super) struct Evaluator<'t> {
    scope: &'t Scope,
    defines: &'t BTreeMap<String, ListNode>,
    error_on_missing_key: bool,
    prefix: &'t str,
    vars: Vec<(SmolStr, Value)>,
    depth: usize,
    output: Vec<u8>,
}

/// Functions that in Go change their first argument in place.
fn writes_back(name: &str) -> bool {
    matches!(
        name,
        "sprig_set"
            | "sprig_unset"
            | "sprig_merge"
            | "sprig_mustMerge"
            | "sprig_mergeOverwrite"
            | "sprig_mustMergeOverwrite"
    )
}

impl<'t> Evaluator<'t> {
    pub(super) fn new(
        scope: &'t Scope,
        defines: &'t BTreeMap<String, ListNode>,
        error_on_missing_key: bool,
        prefix: &'t str,
    ) -> Self {
        Self {
            scope,
            defines,
            error_on_missing_key,
            prefix,
            vars: Vec::new(),
            depth: 0,
            output: Vec::new(),
        }
    }

    /// Executes the template on `dot` and returns what it printed.
    pub(super) fn run(&mut self, root: &ListNode, dot: &Value) -> Result<Vec<u8>, Failure> {
        self.vars.push((SmolStr::new_static("$"), dot.clone()));
        match self.list(root, dot) {
            Ok(()) => Ok(std::mem::take(&mut self.output)),
            Err(Stop::Failed(failure)) => Err(*failure),
            Err(Stop::Break | Stop::Continue) => Err(Failure {
                line: 0,
                message: "break or continue outside range".to_owned(),
            }),
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Walk<T>) -> Walk<T> {
        if self.depth >= self.scope.limits.max_depth {
            return fail(format!(
                "the template nests deeper than {}",
                self.scope.limits.max_depth
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn print(&mut self, bytes: &[u8]) -> Walk<()> {
        if self.output.len() + bytes.len() > self.scope.limits.max_output_bytes {
            return fail(format!(
                "the output is longer than {} bytes",
                self.scope.limits.max_output_bytes
            ));
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn list(&mut self, list: &ListNode, dot: &Value) -> Walk<()> {
        for node in &list.nodes {
            self.node(node, dot)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Walk<()> {
        match node {
            Node::Text(text) => self.print(text.text.as_bytes()),
            Node::List(list) => self.list(list, dot),
            Node::Define(_) => Ok(()),
            Node::Break(_) => Err(Stop::Break),
            Node::Continue(_) => Err(Stop::Continue),
            Node::Action(action) => {
                let value = at(action.pos.line, self.pipe(&action.pipe, dot))?;
                if action.pipe.decl.is_empty() {
                    at(action.pos.line, self.print(&fmt::action_text(&value)))?;
                }
                Ok(())
            }
            Node::If(branch) => self.branch(branch, dot, false),
            Node::With(branch) => self.branch(branch, dot, true),
            Node::Range(branch) => {
                let mark = self.vars.len();
                let result = self.deeper(|this| this.range(branch, dot));
                self.vars.truncate(mark);
                result
            }
            Node::Template(template) => {
                let result = self.deeper(|this| this.template(template, dot));
                at(template.pos.line, result)
            }
        }
    }

    fn branch(&mut self, branch: &BranchNode, dot: &Value, with: bool) -> Walk<()> {
        let mark = self.vars.len();
        let result = self.deeper(|this| {
            let value = at(branch.pos.line, this.pipe(&branch.pipe, dot))?;
            if value.truth() {
                let inner = if with { &value } else { dot };
                this.list(&branch.body, inner)
            } else if let Some(other) = &branch.else_body {
                this.list(other, dot)
            } else {
                Ok(())
            }
        });
        self.vars.truncate(mark);
        result
    }

    fn range(&mut self, branch: &BranchNode, dot: &Value) -> Walk<()> {
        let line = branch.pos.line;
        let value = at(line, self.pipe_value(&branch.pipe, dot))?;
        let mut any = false;
        match value.plain() {
            Value::Nil => {}
            Value::List(list) => {
                for (i, item) in list.items.iter().enumerate() {
                    any = true;
                    if !self.turn(branch, Value::Int(i as i64), item)? {
                        return Ok(());
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.entries {
                    any = true;
                    if !self.turn(branch, Value::Str(key.clone()), item)? {
                        return Ok(());
                    }
                }
            }
            Value::Int(_) | Value::Uint(_) if branch.pipe.decl.len() > 1 => {
                let message = format!(
                    "can't use {} to iterate over more than one variable",
                    fmt::text(&value)
                );
                return at(line, fail(message));
            }
            number @ (Value::Int(_) | Value::Uint(_)) => {
                let count = match number {
                    Value::Int(n) => n,
                    Value::Uint(n) => i64::try_from(n).unwrap_or(i64::MAX),
                    _ => 0,
                };
                for i in 0..count {
                    any = true;
                    if !self.turn(branch, Value::Int(i), &Value::Int(i))? {
                        return Ok(());
                    }
                }
            }
            Value::Obj(object) if object.int_range().is_some() => {
                let (from, to) = object.int_range().unwrap_or_default();
                for i in from..to {
                    any = true;
                    if !self.turn(branch, Value::Int(i - from), &Value::Int(i))? {
                        return Ok(());
                    }
                }
            }
            other => {
                return at(
                    line,
                    fail(format!("range can't iterate over {}", fmt::text(&other))),
                );
            }
        }
        match &branch.else_body {
            Some(other) if !any => self.list(other, dot),
            _ => Ok(()),
        }
    }

    /// One turn of a loop. False if it is to end.
    fn turn(&mut self, branch: &BranchNode, index: Value, item: &Value) -> Walk<bool> {
        at(branch.pos.line, self.scope.tick().map_err(Stop::from))?;
        let mark = self.vars.len();
        let pipe = &branch.pipe;
        let values = match pipe.decl.len() {
            0 => Vec::new(),
            1 => vec![item.clone()],
            _ => vec![index, item.clone()],
        };
        for (name, value) in pipe.decl.iter().zip(values) {
            self.set(name, value, pipe.is_assign)?;
        }
        let result = self.list(&branch.body, item);
        self.vars.truncate(mark);
        match result {
            Ok(()) | Err(Stop::Continue) => Ok(true),
            Err(Stop::Break) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    fn template(&mut self, node: &TemplateNode, dot: &Value) -> Walk<()> {
        let inner = match &node.pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        self.invoke(&node.name, inner)
    }

    /// Executes a defined template on `dot`.
    fn invoke(&mut self, name: &str, dot: Value) -> Walk<()> {
        self.scope.tick()?;
        let defines = self.defines;
        let Some(body) = defines.get(name) else {
            return fail(format!("template {name:?} not defined"));
        };
        let outer = std::mem::take(&mut self.vars);
        self.vars.push((SmolStr::new_static("$"), dot.clone()));
        let result = self.list(body, &dot);
        self.vars = outer;
        result
    }

    /// The value of a pipeline, its variables set.
    fn pipe(&mut self, pipe: &PipeNode, dot: &Value) -> Walk<Value> {
        let value = self.pipe_value(pipe, dot)?;
        for name in &pipe.decl {
            self.set(name, value.clone(), pipe.is_assign)?;
        }
        Ok(value)
    }

    fn pipe_value(&mut self, pipe: &PipeNode, dot: &Value) -> Walk<Value> {
        let mut piped: Option<Value> = None;
        for command in &pipe.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        Ok(piped.unwrap_or_default())
    }

    fn set(&mut self, name: &SmolStr, value: Value, assign: bool) -> Walk<()> {
        if !assign {
            self.vars.push((name.clone(), value));
            return Ok(());
        }
        match self.vars.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => fail(format!("undefined variable: {name}")),
        }
    }

    fn variable(&self, name: &SmolStr) -> Walk<Value> {
        match self.vars.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => fail(format!("undefined variable: {name}")),
        }
    }

    fn command(&mut self, command: &CommandNode, dot: &Value, piped: Option<Value>) -> Walk<Value> {
        let Some((first, rest)) = command.args.split_first() else {
            return fail("empty command");
        };
        match first {
            Expr::Identifier(_, name) => self.function(name, rest, dot, piped),
            Expr::Field(_, fields) => {
                let base = dot.clone();
                self.fields(base, fields, rest, dot, piped)
            }
            Expr::Variable(_, name, fields) if !fields.is_empty() => {
                let base = self.variable(name)?;
                self.fields(base, fields, rest, dot, piped)
            }
            Expr::Chain(_, inner, fields) => {
                let base = self.expr(inner, dot)?;
                self.fields(base, fields, rest, dot, piped)
            }
            other => {
                if !rest.is_empty() || piped.is_some() {
                    return fail("can't give argument to non-function");
                }
                self.expr(other, dot)
            }
        }
    }

    /// Follows fields; arguments go to the last, which must then be a method.
    fn fields(
        &mut self,
        base: Value,
        fields: &[SmolStr],
        args: &[Expr],
        dot: &Value,
        piped: Option<Value>,
    ) -> Walk<Value> {
        let Some((last, path)) = fields.split_last() else {
            return Ok(base);
        };
        let mut value = base;
        let mut inside = false;
        for name in path {
            let next = self.field(&value, name, &[], inside)?;
            inside = !matches!(value, Value::Nil);
            value = next;
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in args {
            values.push(self.expr(arg, dot)?);
        }
        values.extend(piped);
        self.field(&value, last, &values, inside)
    }

    /// A field, entry or method of a value. `inside` says that the value came from within a chain,
    /// where Go fails on nil; at its start nil yields nil.
    fn field(&self, value: &Value, name: &str, args: &[Value], inside: bool) -> Walk<Value> {
        match value {
            Value::Nil if inside => fail(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::Nil if self.error_on_missing_key => {
                fail(format!("nil data; no entry for key {name:?}"))
            }
            Value::Nil => Ok(Value::Nil),
            Value::Map(map) => {
                if !args.is_empty() {
                    return fail(format!("{name} is not a method but has arguments"));
                }
                match map.entries.get(name) {
                    Some(found) => Ok(found.clone()),
                    None if self.error_on_missing_key => {
                        fail(format!("map has no entry for key {name:?}"))
                    }
                    None => Ok(builtins::zero_of(map.go_type)),
                }
            }
            Value::Obj(object) => match object.member(name, args)? {
                Some(found) => {
                    self.scope.made(&found)?;
                    Ok(found)
                }
                None => match object.missing_key() {
                    Some(_) if self.error_on_missing_key => {
                        fail(format!("map has no entry for key {name:?}"))
                    }
                    Some(zero) => Ok(zero),
                    None => fail(format!(
                        "can't evaluate field {name} in type {}",
                        object.go_type()
                    )),
                },
            },
            other => fail(format!(
                "can't evaluate field {name} in type {}",
                other.go_type()
            )),
        }
    }

    fn function(
        &mut self,
        name: &SmolStr,
        args: &[Expr],
        dot: &Value,
        piped: Option<Value>,
    ) -> Walk<Value> {
        if name == "and" || name == "or" {
            return self.short_circuit(name == "and", args, dot, piped);
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in args {
            values.push(self.expr(arg, dot)?);
        }
        values.extend(piped);
        if name == "executeTemplate" && self.prefix.is_empty() {
            return self.execute_template(&values);
        }
        let value = self.apply(name, &values)?;
        if writes_back(name)
            && let Some(Expr::Variable(_, variable, fields)) = args.first()
            && fields.is_empty()
        {
            self.set(variable, value.clone(), true)?;
        }
        Ok(value)
    }

    fn apply(&self, name: &str, values: &[Value]) -> Walk<Value> {
        let spec = if self.prefix.is_empty() {
            functions::find(name)
        } else {
            functions::find(&format!("{}{name}", self.prefix))
        };
        if let Some(spec) = spec {
            if self.scope.strict_items && functions::is_not_repeatable(name) {
                return fail(format!("function {name:?} not defined"));
            }
            return Ok(functions::call(spec, values, self.scope)?);
        }
        self.scope.tick()?;
        let value = builtins::call(name, values, self.scope)?;
        self.scope.made(&value)?;
        Ok(value)
    }

    fn short_circuit(
        &mut self,
        and: bool,
        args: &[Expr],
        dot: &Value,
        piped: Option<Value>,
    ) -> Walk<Value> {
        if args.is_empty() && piped.is_none() {
            let name = if and { "and" } else { "or" };
            return fail(format!(
                "wrong number of args for {name}: want at least 1 got 0"
            ));
        }
        let mut last = Value::Nil;
        for arg in args {
            last = self.expr(arg, dot)?;
            if last.truth() != and {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    /// `executeTemplate`, which needs what only the evaluator knows.
    fn execute_template(&mut self, values: &[Value]) -> Walk<Value> {
        if let Some(spec) = functions::find("executeTemplate") {
            // Counts the call and applies the denylist.
            functions::call(spec, values, self.scope)?;
        }
        let (Some(name), true) = (values.first(), values.len() <= 2) else {
            return fail("executeTemplate: want a name and at most one value");
        };
        let name = fmt::text(name);
        let dot = values.get(1).cloned().unwrap_or_default();
        let before = std::mem::take(&mut self.output);
        let result = self.deeper(|this| this.invoke(&name, dot));
        let made = std::mem::replace(&mut self.output, before);
        result?;
        let value = Value::from_bytes(made);
        self.scope.made(&value)?;
        Ok(value)
    }

    fn expr(&mut self, expr: &Expr, dot: &Value) -> Walk<Value> {
        match expr {
            Expr::Dot(_) => Ok(dot.clone()),
            Expr::Nil(_) => Ok(Value::Nil),
            Expr::Bool(_, b) => Ok(Value::Bool(*b)),
            Expr::String(_, text) => Ok(Value::Str(text.clone())),
            Expr::Number(_, Number::Int(n)) => Ok(Value::Int(*n)),
            Expr::Number(_, Number::Float(f)) => Ok(Value::Float(*f)),
            Expr::Number(_, Number::Uint(n)) => fail(format!("{n} overflows int")),
            Expr::Field(_, fields) => self.fields(dot.clone(), fields, &[], dot, None),
            Expr::Variable(_, name, fields) => {
                let base = self.variable(name)?;
                self.fields(base, fields, &[], dot, None)
            }
            Expr::Identifier(_, name) => self.function(name, &[], dot, None),
            Expr::Chain(_, inner, fields) => {
                let base = self.expr(inner, dot)?;
                self.fields(base, fields, &[], dot, None)
            }
            Expr::Pipe(_, pipe) => {
                let mark = self.vars.len();
                let value = self.deeper(|this| this.pipe(pipe, dot));
                self.vars.truncate(mark);
                value
            }
        }
    }
}

/// Puts the line on a failure that has none yet.
fn at<T>(line: usize, result: Walk<T>) -> Walk<T> {
    result.map_err(|stop| match stop {
        Stop::Failed(mut failure) => {
            if failure.line == 0 {
                failure.line = line;
            }
            Stop::Failed(failure)
        }
        other => other,
    })
}
