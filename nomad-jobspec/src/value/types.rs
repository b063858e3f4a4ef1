//! Types, their names, and the type that several values have in common.

use std::collections::BTreeMap;

use super::Value;

/// What a value is, or is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known or not said: anything.
    Dynamic,
    Bool,
    Number,
    String,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Tuple(Vec<Type>),
    Object(BTreeMap<String, Type>),
}

impl Type {
    /// The type of a value; what null and empty collections hold is not known.
    pub(crate) fn of(value: &Value) -> Self {
        let element = |items: &mut dyn Iterator<Item = &Value>| {
            items
                .map(Self::of)
                .find(|of| *of != Self::Dynamic)
                .unwrap_or(Self::Dynamic)
                .into()
        };
        match value {
            Value::Null => Self::Dynamic,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::List(items) => Self::List(element(&mut items.iter())),
            Value::Set(items) => Self::Set(element(&mut items.iter())),
            Value::Map(members) => Self::Map(element(&mut members.values())),
            Value::Tuple(items) => Self::Tuple(items.iter().map(Self::of).collect()),
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::of(value)))
                    .collect(),
            ),
        }
    }

    /// The type's name in a sentence.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Dynamic => "any type".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Number => "number".to_owned(),
            Self::String => "string".to_owned(),
            Self::List(of) => format!("list of {}", of.name()),
            Self::Set(of) => format!("set of {}", of.name()),
            Self::Map(of) => format!("map of {}", of.name()),
            Self::Tuple(_) => "tuple".to_owned(),
            Self::Object(_) => "object".to_owned(),
        }
    }

    /// What is missing where a value of another type stands.
    pub(crate) fn required(&self) -> String {
        match self {
            Self::Bool => "a bool is required".to_owned(),
            Self::Number => "a number is required".to_owned(),
            _ => format!("{} required", self.name()),
        }
    }

    /// Whether text becomes a value of this type as it is, without being read as an expression.
    pub(crate) const fn takes_raw_text(&self) -> bool {
        matches!(self, Self::String | Self::Number | Self::Dynamic)
    }
}

/// The type that values of all these types convert to, if there is one.
pub(crate) fn unify(types: &[Type]) -> Option<Type> {
    let mut known = types.iter().filter(|of| **of != Type::Dynamic);
    let Some(first) = known.next() else {
        return Some(Type::Dynamic);
    };
    let rest: Vec<&Type> = known.collect();
    if rest.iter().all(|of| *of == first) {
        return Some(first.clone());
    }
    let all = || std::iter::once(first).chain(rest.iter().copied());

    if all().all(is_primitive) {
        return all().any(|of| *of == Type::String).then_some(Type::String);
    }
    if all().all(|of| matches!(of, Type::Map(_) | Type::Object(_))) {
        return unify_mappings(&all().collect::<Vec<_>>());
    }
    if all().all(|of| matches!(of, Type::List(_) | Type::Set(_) | Type::Tuple(_))) {
        return unify_sequences(&all().collect::<Vec<_>>());
    }
    None
}

const fn is_primitive(of: &Type) -> bool {
    matches!(of, Type::Bool | Type::Number | Type::String)
}

fn unify_mappings(types: &[&Type]) -> Option<Type> {
    let objects: Vec<&BTreeMap<String, Type>> = types
        .iter()
        .filter_map(|of| {
            if let Type::Object(members) = of {
                Some(members)
            } else {
                None
            }
        })
        .collect();
    if objects.len() == types.len()
        && objects
            .windows(2)
            .all(|pair| pair[0].keys().eq(pair[1].keys()))
    {
        let members = objects[0]
            .keys()
            .map(|name| {
                let column: Vec<Type> = objects
                    .iter()
                    .map(|members| members[name].clone())
                    .collect();
                Some((name.clone(), unify(&column)?))
            })
            .collect::<Option<_>>()?;
        return Some(Type::Object(members));
    }
    let mut elements = Vec::new();
    for of in types {
        match of {
            Type::Map(element) => elements.push((**element).clone()),
            Type::Object(members) => elements.extend(members.values().cloned()),
            _ => return None,
        }
    }
    Some(Type::Map(unify(&elements)?.into()))
}

fn unify_sequences(types: &[&Type]) -> Option<Type> {
    let tuples: Vec<&Vec<Type>> = types
        .iter()
        .filter_map(|of| {
            if let Type::Tuple(items) = of {
                Some(items)
            } else {
                None
            }
        })
        .collect();
    if tuples.len() == types.len() && tuples.windows(2).all(|pair| pair[0].len() == pair[1].len()) {
        let items = (0..tuples[0].len())
            .map(|at| {
                unify(
                    &tuples
                        .iter()
                        .map(|items| items[at].clone())
                        .collect::<Vec<_>>(),
                )
            })
            .collect::<Option<_>>()?;
        return Some(Type::Tuple(items));
    }
    let mut elements = Vec::new();
    for of in types {
        match of {
            Type::List(element) | Type::Set(element) => elements.push((**element).clone()),
            Type::Tuple(items) => elements.extend(items.iter().cloned()),
            _ => return None,
        }
    }
    let element = Box::new(unify(&elements)?);
    Some(if types.iter().all(|of| matches!(of, Type::Set(_))) {
        Type::Set(element)
    } else {
        Type::List(element)
    })
}
