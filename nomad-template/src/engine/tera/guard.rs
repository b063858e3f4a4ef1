//! Bounds for Tera: checks of the text before it is parsed, and checks built into the parsed template.
//!
//! Into the tree go calls of functions that only this module registers: each turn of a loop and each
//! call of a macro is counted, each value that a variable gets, a filter makes or an action prints is
//! measured. So endless loops, deep recursion and values that double until memory ends are stopped.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tera::ast::{Expr, ExprVal, FunctionCall, Node, WS};
use tera::{Template, Tera, Value};

use crate::functions::{self, Scope, Spec};

const TICK: &str = "nomad_tick";
const ENTER: &str = "nomad_enter";
const LEAVE: &str = "nomad_leave";
const BOUND: &str = "nomad_bound";
const PRINTED: &str = "nomad_printed";

/// Most turns of one `loop` or `range`.
pub(super) const MAX_RANGE: i64 = 100_000;
/// Macros that may be in progress at once.
const MAX_MACRO_DEPTH: usize = 24;
/// Deepest nesting of arrays and objects in a value.
const MAX_VALUE_DEPTH: usize = 60;
/// Largest value in bytes, as JSON.
const MAX_VALUE_BYTES: usize = 2 * 1024 * 1024;
/// Brackets open at once within a tag. Tera's parser takes time exponential in this.
const MAX_BRACKETS: usize = 5;
/// Operators and filters within a tag; each deepens the tree.
const MAX_OPERATORS: usize = 48;
/// Tags open at once.
const MAX_BLOCKS: usize = 24;
/// Longest tag in bytes.
const MAX_TAG: usize = 16 * 1024;

/// Refuses texts that would take Tera's parser long or deep.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    let mut open = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let (end_mark, is_tag) = match rest.as_bytes().get(1) {
            Some(b'{') => ("}}", false),
            Some(b'%') => ("%}", true),
            Some(b'#') => {
                let Some(end) = rest.find("#}") else {
                    return Err("a comment has no end".to_owned());
                };
                rest = &rest[end + 2..];
                continue;
            }
            _ => {
                rest = &rest[1..];
                continue;
            }
        };
        let tag = tag_body(&rest[2..], end_mark)?;
        rest = &rest[(2 + tag.len() + 2).min(rest.len())..];
        let word = tag
            .trim_start_matches('-')
            .trim_start()
            .split(|c: char| !c.is_ascii_alphabetic())
            .next()
            .unwrap_or_default();
        match word {
            "raw" if is_tag => {
                let end = rest.find("endraw").ok_or("a raw block has no end")?;
                rest = &rest[end..];
                let end = rest.find("%}").ok_or("a raw block has no end")?;
                rest = &rest[end + 2..];
            }
            "if" | "for" | "block" | "filter" | "macro" if is_tag => open += 1,
            "endif" | "endfor" | "endblock" | "endfilter" | "endmacro" if is_tag => {
                open = open.saturating_sub(1);
            }
            _ => {}
        }
        if open > MAX_BLOCKS {
            return Err(format!("blocks nest deeper than {MAX_BLOCKS}"));
        }
        check_tag(tag)?;
    }
    Ok(())
}

/// The text of a tag up to its end mark, which does not count within quotes.
fn tag_body<'t>(text: &'t str, end_mark: &str) -> Result<&'t str, String> {
    let bytes = text.as_bytes();
    let mut quote: Option<u8> = None;
    for (i, &byte) in bytes.iter().enumerate() {
        if i > MAX_TAG {
            return Err(format!("a tag is longer than {MAX_TAG} bytes"));
        }
        match quote {
            Some(mark) if byte == mark => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'' | b'`') => quote = Some(byte),
            None if text.is_char_boundary(i) && text[i..].starts_with(end_mark) => {
                return Ok(&text[..i]);
            }
            None => {}
        }
    }
    Err("a tag has no end".to_owned())
}

