//! From a job to the text of a job file that reads back as the same job.
//!
//! The fields come from a table, so what a file cannot say (indexes, payload, a stopped job) is an error and never
//! lost in silence.

mod table;
mod table_connect;
#[cfg(test)]
mod tests;
mod text;

use nomad_core::spec::Job;
use serde_json::{Map, Value as Json};

use self::table::{Field, Form};
use self::text::{is_identifier, number, quoted, span};

/// Why a job cannot be written as a job file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrintError {
    /// The job holds what no job file can say.
    #[error("{path} cannot be said in a job file")]
    Unsayable {
        /// Where in the job's JSON.
        path: String,
    },
    /// The job is no JSON, which it always is.
    #[error("the job cannot be looked at: {0}")]
    Json(String),
}

/// The text of a job file for a job. Names of nodes and environment variables that only a client knows are written as
/// they are, everything else is plain text.
///
/// # Errors
/// The job holds something that a job file cannot say.
pub fn print(job: &Job) -> Result<String, PrintError> {
    let json = serde_json::to_value(job).map_err(|error| PrintError::Json(error.to_string()))?;
    let Json::Object(mut job) = json else {
        return Err(PrintError::Json("it is no object".to_owned()));
    };
    let mut printer = Printer {
        text: String::new(),
        path: Vec::new(),
    };
    let id = match job.remove("ID") {
        Some(Json::String(id)) => id,
        _ => String::new(),
    };
    printer.open("job", &[&id]);
    printer.fields(&job, table::JOB, &[])?;
    printer.close();
    Ok(printer.text)
}

struct Printer {
    text: String,
    path: Vec<String>,
}

impl Printer {
    fn indent(&mut self) {
        let depth = self.path.len();
        self.text.extend(std::iter::repeat_n("  ", depth));
    }

    fn open(&mut self, name: &str, labels: &[&str]) {
        self.indent();
        self.text.push_str(name);
        for label in labels {
            self.text.push(' ');
            // Labels are no templates.
            self.text.push_str(&text::label(label));
        }
        self.text.push_str(" {\n");
        self.path.push(name.to_owned());
    }

    fn close(&mut self) {
        self.path.pop();
        self.indent();
        self.text.push_str("}\n");
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.indent();
        self.text.push_str(name);
        self.text.push_str(" = ");
        self.text.push_str(value);
        self.text.push('\n');
    }

    fn refuse(&self, name: &str) -> PrintError {
        let mut path = self.path.join(".");
        path.push('.');
        path.push_str(name);
        PrintError::Unsayable { path }
    }

    /// All fields of an object; `seen` are those that have been written already.
    fn fields(
        &mut self,
        object: &Map<String, Json>,
        table: &[Field],
        seen: &[&str],
    ) -> Result<(), PrintError> {
        for (json, name, form) in table {
            if let Some(value) = object.get(*json).filter(|value| !value.is_null()) {
                self.field(json, name, *form, value)?;
            }
        }
        let unknown = object.iter().find(|(json, value)| {
            !is_default(value)
                && !seen.contains(&json.as_str())
                && !table.iter().any(|(known, ..)| known == json)
        });
        match unknown {
            Some((json, _)) => Err(self.refuse(json)),
            None => Ok(()),
        }
    }

    fn field(
        &mut self,
        json: &str,
        name: &str,
        form: Form,
        value: &Json,
    ) -> Result<(), PrintError> {
        match form {
            Form::Implied => {}
            Form::Plain if is_default(value) => {}
            Form::Set | Form::Plain | Form::Map => {
                let value = value_text(value);
                self.attribute(name, &value);
            }
            Form::PlainSpan if is_default(value) => {}
            Form::Span | Form::PlainSpan => {
                let nanos = value.as_i64().ok_or_else(|| self.refuse(json))?;
                self.attribute(name, &quoted(&span(nanos)));
            }
            Form::Entries => {
                self.open(name, &[]);
                for (key, value) in members(value) {
                    if !is_identifier(key) {
                        return Err(self.refuse(key));
                    }
                    self.attribute(key, &value_text(value));
                }
                self.close();
            }
            Form::Free => {
                self.open(name, &[]);
                for (key, value) in members(value) {
                    if !is_identifier(key) {
                        return Err(self.refuse(key));
                    }
                    let text = value_text(value);
                    // A bare object would become a list of one.
                    let text = if value.is_object() {
                        format!("({text})")
                    } else {
                        text
                    };
                    self.attribute(key, &text);
                }
                self.close();
            }
            Form::One(table) => self.block(name, &[], value, table, &[])?,
            Form::Many(table) => {
                for item in items(value) {
                    self.block(name, &[], item, table, &[])?;
                }
            }
            Form::Labelled(label, table) => {
                for item in items(value) {
                    let text = item[label].as_str().unwrap_or_default().to_owned();
                    self.block(name, &[&text], item, table, &[label])?;
                }
            }
            Form::ByName(label, table) => {
                for (key, item) in members(value) {
                    if item[label] != **key {
                        return Err(self.refuse(key));
                    }
                    self.block(name, &[key], item, table, &[label])?;
                }
            }
            Form::Ports => {
                for port in items(value) {
                    let fixed = port["Value"].as_i64().is_some_and(|value| value > 0);
                    if fixed != (json == "ReservedPorts") {
                        return Err(self.refuse(json));
                    }
                    let label = port["Label"].as_str().unwrap_or_default().to_owned();
                    self.block(name, &[&label], port, table::PORT, &["Label"])?;
                }
            }
            Form::TaskScaling => {
                for policy in items(value) {
                    let label = match policy["Type"].as_str() {
                        Some("vertical_cpu") => "cpu",
                        Some("vertical_mem") => "mem",
                        _ => return Err(self.refuse(json)),
                    };
                    self.block(name, &[label], policy, table::SCALING, &[])?;
                }
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        name: &str,
        labels: &[&str],
        value: &Json,
        table: &[Field],
        seen: &[&str],
    ) -> Result<(), PrintError> {
        let Json::Object(object) = value else {
            return Err(self.refuse(name));
        };
        self.open(name, labels);
        self.fields(object, table, seen)?;
        self.close();
        Ok(())
    }
}

fn items(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// Whether a value says no more than that it is not set.
fn is_default(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(_) | Json::Object(_) => false,
    }
}

/// A value as an expression.
fn value_text(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(value) => number(value),
        Json::String(text) => quoted(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(value_text).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{} = {}", quoted(key), value_text(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}
