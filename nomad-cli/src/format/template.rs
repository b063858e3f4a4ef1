//! `-t`: an object by a Go template.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use gotmpl::{Template, Value as Data};
use serde_json::Value;

/// The object as the template shows it.
///
/// # Errors
/// The template is wrong, or does not fit the object.
pub fn render(template: &str, value: &Value) -> Result<String> {
    Template::new("format")
        .parse(template)
        .map_err(|error| anyhow!("Error formatting the data: {error}"))?
        .execute_to_string(&data(value))
        .map_err(|error| anyhow!("Error formatting the data: {error}"))
}

fn data(value: &Value) -> Data {
    match value {
        Value::Null => Data::Nil,
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Data::Int(value),
            (None, Some(value)) => Data::Uint(value),
            _ => Data::Float(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => Data::from(text.as_str()),
        Value::Array(list) => Data::from(list.iter().map(data).collect::<Vec<_>>()),
        Value::Object(map) => {
            let map: BTreeMap<Arc<str>, Data> = map
                .iter()
                .map(|(key, value)| (Arc::from(key.as_str()), data(value)))
                .collect();
            Data::from(map)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_shown_by_field() {
        let value = serde_json::json!([{"ID": "a", "N": 1}, {"ID": "b", "N": 2}]);
        assert_eq!(
            render("{{range .}}{{.ID}}={{.N}} {{end}}", &value).unwrap(),
            "a=1 b=2 "
        );
        assert!(render("{{", &value).is_err());
    }
}
