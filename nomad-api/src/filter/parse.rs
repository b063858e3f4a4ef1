//! Reading filter expressions: a recursive descent parser, bounded in depth.

use super::{EachNames, Expr, FilterError, MAX_DEPTH, Op, Pattern, Selector};

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let expr = parser.or()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.error("no match found, expected: \"and\", \"or\" or end of expression"));
    }
    Ok(expr)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

enum Value {
    Text(String),
    /// A bare word, which may turn out to be a selector.
    Word(String),
}

impl Value {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Word(text) => text,
        }
    }
}

impl Parser<'_> {
    fn error(&self, what: &str) -> FilterError {
        let before = &self.text[..self.at];
        FilterError::Syntax {
            column: before.chars().count() + 1,
            offset: self.at,
            what: what.to_owned(),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes a symbol.
    fn symbol(&mut self, symbol: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    /// Takes a keyword that stands alone.
    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let Some(after) = self.rest().strip_prefix(word) else {
            return false;
        };
        let alone = after
            .chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '`'));
        if alone {
            self.at += word.len();
        }
        alone
    }

    fn deeper<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("expression is nested too deeply"));
        }
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Expr, FilterError> {
        self.deeper(|parser| {
            let left = parser.and()?;
            if parser.keyword("or") {
                return Ok(Expr::Or(Box::new(left), Box::new(parser.or()?)));
            }
            Ok(left)
        })
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        self.deeper(|parser| {
            let left = parser.not()?;
            if parser.keyword("and") {
                return Ok(Expr::And(Box::new(left), Box::new(parser.and()?)));
            }
            Ok(left)
        })
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        if self.keyword("not") {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.not()?))));
        }
        if self.symbol("(") {
            let inner = self.or()?;
            if !self.symbol(")") {
                return Err(self.error("Unmatched parentheses"));
            }
            return Ok(inner);
        }
        for (word, all) in [("any", false), ("all", true)] {
            let start = self.at;
            if self.keyword(word) {
                match self.each(all) {
                    Some(each) => return each,
                    // A field may be called `any` or `all`.
                    None => self.at = start,
                }
            }
        }
        self.matching()
    }

    fn each(&mut self, all: bool) -> Option<Result<Expr, FilterError>> {
        let selector = self.selector().ok()?;
        if !self.keyword("as") {
            return None;
        }
        Some(self.each_body(all, selector))
    }

    fn each_body(&mut self, all: bool, selector: Selector) -> Result<Expr, FilterError> {
        let name = |name: String| (name != "_").then_some(name);
        let first = self
            .identifier()
            .ok_or_else(|| self.error("expected a name after \"as\""))?;
        let names = if self.symbol(",") {
            let second = self
                .identifier()
                .ok_or_else(|| self.error("expected a second name after \",\""))?;
            EachNames {
                key: name(first),
                value: name(second),
                single: false,
            }
        } else {
            EachNames {
                key: name(first.clone()),
                value: name(first),
                single: true,
            }
        };
        if !self.symbol("{") {
            return Err(self.error("expected \"{\""));
        }
        let body = Box::new(self.or()?);
        if !self.symbol("}") {
            return Err(self.error("expected \"}\""));
        }
        Ok(Expr::Each {
            all,
            selector,
            names,
            body,
        })
    }

    fn matching(&mut self) -> Result<Expr, FilterError> {
        let start = self.at;
        self.space();
        // `VALUE in SELECTOR` and `VALUE not in SELECTOR` start with the value.
        if let Ok(value) = self.value() {
            let negated = {
                let before = self.at;
                let not = self.keyword("not");
                if self.keyword("in") {
                    Some(not)
                } else {
                    self.at = before;
                    None
                }
            };
            if let Some(negated) = negated {
                let selector = self.selector()?;
                let op = if negated { Op::NotIn } else { Op::In };
                return Ok(Expr::Match {
                    selector,
                    op,
                    value: value.into_text(),
                });
            }
        }
        self.at = start;
        let selector = self.selector()?;
        self.operator(selector)
    }

    fn operator(&mut self, selector: Selector) -> Result<Expr, FilterError> {
        let simple = |selector, op| {
            Ok(Expr::Match {
                selector,
                op,
                value: String::new(),
            })
        };
        if self.symbol("==") {
            let value = self.value()?.into_text();
            return Ok(Expr::Match {
                selector,
                op: Op::Equal,
                value,
            });
        }
        if self.symbol("!=") {
            let value = self.value()?.into_text();
            return Ok(Expr::Match {
                selector,
                op: Op::NotEqual,
                value,
            });
        }
        if self.keyword("is") {
            let not = self.keyword("not");
            return match (self.keyword("empty"), not) {
                (true, false) => simple(selector, Op::Empty),
                (true, true) => simple(selector, Op::NotEmpty),
                _ if self.keyword("nil") => {
                    simple(selector, if not { Op::NotNil } else { Op::Nil })
                }
                _ => Err(self.error("no match found, expected: \"empty\" or \"nil\"")),
            };
        }
        let not = self.keyword("not");
        if self.keyword("contains") {
            let value = self.value()?.into_text();
            return Ok(Expr::Match {
                selector,
                op: if not { Op::NotIn } else { Op::In },
                value,
            });
        }
        if self.keyword("matches") {
            let value = self.value()?.into_text();
            let pattern = regex::RegexBuilder::new(&value)
                .size_limit(1 << 20)
                .build()
                .map_err(|error| self.error(&format!("invalid regular expression: {error}")))?;
            let pattern = Pattern(pattern);
            let op = if not {
                Op::NotMatches(pattern)
            } else {
                Op::Matches(pattern)
            };
            return Ok(Expr::Match {
                selector,
                op,
                value,
            });
        }
        Err(self.error(
            "no match found, expected: \"!=\", \"==\", \"contains\", \"in\", \"is\", \"matches\" or \"not\"",
        ))
    }

    fn identifier(&mut self) -> Option<String> {
        self.space();
        let rest = self.rest();
        let len = rest
            .char_indices()
            .find(|(at, c)| {
                let fits = c.is_ascii_alphabetic()
                    || *c == '_'
                    || (*at > 0 && (c.is_ascii_digit() || *c == '/'));
                !fits
            })
            .map_or(rest.len(), |(at, _)| at);
        if len == 0 {
            return None;
        }
        let word = rest[..len].to_owned();
        self.at += len;
        Some(word)
    }

    fn selector(&mut self) -> Result<Selector, FilterError> {
        self.space();
        let start = self.at;
        if self.rest().starts_with('"') {
            let pointer = self.quoted()?;
            let Some(path) = pointer.strip_prefix('/') else {
                return Err(self.error("expected a selector"));
            };
            let path = path
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect();
            return Ok(Selector {
                path,
                text: pointer,
            });
        }
        let Some(first) = self.identifier() else {
            return Err(
                self.error("no match found, expected: \"(\", \"not\", a selector or a value")
            );
        };
        let mut path = vec![first];
        loop {
            if self.rest().starts_with('[') {
                self.at += 1;
                path.push(self.quoted()?);
                if !self.symbol("]") {
                    return Err(self.error("Unclosed index expression"));
                }
            } else if self.rest().starts_with('.') {
                self.at += 1;
                let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
                if digits > 0 {
                    path.push(self.rest()[..digits].to_owned());
                    self.at += digits;
                } else {
                    path.push(
                        self.identifier()
                            .ok_or_else(|| self.error("expected a name after \".\""))?,
                    );
                }
            } else {
                return Ok(Selector {
                    path,
                    text: self.text[start..self.at].to_owned(),
                });
            }
        }
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let quote = match self.rest().chars().next() {
            Some(quote @ ('"' | '`')) => quote,
            _ => return Err(self.error("expected a quoted string")),
        };
        let mut text = String::new();
        let mut chars = self.rest()[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.at += at + 2;
                return Ok(text);
            }
            if c == '\\' && quote == '"' {
                match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                }
            } else {
                text.push(c);
            }
        }
        Err(self.error("Unterminated string literal"))
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        self.space();
        if self.rest().starts_with(['"', '`']) {
            return self.quoted().map(Value::Text);
        }
        let rest = self.rest();
        let len = rest
            .find(|c: char| {
                !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '+'))
            })
            .unwrap_or(rest.len());
        if len == 0 {
            return Err(self.error("expected a value"));
        }
        let word = rest[..len].to_owned();
        self.at += len;
        Ok(Value::Word(word))
    }
}
