//! Type constraints: `string`, `list(number)`, `object({ name = string })`.

use std::collections::BTreeMap;

use crate::expr::{Evaluator, Failed};
use crate::source::Span;
use crate::syntax::ast::{Expr, Kind};
use crate::value::{Type, Value};

/// Reads a type; `any` only where `allow_any`.
pub(crate) fn type_expr(
    evaluator: &Evaluator<'_>,
    expr: &Expr,
    allow_any: bool,
) -> Result<Type, Failed> {
    let invalid = |span: Span, detail: String| {
        Err(evaluator.error(span, "Invalid type specification", detail))
    };
    match &expr.kind {
        Kind::Paren(inner) | Kind::Wrap(inner) => type_expr(evaluator, inner, allow_any),
        Kind::Traversal { root, steps, .. } if steps.is_empty() => match root.name.as_str() {
            "string" => Ok(Type::String),
            "number" => Ok(Type::Number),
            "bool" => Ok(Type::Bool),
            "any" if allow_any => Ok(Type::Dynamic),
            "any" => invalid(expr.span, "The keyword \"any\" cannot be used in this type specification: an exact type is required.".into()),
            name @ ("list" | "set" | "map") => invalid(
                expr.span,
                format!("The {name} type constructor requires one argument specifying the element type."),
            ),
            "object" => invalid(expr.span, "The object type constructor requires one argument specifying the attribute types and values as a map.".into()),
            "tuple" => invalid(expr.span, "The tuple type constructor requires one argument specifying the element types as a list.".into()),
            name => invalid(expr.span, format!("The keyword {name:?} is not a valid type specification.")),
        },
        Kind::Literal(Value::String(_)) => {
            invalid(expr.span, "A type specification is written without quotes, such as string or list(number).".into())
        }
        Kind::Call { name, name_span, args, .. } => {
            let [inner] = args.as_slice() else {
                return invalid(expr.span, format!("The {name} type constructor requires one argument."));
            };
            let element = |inner: &Expr| type_expr(evaluator, inner, allow_any).map(Box::new);
            match name.as_str() {
                "list" => Ok(Type::List(element(inner)?)),
                "set" => Ok(Type::Set(element(inner)?)),
                "map" => Ok(Type::Map(element(inner)?)),
                "object" => object_type(evaluator, inner, allow_any),
                "tuple" => tuple_type(evaluator, inner, allow_any),
                "optional" => invalid(*name_span, "Optional attributes are not supported in this type specification.".into()),
                _ => invalid(*name_span, format!("Keyword {name:?} is not a valid type constructor.")),
            }
        }
        _ => invalid(expr.span, "A type specification is either a primitive type keyword (bool, number, string) or a complex type constructor call, like list(string).".into()),
    }
}

fn object_type(evaluator: &Evaluator<'_>, expr: &Expr, allow_any: bool) -> Result<Type, Failed> {
    let Kind::Object(items) = &expr.kind else {
        return Err(evaluator.error(
            expr.span,
            "Invalid type specification",
            "Object type constructor requires a map whose keys are attribute names and whose values are the \
             corresponding attribute types.",
        ));
    };
    let mut members = BTreeMap::new();
    for (key, value) in items {
        let Kind::Literal(Value::String(name)) = &key.kind else {
            return Err(evaluator.error(
                key.span,
                "Invalid type specification",
                "Object constructor map keys must be attribute names.",
            ));
        };
        members.insert(
            name.as_ref().to_owned(),
            type_expr(evaluator, value, allow_any)?,
        );
    }
    Ok(Type::Object(members))
}

fn tuple_type(evaluator: &Evaluator<'_>, expr: &Expr, allow_any: bool) -> Result<Type, Failed> {
    let Kind::Tuple(items) = &expr.kind else {
        return Err(evaluator.error(
            expr.span,
            "Invalid type specification",
            "Tuple type constructor requires a list of element types.",
        ));
    };
    Ok(Type::Tuple(
        items
            .iter()
            .map(|item| type_expr(evaluator, item, allow_any))
            .collect::<Result<_, _>>()?,
    ))
}