fn check_tag(tag: &str) -> Result<(), String> {
    let mut quote: Option<char> = None;
    let (mut brackets, mut operators) = (0_usize, 0_usize);
    for c in tag.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' | '`' => quote = Some(c),
                '(' | '[' => {
                    brackets += 1;
                    if brackets > MAX_BRACKETS {
                        return Err(format!("brackets nest deeper than {MAX_BRACKETS}"));
                    }
                }
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '+' | '-' | '*' | '/' | '%' | '~' | '<' | '>' | '=' | '!' | '|' => operators += 1,
                _ => {}
            },
        }
    }
    let words = tag.split(|c: char| !c.is_ascii_alphanumeric());
    operators += words
        .filter(|w| matches!(*w, "and" | "or" | "not" | "in" | "is"))
        .count();
    if operators > MAX_OPERATORS {
        return Err(format!("a tag has more than {MAX_OPERATORS} operators"));
    }
    Ok(())
}

/// A template with its bounds built in, and the functions it calls.
pub(super) struct Guarded {
    pub(super) template: Template,
    pub(super) functions: Vec<&'static Spec>,
    pub(super) filters: Vec<&'static Spec>,
}

/// Builds the bounds in. Fails with every name that is not known.
pub(super) fn guard(mut template: Template) -> Result<Guarded, Vec<String>> {
    let mut guard = Guard {
        known: Tera::default(),
        problems: BTreeSet::new(),
        functions: BTreeSet::new(),
        filters: BTreeSet::new(),
        macros: template.macros.keys().cloned().collect(),
    };
    guard.nodes(&mut template.ast);
    let blocks: Vec<String> = template.blocks.keys().cloned().collect();
    for name in blocks {
        if let Some(block) = template.blocks.get_mut(&name) {
            guard.nodes(&mut block.body);
        }
    }
    for definition in template.macros.values_mut() {
        guard.macro_body(
            definition.args.keys().cloned().collect(),
            &mut definition.body,
        );
    }
    if !guard.problems.is_empty() {
        return Err(guard.problems.into_iter().collect());
    }
    let specs = |names: BTreeSet<String>| names.iter().filter_map(|n| functions::find(n)).collect();
    Ok(Guarded {
        template,
        functions: specs(guard.functions),
        filters: specs(guard.filters),
    })
}

struct Guard {
    known: Tera,
    problems: BTreeSet<String>,
    functions: BTreeSet<String>,
    filters: BTreeSet<String>,
    macros: BTreeSet<String>,
}

fn call(name: &str, args: HashMap<String, Expr>) -> Node {
    let call = ExprVal::FunctionCall(FunctionCall {
        name: name.to_owned(),
        args,
    });
    Node::VariableBlock(WS::default(), Expr::new(call))
}

fn filter(name: &str) -> FunctionCall {
    FunctionCall {
        name: name.to_owned(),
        args: HashMap::new(),
    }
}

impl Guard {
    fn problem(&mut self, text: String) {
        self.problems.insert(text);
    }

    fn nodes(&mut self, nodes: &mut [Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn macro_body(&mut self, params: Vec<String>, body: &mut Vec<Node>) {
        self.nodes(body);
        let params = params.into_iter();
        let params = params
            .map(|p| (p.clone(), Expr::new(ExprVal::Ident(p))))
            .collect();
        body.insert(0, call(ENTER, params));
        body.push(call(LEAVE, HashMap::new()));
    }

    fn node(&mut self, node: &mut Node) {
        match node {
            Node::VariableBlock(_, expr) => {
                self.expr(expr);
                expr.filters.push(filter(PRINTED));
            }
            Node::Set(_, set) => {
                self.expr(&mut set.value);
                // A value may be built without any filter; its measure is taken here.
                set.value.filters.push(filter(BOUND));
            }
            Node::Forloop(_, forloop, _) => {
                self.expr(&mut forloop.container);
                self.nodes(&mut forloop.body);
                let text: usize = forloop.body.iter().map(text_len).sum();
                let text = Expr::new(ExprVal::Int(text as i64));
                forloop
                    .body
                    .insert(0, call(TICK, HashMap::from([("text".to_owned(), text)])));
                if let Some(empty) = &mut forloop.empty_body {
                    self.nodes(empty);
                }
            }
            Node::If(branches, _) => {
                for (_, condition, body) in &mut branches.conditions {
                    self.expr(condition);
                    self.nodes(body);
                }
                if let Some((_, body)) = &mut branches.otherwise {
                    self.nodes(body);
                }
            }
            Node::FilterSection(_, section, _) => {
                self.function_call(&mut section.filter, true);
                self.nodes(&mut section.body);
            }
            Node::Block(_, block, _) => self.nodes(&mut block.body),
            Node::MacroDefinition(_, definition, _) => {
                // What is called is the copy in the template's map of macros.
                definition.body.clear();
            }
            Node::Extends(_, name) | Node::ImportMacro(_, name, _) => {
                let text = format!("there is no other template {name:?} here");
                self.problem(text);
            }
            Node::Include(_, names, _) => {
                let text = format!("there is no other template {names:?} here");
                self.problem(text);
            }
            Node::Text(_)
            | Node::Raw(..)
            | Node::Comment(..)
            | Node::Break(_)
            | Node::Continue(_)
            | Node::Super => {}
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        self.value(&mut expr.val);
        let mut filters = Vec::with_capacity(expr.filters.len() * 2);
        for mut call in std::mem::take(&mut expr.filters) {
            self.function_call(&mut call, true);
            filters.push(call);
            filters.push(filter(BOUND));
        }
        expr.filters = filters;
    }

    fn value(&mut self, value: &mut ExprVal) {
        match value {
            ExprVal::Math(math) => {
                self.expr(&mut math.lhs);
                self.expr(&mut math.rhs);
            }
            ExprVal::Logic(logic) => {
                self.expr(&mut logic.lhs);
                self.expr(&mut logic.rhs);
            }
            ExprVal::In(test) => {
                self.expr(&mut test.lhs);
                self.expr(&mut test.rhs);
            }
            ExprVal::Test(test) => {
                if self.known.get_tester(&test.name).is_err() {
                    self.problem(format!("test {:?} not defined", test.name));
                }
                for arg in &mut test.args {
                    self.expr(arg);
                }
            }
            ExprVal::MacroCall(call) => {
                if call.namespace != "self" || !self.macros.contains(&call.name) {
                    self.problem(format!(
                        "macro {}::{} not defined",
                        call.namespace, call.name
                    ));
                }
                for arg in call.args.values_mut() {
                    self.expr(arg);
                    arg.filters.push(filter(BOUND));
                }
            }
            ExprVal::FunctionCall(call) => self.function_call(call, false),
            ExprVal::Array(items) => {
                for item in items {
                    self.expr(item);
                }
            }
            ExprVal::StringConcat(concat) => {
                for value in &mut concat.values {
                    self.value(value);
                }
            }
            ExprVal::String(_)
            | ExprVal::Int(_)
            | ExprVal::Float(_)
            | ExprVal::Bool(_)
            | ExprVal::Ident(_) => {}
        }
    }

    fn function_call(&mut self, call: &mut FunctionCall, is_filter: bool) {
        for arg in call.args.values_mut() {
            self.expr(arg);
        }
        if is_filter {
            if self.known.get_filter(&call.name).is_ok() {
            } else if functions::find(&call.name).is_some() {
                self.filters.insert(call.name.clone());
            } else {
                self.problem(format!("filter {:?} not defined", call.name));
            }
        } else if self.known.get_function(&call.name).is_ok() || call.name == "get_env" {
        } else if functions::find(&call.name).is_some() {
            self.functions.insert(call.name.clone());
        } else {
            self.problem(format!("function {:?} not defined", call.name));
        }
    }
}

/// Bytes of text that one turn of a loop may write by itself.
fn text_len(node: &Node) -> usize {
    match node {
        Node::Text(text) | Node::Raw(_, text, _) => text.len(),
        Node::If(branches, _) => {
            let bodies = branches.conditions.iter().map(|(_, _, body)| body);
            let bodies = bodies.chain(branches.otherwise.iter().map(|(_, body)| body));
            bodies
                .map(|body| body.iter().map(text_len).sum())
                .max()
                .unwrap_or(0)
        }
        Node::FilterSection(_, section, _) => section.body.iter().map(text_len).sum(),
        _ => 0,
    }
}

/// Bytes of a value as JSON; `None` if it is too large or nests too deep.
fn measure(value: &Value, depth: usize, left: usize) -> Option<usize> {
    if depth > MAX_VALUE_DEPTH {
        return None;
    }
    let size = match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => {
            let mut total = 32;
            for item in items {
                total += measure(item, depth + 1, left.checked_sub(total)?)? + 32;
            }
            total
        }
        Value::Object(entries) => {
            let mut total = 32;
            for (key, item) in entries {
                total += measure(item, depth + 1, left.checked_sub(total)?)? + key.len() + 64;
            }
            total
        }
        _ => 8,
    };
    (size <= left).then_some(size)
}

fn measured(value: &Value) -> tera::Result<usize> {
    measure(value, 0, MAX_VALUE_BYTES).ok_or_else(|| {
        tera::Error::msg(format!(
            "a value is larger than {MAX_VALUE_BYTES} bytes or nests deeper than {MAX_VALUE_DEPTH}"
        ))
    })
}

fn spend(scope: &Scope, spent: &Mutex<usize>, bytes: usize) -> tera::Result<()> {
    let mut spent = spent.lock();
    *spent = spent.saturating_add(bytes);
    if *spent > scope.limits.max_total_bytes {
        return Err(tera::Error::msg(format!(
            "the template makes more than {} bytes of text",
            scope.limits.max_total_bytes
        )));
    }
    Ok(())
}

fn text_arg<'a>(args: &'a HashMap<String, Value>, name: &str) -> tera::Result<&'a str> {
    args.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| tera::Error::msg(format!("want a string {name}")))
}

/// Registers what the guard calls, and bounded forms of those of Tera's that have no bound.
pub(super) fn register(tera: &mut Tera, scope: &Arc<Scope>) {
    let spent = Arc::new(Mutex::new(0_usize));
    let depth = Arc::new(Mutex::new(0_usize));

    let (s, total) = (Arc::clone(scope), Arc::clone(&spent));
    tera.register_function(TICK, move |args: &HashMap<String, Value>| {
        s.tick().map_err(tera::Error::msg)?;
        let text = args.get("text").and_then(Value::as_u64).unwrap_or(0);
        spend(&s, &total, text as usize)?;
        Ok(Value::String(String::new()))
    });
    let (s, d) = (Arc::clone(scope), Arc::clone(&depth));
    tera.register_function(ENTER, move |args: &HashMap<String, Value>| {
        s.tick().map_err(tera::Error::msg)?;
        for value in args.values() {
            measured(value)?;
        }
        let mut depth = d.lock();
        *depth += 1;
        if *depth > MAX_MACRO_DEPTH {
            return Err(tera::Error::msg(format!(
                "macros nest deeper than {MAX_MACRO_DEPTH}"
            )));
        }
        Ok(Value::String(String::new()))
    });
    let d = Arc::clone(&depth);
    tera.register_function(LEAVE, move |_: &HashMap<String, Value>| {
        *d.lock() -= 1;
        Ok(Value::String(String::new()))
    });
    let (s, total) = (Arc::clone(scope), Arc::clone(&spent));
    tera.register_filter(BOUND, move |value: &Value, _: &HashMap<String, Value>| {
        spend(&s, &total, measured(value)?)?;
        Ok(value.clone())
    });
    let (s, total) = (Arc::clone(scope), Arc::clone(&spent));
    tera.register_filter(PRINTED, move |value: &Value, _: &HashMap<String, Value>| {
        spend(&s, &total, measured(value)?)?;
        Ok(value.clone())
    });
    let s = Arc::clone(scope);
    tera.register_function("get_env", move |args: &HashMap<String, Value>| {
        let name = text_arg(args, "name")?;
        match (s.env.get(name), args.get("default")) {
            (Some(value), _) => Ok(value.as_str().into()),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(tera::Error::msg(format!(
                "environment variable {name} is not set"
            ))),
        }
    });
    tera.register_function("range", |args: &HashMap<String, Value>| {
        let number = |name: &str| args.get(name).and_then(Value::as_i64);
        let (from, step) = (number("start").unwrap_or(0), number("step_by").unwrap_or(1));
        let to = number("end").ok_or_else(|| tera::Error::msg("range needs end"))?;
        if step < 1 || from > to || (to - from) / step > MAX_RANGE {
            return Err(tera::Error::msg(format!(
                "range wants start <= end, step_by >= 1 and at most {MAX_RANGE} turns"
            )));
        }
        let step = usize::try_from(step).unwrap_or(1);
        Ok((from..to).step_by(step).collect())
    });
    tera.register_filter("replace", |value: &Value, args: &HashMap<String, Value>| {
        let text = value
            .as_str()
            .ok_or_else(|| tera::Error::msg("replace wants a string"))?;
        let (from, to) = (text_arg(args, "from")?, text_arg(args, "to")?);
        bounded(text.len() + text.matches(from).count().saturating_mul(to.len()))?;
        Ok(text.replace(from, to).into())
    });
    tera.register_filter("join", |value: &Value, args: &HashMap<String, Value>| {
        let items = value
            .as_array()
            .ok_or_else(|| tera::Error::msg("join wants an array"))?;
        let sep = args.get("sep").and_then(Value::as_str).unwrap_or_default();
        bounded(measured(value)? + items.len().saturating_mul(sep.len()))?;
        let texts: Vec<String> = items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect();
        Ok(texts.join(sep).into())
    });
    tera.register_filter("indent", |value: &Value, args: &HashMap<String, Value>| {
        let text = value
            .as_str()
            .ok_or_else(|| tera::Error::msg("indent wants a string"))?;
        let prefix = args.get("prefix").and_then(Value::as_str).unwrap_or("    ");
        let flag = |name: &str| args.get(name).and_then(Value::as_bool).unwrap_or(false);
        bounded(text.len() + text.split('\n').count().saturating_mul(prefix.len()))?;
        let lines = text.split('\n').enumerate().map(|(i, line)| {
            let skip = i == 0 && !flag("first") || line.is_empty() && !flag("blank");
            if skip {
                line.to_owned()
            } else {
                format!("{prefix}{line}")
            }
        });
        Ok(lines.collect::<Vec<_>>().join("\n").into())
    });
}

fn bounded(bytes: usize) -> tera::Result<()> {
    if bytes > MAX_VALUE_BYTES {
        return Err(tera::Error::msg(format!(
            "a value is larger than {MAX_VALUE_BYTES} bytes"
        )));
    }
    Ok(())
}
