//! Reads templates and expressions.

use serde_json::Value;

use super::lexer::{Token, expression_end, tokens, unescape};
use super::{Expr, MAX_DEPTH, Part, Step, Template, number};

/// Reads a whole template.
pub(super) fn template(text: &str) -> Result<Template, String> {
    parse_template(text, false, 0)
}

fn parse_template(text: &str, quoted: bool, depth: usize) -> Result<Template, String> {
    let mut reader = Reader {
        rest: text,
        quoted,
        depth,
        trim_next: false,
    };
    let (template, end) = reader.parts()?;
    match end {
        End::Text => Ok(template),
        End::Directive(word) => Err(format!("\"%{{ {word} }}\" stands without an \"if\"")),
    }
}

/// What ended a run of parts.
enum End {
    Text,
    Directive(&'static str),
}

struct Reader<'a> {
    rest: &'a str,
    quoted: bool,
    depth: usize,
    /// A `~` asks for the white space that follows to go.
    trim_next: bool,
}

impl<'a> Reader<'a> {
    fn parts(&mut self) -> Result<(Template, End), String> {
        if self.depth > MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            let Some(at) = next_marker(self.rest) else {
                self.literal(self.rest, &mut text)?;
                self.rest = "";
                flush(&mut parts, &mut text);
                return Ok((Template { parts }, End::Text));
            };
            let (before, marker) = self.rest.split_at(at);
            self.literal(before, &mut text)?;
            // `$${` and `%%{` stand for themselves with one sign less.
            if marker.starts_with("$${") || marker.starts_with("%%{") {
                text.push_str(&marker[1..3]);
                self.rest = &marker[3..];
                continue;
            }
            let (kind, body) = (marker.as_bytes()[0], &marker[2..]);
            let end = expression_end(body)?;
            let mut inner = &body[..end];
            self.rest = &body[end + 1..];
            if let Some(trimmed) = inner.strip_prefix('~') {
                inner = trimmed;
                text.truncate(text.trim_end().len());
            }
            if let Some(trimmed) = inner.strip_suffix('~') {
                inner = trimmed;
                self.trim_next = true;
            }
            flush(&mut parts, &mut text);
            if kind == b'$' {
                parts.push(Part::Expr(expression(inner, self.depth + 1)?));
                continue;
            }
            match inner.trim() {
                "else" => return Ok((Template { parts }, End::Directive("else"))),
                "endif" => return Ok((Template { parts }, End::Directive("endif"))),
                directive => match directive.strip_prefix("if ") {
                    Some(condition) => {
                        let condition = expression(condition, self.depth + 1)?;
                        parts.push(self.conditional(condition)?);
                    }
                    None => {
                        return Err(format!(
                            "\"%{{ {directive} }}\" is not a directive that can be used here"
                        ));
                    }
                },
            }
        }
    }

    fn conditional(&mut self, condition: Expr) -> Result<Part, String> {
        self.depth += 1;
        let missing = || "an \"%{ if }\" has no \"%{ endif }\"".to_owned();
        let (then, end) = self.parts()?;
        let otherwise = match end {
            End::Directive("else") => match self.parts()? {
                (otherwise, End::Directive("endif")) => otherwise,
                _ => return Err(missing()),
            },
            End::Directive(_) => Template { parts: Vec::new() },
            End::Text => return Err(missing()),
        };
        self.depth -= 1;
        Ok(Part::If {
            condition,
            then,
            otherwise,
        })
    }

    fn literal(&mut self, text: &'a str, out: &mut String) -> Result<(), String> {
        let text = if self.trim_next {
            self.trim_next = false;
            text.trim_start()
        } else {
            text
        };
        if self.quoted {
            out.push_str(&unescape(text)?);
        } else {
            out.push_str(text);
        }
        Ok(())
    }
}

fn flush(parts: &mut Vec<Part>, text: &mut String) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

