//! Typed attributes of devices: numbers with units, texts and truth values, compared within their kind.
//!
//! Source: job specification reference, "Constraints and affinities" (device constraints).

use std::cmp::Ordering;

use nomad_core::node::DeviceAttribute;

/// A value of a device attribute, numbers in the base unit of their family.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number { value: f64, family: Family },
    Text(String),
    Bool(bool),
}

/// Units that convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    None,
    Bytes,
    BytesPerSecond,
    Hertz,
    Watts,
}

fn unit(name: &str) -> Option<(Family, f64)> {
    let (size, family) = match name.strip_suffix("/s") {
        Some(size) => (size, Family::BytesPerSecond),
        None => (name, Family::Bytes),
    };
    let factor = match size {
        "KiB" => 1024_f64,
        "MiB" => 1024_f64.powi(2),
        "GiB" => 1024_f64.powi(3),
        "TiB" => 1024_f64.powi(4),
        "PiB" => 1024_f64.powi(5),
        "EiB" => 1024_f64.powi(6),
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "PB" => 1e15,
        "EB" => 1e18,
        _ => {
            return match name {
                "MHz" => Some((Family::Hertz, 1e6)),
                "GHz" => Some((Family::Hertz, 1e9)),
                "mW" => Some((Family::Watts, 1e-3)),
                "W" => Some((Family::Watts, 1.0)),
                "kW" => Some((Family::Watts, 1e3)),
                "MW" => Some((Family::Watts, 1e6)),
                "GW" => Some((Family::Watts, 1e9)),
                _ => None,
            };
        }
    };
    Some((family, factor))
}

impl Value {
    /// The value that a node reports.
    pub(crate) fn of(attribute: &DeviceAttribute) -> Option<Self> {
        if let Some(boolean) = attribute.boolean {
            return Some(Self::Bool(boolean));
        }
        if let Some(text) = &attribute.string {
            return Some(Self::Text(text.clone()));
        }
        let number = attribute.float.or(attribute.int.map(|int| int as f64))?;
        let (family, factor) = if attribute.unit.is_empty() {
            (Family::None, 1.0)
        } else {
            unit(&attribute.unit)?
        };
        Some(Self::Number {
            value: number * factor,
            family,
        })
    }

    /// Reads a literal: a number with an optional unit, a truth value, else text.
    pub(crate) fn parse(text: &str) -> Self {
        let trimmed = text.trim();
        let end = trimmed
            .rfind(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(0, |at| at + 1);
        let (number, suffix) = trimmed.split_at(end);
        let suffix = suffix.trim();
        if let Ok(value) = number.parse::<f64>() {
            if suffix.is_empty() {
                return Self::Number {
                    value,
                    family: Family::None,
                };
            }
            if let Some((family, factor)) = unit(suffix) {
                return Self::Number {
                    value: value * factor,
                    family,
                };
            }
        }
        match trimmed {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// The order of two values of one kind; nothing where they do not compare.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (
                Self::Number { value, family },
                Self::Number {
                    value: other,
                    family: other_family,
                },
            ) if family == other_family => value.partial_cmp(other),
            (Self::Text(text), Self::Text(other)) => Some(text.cmp(other)),
            // Truth values are equal or not; they have no order.
            (Self::Bool(value), Self::Bool(other)) => Some(if value == other {
                Ordering::Equal
            } else {
                Ordering::Less
            }),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_bool(&self) -> bool {
        matches!(self, Self::Bool(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_convert_within_their_family() {
        let value = |text| Value::parse(text);
        assert_eq!(
            value("2 GiB").compare(&value("2048 MiB")),
            Some(Ordering::Equal)
        );
        assert_eq!(
            value("1 GHz").compare(&value("900MHz")),
            Some(Ordering::Greater)
        );
        assert_eq!(value("1 GHz").compare(&value("1 GiB")), None);
        assert_eq!(value("11").compare(&value("11 GiB")), None);
        assert_eq!(value("true").compare(&value("true")), Some(Ordering::Equal));
        assert_eq!(value("abc").compare(&value("abd")), Some(Ordering::Less));
        assert_eq!(value("abc").compare(&value("1")), None);
    }
}
