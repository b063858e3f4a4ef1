//! Attributes as the types of job fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::Nanos;
use nomad_core::time::parse_go_duration;

use super::body::Reader;
use crate::diagnostic::Diagnostic;
use crate::expr::Failed;
use crate::source::Span;
use crate::syntax::ast::Attribute;
use crate::value::{Number, Type, Value, convert};

impl Reader<'_> {
    /// Says that a value does not fit.
    pub(super) fn unsuitable(&self, span: Span, detail: impl AsRef<str>, expected: &str) {
        self.evaluator.tell(
            Diagnostic::at(
                self.evaluator.sources,
                span,
                "Unsuitable value type",
                format!("Unsuitable value: {}", detail.as_ref()),
            )
            .expected(expected),
        );
    }

    /// The value of an attribute as a type; unset and null are `None`, as is a value that has been refused.
    fn typed(&self, name: &'static str, to: &Type, expected: &str) -> Option<(Value, Span)> {
        let attribute = self.attribute(name)?;
        self.typed_attribute(&attribute, to, expected)
    }

    fn typed_attribute(
        &self,
        attribute: &Attribute,
        to: &Type,
        expected: &str,
    ) -> Option<(Value, Span)> {
        let span = attribute.value.span;
        let value = self.evaluator.eval(&attribute.value, &self.scope).ok()?;
        match convert(&value, to) {
            Ok(Value::Null) => None,
            Ok(value) => Some((value, span)),
            Err(error) => {
                self.unsuitable(span, error.to_string(), expected);
                None
            }
        }
    }

    /// A string.
    pub(crate) fn string(&self, name: &'static str) -> Option<String> {
        match self.typed(name, &Type::String, "a string")?.0 {
            Value::String(text) => Some(text.as_ref().to_owned()),
            _ => None,
        }
    }

    /// A string, empty where it is not set.
    pub(crate) fn text(&self, name: &'static str) -> String {
        self.string(name).unwrap_or_default()
    }

    /// true or false.
    pub(crate) fn bool(&self, name: &'static str) -> Option<bool> {
        match self.typed(name, &Type::Bool, "true or false")?.0 {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is set to true.
    pub(crate) fn flag(&self, name: &'static str) -> bool {
        self.bool(name).unwrap_or(false)
    }

    /// A whole number of any size.
    fn whole(&self, name: &'static str, expected: &str) -> Option<(Number, Span)> {
        let (Value::Number(number), span) = self.typed(name, &Type::Number, expected)? else {
            return None;
        };
        if !number.is_integer() {
            self.unsuitable(span, "value must be a whole number", expected);
            return None;
        }
        Some((number, span))
    }

    /// A whole number.
    pub(crate) fn int(&self, name: &'static str) -> Option<i64> {
        self.bounded(name)
    }

    /// A whole number that fits the type.
    pub(crate) fn bounded<T: TryFrom<i64> + Bounds>(&self, name: &'static str) -> Option<T> {
        let expected = format!("a whole number between {} and {}", T::LEAST, T::MOST);
        let (number, span) = self.whole(name, &expected)?;
        let value = number.to_i64().and_then(|value| T::try_from(value).ok());
        if value.is_none() {
            let detail = format!(
                "value must be a whole number, between {} and {} inclusive",
                T::LEAST,
                T::MOST
            );
            self.unsuitable(span, detail, &expected);
        }
        value
    }

    /// A whole number of which the lowest eight bits count, as for weights.
    pub(crate) fn wrapping_i8(&self, name: &'static str) -> Option<i8> {
        self.int(name).map(|value| value as i8)
    }

    /// A duration: text such as `1h30m`, or a number of nanoseconds.
    pub(crate) fn duration(&self, name: &'static str) -> Option<Nanos> {
        let attribute = self.attribute(name)?;
        let span = attribute.value.span;
        let value = self.evaluator.eval(&attribute.value, &self.scope).ok()?;
        let refuse = |detail: String| {
            self.evaluator.tell(
                Diagnostic::at(
                    self.evaluator.sources,
                    span,
                    "Unsuitable value type",
                    format!("Unsuitable duration value: {detail}"),
                )
                .expected(
                    "a duration such as \"30s\", \"5m\" or \"1h30m\", or a number of nanoseconds",
                ),
            );
        };
        match value {
            Value::String(text) => match parse_go_duration(&text) {
                Some(span) => Some(span),
                None => {
                    refuse(duration_error(&text));
                    None
                }
            },
            Value::Number(number) => {
                let nanos = number.to_i64().map(Nanos);
                if nanos.is_none() {
                    refuse("value must be a whole number of nanoseconds".to_owned());
                }
                nanos
            }
            _ => {
                refuse("expected a string or number".to_owned());
                None
            }
        }
    }

    /// A list of strings.
    pub(crate) fn strings(&self, name: &'static str) -> Option<Vec<String>> {
        let attribute = self.attribute(name)?;
        self.strings_of(&attribute)
    }

    /// The value of an attribute as a list of strings.
    pub(crate) fn strings_of(&self, attribute: &Attribute) -> Option<Vec<String>> {
        let (list, span) = self.typed_attribute(
            attribute,
            &Type::List(Type::String.into()),
            "a list of strings",
        )?;
        let items = list.elements()?;
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect();
        if texts.is_none() {
            self.unsuitable(span, "a list element must not be null", "a list of strings");
        }
        texts
    }

    /// A list of port numbers.
    pub(crate) fn ports(&self, name: &'static str) -> Option<Vec<u16>> {
        let (list, span) = self.typed(
            name,
            &Type::List(Type::Number.into()),
            "a list of port numbers",
        )?;
        let ports: Option<Vec<u16>> = list
            .elements()?
            .iter()
            .map(|item| match item {
                Value::Number(number) => number.to_i64().and_then(|port| u16::try_from(port).ok()),
                _ => None,
            })
            .collect();
        if ports.is_none() {
            let detail = "value must be a whole number, between 0 and 65535 inclusive";
            self.unsuitable(span, detail, "a list of port numbers");
        }
        ports
    }

    /// A map of strings as an attribute.
    pub(crate) fn string_map_attribute(
        &self,
        name: &'static str,
    ) -> Option<BTreeMap<String, String>> {
        let attribute = self.attribute(name)?;
        let (map, span) = self.typed_attribute(
            &attribute,
            &Type::Map(Type::String.into()),
            "a map of strings",
        )?;
        let texts: Option<BTreeMap<String, String>> = map
            .members()?
            .iter()
            .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        if texts.is_none() {
            self.unsuitable(span, "a map element must not be null", "a map of strings");
        }
        texts
    }

    /// A map of strings as a block; several blocks are not allowed.
    pub(crate) fn string_map_block(&self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let block = self.block(name)?;
        Some(block.string_members())
    }

    /// All attributes of this body as strings.
    pub(crate) fn string_members(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for attribute in self.all_attributes() {
            if let Some((Value::String(text), _)) =
                self.typed_attribute(&attribute, &Type::String, "a string")
            {
                texts.insert(attribute.name.clone(), text.as_ref().to_owned());
            }
        }
        texts
    }

    /// A map of strings in either form, which allows keys that are no identifiers; both forms together are an error.
    pub(crate) fn string_map(&self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let written: Option<Arc<Attribute>> = self
            .body
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .cloned();
        let Some(attribute) = written else {
            return self.string_map_block(name);
        };
        let map = self.string_map_attribute(name);
        if let Some(block) = self.block(name) {
            self.evaluator.error(
                block.header(),
                format!("Duplicate {name} block"),
                format!(
                    "{name} may not be defined more than once; it was set as an argument at {}.",
                    self.evaluator.sources.range(attribute.name_span)
                ),
            );
        }
        map
    }

    /// Says what a required attribute is missing from.
    pub(crate) fn missing(&self, name: &str) -> Failed {
        self.evaluator.error(
            self.header(),
            "Missing required argument",
            format!("The argument {name:?} is required, but no definition was found."),
        )
    }
}

/// The numbers that a type holds.
pub(crate) trait Bounds {
    const LEAST: i128;
    const MOST: i128;
}

macro_rules! bounds {
    ($($of:ty),*) => {$(
        impl Bounds for $of {
            const LEAST: i128 = <$of>::MIN as i128;
            const MOST: i128 = <$of>::MAX as i128;
        }
    )*};
}

bounds!(i64, u8, u16, u32, u64);

/// What Go says about a text that is no duration.
fn duration_error(text: &str) -> String {
    let body = text.trim_start_matches(['+', '-']);
    let number = body
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.')
        .count();
    let unit_end = body[number..]
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(body.len(), |at| number + at);
    let unit = &body[number..unit_end];
    if number == 0 || body[..number].chars().all(|c| c == '.') {
        format!("time: invalid duration {text:?}")
    } else if unit.is_empty() {
        format!("time: missing unit in duration {text:?}")
    } else if matches!(unit, "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h") {
        format!("time: invalid duration {text:?}")
    } else {
        format!("time: unknown unit {unit:?} in duration {text:?}")
    }
}