/// Where the next `${`, `%{`, `$${` or `%%{` begins.
fn next_marker(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(1)).find(|&at| {
        let sign = bytes[at];
        (sign == b'$' || sign == b'%')
            && (bytes[at + 1] == b'{'
                || (bytes[at + 1] == sign && bytes.get(at + 2) == Some(&b'{')))
    })
}

/// Reads an expression.
fn expression(text: &str, depth: usize) -> Result<Expr, String> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth,
    };
    let expr = parser.conditional()?;
    if parser.at < parser.tokens.len() {
        return Err(format!("\"{}\" is not an expression", text.trim()));
    }
    Ok(expr)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Operators from the weakest to the strongest.
const LEVELS: [&[&str]; 6] = [
    &["||"],
    &["&&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser {
    fn take(&mut self, op: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Op(found)) if *found == op);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, op: &str) -> Result<(), String> {
        if self.take(op) {
            Ok(())
        } else {
            Err(format!("\"{op}\" is missing in an expression"))
        }
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    fn conditional(&mut self) -> Result<Expr, String> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let expr = if self.take("?") {
            let then = self.conditional()?;
            self.expect(":")?;
            let otherwise = self.conditional()?;
            Expr::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(op) = operators.iter().find(|op| self.take(op)) {
            let right = self.binary(level + 1)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        for sign in ["!", "-"] {
            if self.take(sign) {
                self.deeper()?;
                let operand = self.unary()?;
                self.depth -= 1;
                let sign = if sign == "!" { '!' } else { '-' };
                return Ok(Expr::Unary(sign, Box::new(operand)));
            }
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let base = self.primary()?;
        let mut steps = Vec::new();
        loop {
            if self.take(".") {
                let step = match self.tokens.get(self.at) {
                    Some(Token::Name(name)) => Step::Name(name.clone()),
                    Some(Token::Number(n)) => Step::Name(n.to_string()),
                    _ => return Err("a name is missing behind \".\"".to_owned()),
                };
                self.at += 1;
                steps.push(step);
            } else if self.take("[") {
                let index = self.conditional()?;
                self.expect("]")?;
                steps.push(Step::Index(Box::new(index)));
            } else {
                break;
            }
        }
        Ok(match base {
            Expr::Path(mut path) => {
                path.extend(steps);
                Expr::Path(path)
            }
            base if steps.is_empty() => base,
            base => Expr::Index(Box::new(base), steps),
        })
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Number(n)) => Ok(Expr::Literal(number(n))),
            Some(Token::Quoted(text)) => {
                parse_template(&text, true, self.depth + 1).map(Expr::Template)
            }
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Ok(Expr::Literal(Value::Bool(true))),
                "false" => Ok(Expr::Literal(Value::Bool(false))),
                "null" => Ok(Expr::Literal(Value::Null)),
                _ if self.take("(") => Ok(Expr::Call(name, self.list(")")?)),
                _ => Ok(Expr::Path(vec![Step::Name(name)])),
            },
            Some(Token::Op("(")) => {
                let expr = self.conditional()?;
                self.expect(")")?;
                // Steps behind parentheses index the value, they do not lengthen a name.
                Ok(match expr {
                    Expr::Path(_) => Expr::Index(Box::new(expr), Vec::new()),
                    expr => expr,
                })
            }
            Some(Token::Op("[")) => Ok(Expr::List(self.list("]")?)),
            Some(Token::Op("{")) => self.object(),
            _ => Err("an expression is missing".to_owned()),
        }
    }

    fn list(&mut self, close: &str) -> Result<Vec<Expr>, String> {
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.conditional()?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn object(&mut self) -> Result<Expr, String> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = match self.tokens.get(self.at).cloned() {
                Some(Token::Name(name)) => {
                    self.at += 1;
                    Expr::Literal(Value::String(name))
                }
                _ => self.primary()?,
            };
            if !self.take("=>") {
                self.expect(":")?;
            }
            entries.push((key, self.conditional()?));
            self.take(",");
        }
        Ok(Expr::Object(entries))
    }
}
