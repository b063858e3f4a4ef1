//! Gives every place inside an expression that was read from a decoded text the place of the whole text.

use super::ast::{Expr, Kind, Part, Step};
use crate::source::Span;

/// Sets the places in a part of a template.
pub(super) fn part(part: &mut Part, span: Span) {
    match part {
        Part::Text(_) => {}
        Part::Interpolation(inner) => expr(inner, span),
        Part::If {
            condition,
            then,
            otherwise,
        } => {
            expr(condition, span);
            then.iter_mut()
                .chain(otherwise)
                .for_each(|inner| self::part(inner, span));
        }
        Part::For {
            collection, body, ..
        } => {
            expr(collection, span);
            for inner in body {
                self::part(inner, span);
            }
        }
    }
}

/// Sets the places in an expression.
pub(super) fn expr(target: &mut Expr, span: Span) {
    target.span = span;
    match &mut target.kind {
        Kind::Literal(_) => {}
        Kind::Template(parts) => parts.iter_mut().for_each(|inner| part(inner, span)),
        Kind::Wrap(inner) | Kind::Paren(inner) | Kind::Not(inner) | Kind::Negate(inner) => {
            expr(inner, span)
        }
        Kind::Tuple(items) => items.iter_mut().for_each(|item| expr(item, span)),
        Kind::Object(items) => items.iter_mut().for_each(|(key, value)| {
            expr(key, span);
            expr(value, span);
        }),
        Kind::Traversal { root, steps, .. } => {
            root.span = span;
            for inner in steps {
                step(inner, span);
            }
        }
        Kind::Relative(source, steps)
        | Kind::Splat {
            source,
            each: steps,
        } => {
            expr(source, span);
            for inner in steps {
                step(inner, span);
            }
        }
        Kind::Conditional(parts) => parts.iter_mut().for_each(|inner| expr(inner, span)),
        Kind::Call {
            name_span, args, ..
        } => {
            *name_span = span;
            for arg in args {
                expr(arg, span);
            }
        }
        Kind::Binary(_, sides) => sides.iter_mut().for_each(|side| expr(side, span)),
        Kind::For(inner) => {
            expr(&mut inner.collection, span);
            expr(&mut inner.value, span);
            inner
                .key
                .iter_mut()
                .chain(&mut inner.condition)
                .for_each(|inner| expr(inner, span));
        }
    }
}

fn step(step: &mut Step, span: Span) {
    match step {
        Step::Attribute(_, place) => *place = span,
        Step::Index(index, place) => {
            *place = span;
            expr(index, span);
        }
    }
}
