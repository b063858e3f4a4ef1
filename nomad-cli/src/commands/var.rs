//! What the `var` commands share: specifications in, Variables out.

use std::io::Read as _;

use anyhow::{Context as _, Result, anyhow, bail};
use nomad_api::types::Variable;
use nomad_core::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::context::{Context, usage};
use crate::format::{kv, render, time};
use crate::spec_file::{from_hcl, is_name, quoted};

/// Largest specification or value that is read: above what a Variable may hold in its worst escaping.
const MAX_INPUT_BYTES: u64 = 1 << 20;

/// How a Variable is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    None,
    Json,
    Hcl,
    Table,
    GoTemplate,
    Terse,
}

impl Out {
    /// The form that was asked for, among those that the command has.
    ///
    /// # Errors
    /// It is none of them, or there is a template where none is wanted, or none where one is.
    pub fn choose(text: &str, allowed: &[Self], template: Option<&str>) -> Result<Self> {
        let all = [
            ("none", Self::None),
            ("json", Self::Json),
            ("hcl", Self::Hcl),
            ("table", Self::Table),
            ("go-template", Self::GoTemplate),
            ("terse", Self::Terse),
        ];
        let names: Vec<&str> = all
            .iter()
            .filter(|(_, out)| allowed.contains(out))
            .map(|(name, _)| *name)
            .collect();
        let found = all
            .iter()
            .find(|(name, out)| *name == text && allowed.contains(out));
        let Some((_, out)) = found else {
            return usage(format!(
                "Invalid -out {text:?}: want one of {}",
                names.join(", ")
            ));
        };
        match (*out == Self::GoTemplate, template) {
            (true, None) => usage("-out go-template needs -template"),
            (false, Some(_)) => usage("-template needs -out go-template"),
            _ => Ok(*out),
        }
    }
}

/// Prints a Variable.
///
/// # Errors
/// The template is wrong.
pub fn show(
    context: &Context,
    variable: &Variable,
    out: Out,
    template: Option<&str>,
) -> Result<()> {
    match out {
        Out::None | Out::Terse => {}
        Out::Json => context.ui.out(json_text(variable)?),
        Out::Hcl => context.ui.out(hcl_text(variable)),
        Out::GoTemplate => {
            let value = serde_json::to_value(variable)?;
            context
                .ui
                .out(render(template.unwrap_or_default(), &value)?);
        }
        Out::Table => {
            let mut lines = vec![
                ("Namespace", variable.namespace.clone()),
                ("Path", variable.path.clone()),
                ("Create Time", time(Timestamp(variable.create_time))),
            ];
            if variable.create_time != variable.modify_time {
                lines.push(("Modify Time", time(Timestamp(variable.modify_time))));
            }
            lines.push(("Check Index", variable.modify_index.to_string()));
            context.ui.out(kv(&lines));
            let items: Vec<(String, String)> = variable
                .items
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect();
            context.ui.section("Items", kv(&items));
        }
    }
    Ok(())
}

/// Two blanks deep, in the order in which people read it.
fn json_text(variable: &Variable) -> Result<String> {
    let mut value = json!({
        "Namespace": variable.namespace,
        "Path": variable.path,
        "CreateIndex": variable.create_index,
        "ModifyIndex": variable.modify_index,
        "CreateTime": variable.create_time,
        "ModifyTime": variable.modify_time,
    });
    if let Some(lock) = &variable.lock {
        value["Lock"] = serde_json::to_value(lock)?;
    }
    value["Items"] = serde_json::to_value(&variable.items)?;
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"  ");
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, formatter,
    ))?;
    Ok(String::from_utf8(bytes)?)
}

