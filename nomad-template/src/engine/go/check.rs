//! What Go finds when it parses: names of functions and variables, stray `break`, a lone `nil`.

use gotmpl::parse::{BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr};

use super::builtins;
use crate::functions;

/// Most mistakes that are reported.
const MAX_PROBLEMS: usize = 20;

/// Every mistake in the template and in those it defines, each with its line.
pub(super) fn check<'a>(
    root: &'a ListNode,
    defines: impl Iterator<Item = &'a ListNode>,
    prefix: &str,
) -> Vec<String> {
    let mut checker = Checker {
        prefix,
        vars: vec![SmolStr::new_static("$")],
        loops: 0,
        problems: Vec::new(),
    };
    checker.list(root);
    for body in defines {
        checker.vars.truncate(1);
        checker.list(body);
    }
    checker.problems
}

struct Checker<'p> {
    prefix: &'p str,
    vars: Vec<SmolStr>,
    loops: usize,
    problems: Vec<String>,
}

impl Checker<'_> {
    fn problem(&mut self, pos: Pos, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("line {}: {text}", pos.line));
        }
    }

    fn list(&mut self, list: &ListNode) {
        for node in &list.nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Text(_) | Node::Define(_) => {}
            Node::List(list) => self.list(list),
            Node::Action(action) => self.pipe(&action.pipe),
            Node::If(branch) | Node::With(branch) => self.branch(branch, false),
            Node::Range(branch) => self.branch(branch, true),
            Node::Template(template) => {
                if let Some(pipe) = &template.pipe {
                    self.pipe(pipe);
                }
            }
            Node::Break(pos) | Node::Continue(pos) => {
                if self.loops == 0 {
                    let word = if matches!(node, Node::Break(_)) {
                        "break"
                    } else {
                        "continue"
                    };
                    self.problem(*pos, format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
            }
        }
    }

    fn branch(&mut self, branch: &BranchNode, is_loop: bool) {
        let mark = self.vars.len();
        self.pipe(&branch.pipe);
        let inner = self.vars.len();
        self.loops += usize::from(is_loop);
        self.list(&branch.body);
        self.loops -= usize::from(is_loop);
        self.vars.truncate(inner);
        if let Some(other) = &branch.else_body {
            self.list(other);
        }
        self.vars.truncate(mark);
    }

    fn pipe(&mut self, pipe: &PipeNode) {
        for (i, command) in pipe.commands.iter().enumerate() {
            self.command(command, i > 0);
        }
        for name in &pipe.decl {
            if !pipe.is_assign {
                self.vars.push(name.clone());
            } else if !self.vars.contains(name) {
                self.problem(pipe.pos, format!("undefined variable {name:?}"));
            }
        }
    }

    fn command(&mut self, command: &CommandNode, piped: bool) {
        for arg in &command.args {
            self.expr(arg);
        }
        let constant = matches!(
            command.args.first(),
            Some(
                Expr::Bool(..) | Expr::Dot(_) | Expr::Nil(_) | Expr::Number(..) | Expr::String(..)
            )
        );
        if piped && constant {
            self.problem(command.pos, "non executable command in pipeline".to_owned());
        }
        if let [Expr::Nil(pos)] = command.args.as_slice() {
            self.problem(*pos, "nil is not a command".to_owned());
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(pos, name) => {
                let known = if self.prefix.is_empty() {
                    functions::find(name).is_some() || builtins::is_builtin(name)
                } else {
                    functions::find(&format!("{}{name}", self.prefix)).is_some()
                        || builtins::is_builtin(name)
                };
                if !known {
                    self.problem(*pos, format!("function {name:?} not defined"));
                }
            }
            Expr::Variable(pos, name, _) => {
                if !self.vars.contains(name) {
                    self.problem(*pos, format!("undefined variable {name:?}"));
                }
            }
            Expr::Chain(_, inner, _) => self.expr(inner),
            Expr::Pipe(_, pipe) => {
                let mark = self.vars.len();
                self.pipe(pipe);
                self.vars.truncate(mark);
            }
            Expr::Dot(_)
            | Expr::Field(..)
            | Expr::String(..)
            | Expr::Number(..)
            | Expr::Bool(..)
            | Expr::Nil(_) => {}
        }
    }
}
