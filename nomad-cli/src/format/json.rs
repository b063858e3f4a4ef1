//! JSON as the command line prints it: keys sorted, four blanks deep.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// With its keys in alphabetical order, all the way down.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Four blanks deep, in the order the value has.
pub fn json(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    // Writing a value to memory cannot fail.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_html_stays() {
        let value = serde_json::json!({"b": [{"d": 1, "c": "<&>"}], "A": null});
        assert_eq!(
            json(&sorted(value)),
            "{\n    \"A\": null,\n    \"b\": [\n        {\n            \"c\": \"<&>\",\n            \"d\": 1\n        }\n    ]\n}"
        );
    }
}