fn hcl_text(variable: &Variable) -> String {
    let items = variable.items.clone().unwrap_or_default();
    let keys: Vec<String> = items
        .keys()
        .map(|key| {
            if is_name(key) {
                key.clone()
            } else {
                quoted(key)
            }
        })
        .collect();
    let width = keys
        .iter()
        .map(|key| key.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines: Vec<String> = keys
        .iter()
        .zip(items.values())
        .map(|(key, value)| format!("  {key:>width$} = {}", quoted(value)))
        .collect();
    lines.insert(0, "items = {".to_owned());
    lines.push("}".to_owned());
    format!(
        "namespace = {}\npath      = {}\n\n# Set by the servers; modify_index is what a check-and-set compares.\n\
         create_index = {}\nmodify_index = {}\ncreate_time  = {}\nmodify_time  = {}\n\n{}",
        quoted(&variable.namespace),
        quoted(&variable.path),
        variable.create_index,
        variable.modify_index,
        variable.create_time,
        variable.modify_time,
        lines.join("\n")
    )
}

/// Text of a file, or of stdin for "-".
///
/// # Errors
/// It cannot be read, is too large, or is no UTF-8.
pub fn read_text(path: &str) -> Result<String> {
    let mut text = String::new();
    let read = |from: &mut dyn std::io::Read, text: &mut String| {
        from.take(MAX_INPUT_BYTES + 1).read_to_string(text)
    };
    let done = match path {
        "-" => read(&mut std::io::stdin(), &mut text),
        path => std::fs::File::open(path).and_then(|mut file| read(&mut file, &mut text)),
    };
    done.with_context(|| format!("Failed to read {path:?}"))?;
    if text.len() as u64 > MAX_INPUT_BYTES {
        bail!("{path:?} is larger than {MAX_INPUT_BYTES} bytes");
    }
    Ok(text)
}

/// A specification: from stdin for "-" in the format given, or `@file` by the file's ending.
///
/// # Errors
/// It cannot be read, or is none.
pub fn specification(word: &str, format: &str) -> Result<Variable> {
    let (path, format) = match word.strip_prefix('@') {
        None => ("-", format.to_owned()),
        Some(path) => match path.rsplit_once('.') {
            Some((_, end @ ("json" | "hcl"))) => (path, end.to_owned()),
            _ => bail!("Unable to determine the format of {path:?}: it must end in .json or .hcl"),
        },
    };
    let text = read_text(path)?;
    let map = match format.as_str() {
        "hcl" => from_hcl(&text),
        "json" => serde_json::from_str(&text).map_err(|error| anyhow!("{error}")),
        other => return usage(format!("Invalid -in {other:?}: want hcl or json")),
    };
    let map = map.map_err(|error| anyhow!("Failed to parse the specification: {error}"))?;
    from_map(map)
}

/// Keys of both formats: `create_index` and `CreateIndex` are the same.
fn from_map(map: Map<String, Value>) -> Result<Variable> {
    let mut variable = Variable::default();
    for (key, value) in map {
        let plain = key.replace('_', "").to_ascii_lowercase();
        let bad = |want: &str| anyhow!("{key} must be {want}");
        let text = || value.as_str().map(str::to_owned).ok_or_else(|| bad("text"));
        let number = || value.as_u64().ok_or_else(|| bad("a number"));
        match plain.as_str() {
            _ if value.is_null() => {}
            "namespace" => variable.namespace = text()?,
            "path" => variable.path = text()?,
            "createindex" => variable.create_index = number()?,
            "modifyindex" => variable.modify_index = number()?,
            "createtime" => variable.create_time = number()?.cast_signed(),
            "modifytime" => variable.modify_time = number()?.cast_signed(),
            "items" => {
                let items = value.as_object().ok_or_else(|| bad("an object"))?;
                variable.items = Some(items_of(items)?);
            }
            "lock" => {}
            _ => bail!("unknown key {key:?} in the specification"),
        }
    }
    Ok(variable)
}

/// Items of a JSON object; every value must be text.
///
/// # Errors
/// A value is something else.
pub fn items_of(map: &Map<String, Value>) -> Result<std::collections::BTreeMap<String, String>> {
    map.iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) => Ok((key.clone(), text.to_owned())),
            None => Err(anyhow!("item {key:?} must be text")),
        })
        .collect()
}

/// What to tell whoever writes at an index that is not the stored one.
pub fn conflict_text(given: u64, stored: &Variable) -> String {
    if stored.modify_index == 0 && stored.create_time == 0 {
        return format!(
            "\nCheck-and-Set conflict\n\n    Your provided check-index ({given}) does not match what the servers have: the\n    variable does not exist, or somebody holds its lock.\n"
        );
    }
    format!(
        "\nCheck-and-Set conflict\n\n    Your provided check-index ({given}) does not match the server-side index ({index}). The\n    server-side item was last updated on {at}. If you are sure you\n    want to perform this operation, add the -force or -check-index={index} flag before\n    the positional arguments.\n",
        index = stored.modify_index,
        at = time(Timestamp(stored.modify_time)),
    )
}

/// The path as the servers want it: without blanks and slashes around it.
pub fn clean_path(path: &str) -> String {
    path.trim_matches(|c: char| c == '/' || c.is_whitespace())
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable() -> Variable {
        Variable {
            namespace: "default".to_owned(),
            path: "app/db".to_owned(),
            modify_index: 7,
            items: Some(
                [("user", "me"), ("a b", "x\"y")]
                    .map(|(k, v)| (k.into(), v.into()))
                    .into(),
            ),
            ..Variable::default()
        }
    }

    #[test]
    fn rendered_hcl_and_json_read_back() {
        let hcl = hcl_text(&variable());
        assert!(
            hcl.contains("  \"a b\" = ") && hcl.contains("   user = "),
            "{hcl}"
        );
        assert_eq!(from_map(from_hcl(&hcl).unwrap()).unwrap(), variable());
        let json = json_text(&variable()).unwrap();
        assert!(json.starts_with("{\n  \"Namespace\": \"default\",\n  \"Path\""));
        assert_eq!(
            from_map(serde_json::from_str(&json).unwrap()).unwrap(),
            variable()
        );
    }

    #[test]
    fn specifications_with_mistakes_are_refused() {
        for json in [
            json!({"Items": {"a": 1}}),
            json!({"Path": 3}),
            json!({"Nonsense": 1}),
        ] {
            assert!(from_map(json.as_object().unwrap().clone()).is_err());
        }
    }

    #[test]
    fn forms_of_output_are_checked() {
        let allowed = [Out::Json, Out::GoTemplate];
        assert_eq!(Out::choose("json", &allowed, None).unwrap(), Out::Json);
        assert!(Out::choose("hcl", &allowed, None).is_err());
        assert!(Out::choose("go-template", &allowed, None).is_err());
        assert!(Out::choose("json", &allowed, Some("x")).is_err());
    }
}
