//! `var put|get|list|purge|init`.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::{QueryOptions, VariableWrite};
use nomad_api::types::Variable;
use nomad_core::Timestamp;

use super::shared::{print_object, row};
use super::var::{Out, clean_path, conflict_text, items_of, read_text, show, specification};
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{render, table, time};

/// Form of output where none is asked for: for people on a terminal, JSON otherwise.
fn standard(context: &Context, terminal: &'static str) -> &'static str {
    if context.ui.is_terminal() {
        terminal
    } else {
        "json"
    }
}

/// Flags of `var put`.
#[derive(Debug, Args)]
pub struct VarPut {
    /// Only if the Variable's modify index is this; 0 is "must not exist".
    #[arg(long, value_name = "index")]
    pub check_index: Option<u64>,
    /// Whatever is stored.
    #[arg(long)]
    pub force: bool,
    /// Format of a specification from stdin: "json" or "hcl".
    #[arg(long = "in", value_name = "format", default_value = "json")]
    pub input: String,
    /// How to print the result: none, json, hcl, table or go-template.
    #[arg(long, value_name = "format")]
    pub out: Option<String>,
    /// Template for -out go-template.
    #[arg(long, value_name = "template")]
    pub template: Option<String>,
    /// Tell more on stderr.
    #[arg(long)]
    pub verbose: bool,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for VarPut {
    const ARGUMENTS: &'static str = "<path|@file|-> [@file|-] [key=value...]";
    const ARITY: (usize, usize) = (1, usize::MAX);
    const ABOUT: &'static str = "Writes a Variable: items as key=value (@file reads a file, - reads stdin, nothing \
         removes the key), or a specification as JSON or HCL. What was written meanwhile is not overwritten, unless \
         -force says so.";

    async fn run(self, context: Context) -> Result<i32> {
        let out = self.out.as_deref();
        let out = Out::choose(
            out.unwrap_or_else(|| standard(&context, "none")),
            &[Out::None, Out::Json, Out::Hcl, Out::Table, Out::GoTemplate],
            self.template.as_deref(),
        )?;
        let variable = assemble(&context.args, &self.input, &context.config.namespace)?;
        let cas = match (self.force, self.check_index) {
            (true, _) => None,
            (false, Some(index)) => Some(index),
            (false, None) => Some(variable.modify_index),
        };
        for key in variable.items.iter().flatten().map(|(key, _)| key) {
            if !key.chars().all(|c| c.is_alphanumeric() || c == '_') {
                context.ui.warn(format!(
                    "{key:?} has characters that templates take only by index: {{{{index . {key:?}}}}}"
                ));
            }
        }
        if self.verbose {
            let path = &variable.path;
            context.ui.warn(format!("Writing to path {path:?}"));
        }
        let options = context.in_namespace(&variable.namespace);
        let written = context.client.put_variable(&variable, cas, &options).await;
        match written.context("Error creating variable")? {
            VariableWrite::Done(stored) if out == Out::None => {
                context.ui.out(format!(
                    "Created variable {:?} with modify index {}",
                    stored.path, stored.modify_index
                ));
            }
            VariableWrite::Done(stored) => {
                show(&context, &stored, out, self.template.as_deref())?;
            }
            VariableWrite::Conflict(stored) => {
                let text = conflict_text(cas.unwrap_or_default(), &stored);
                context.ui.error(text);
                return Ok(1);
            }
        }
        Ok(0)
    }
}

/// The Variable that the arguments describe.
fn assemble(args: &[String], format: &str, namespace: &str) -> Result<Variable> {
    let is_spec = |word: &str| word == "-" || (word.starts_with('@') && !word.contains('='));
    let mut stdin = Stdin::default();
    let mut words = args.iter().map(String::as_str).peekable();
    let first = words.next().unwrap_or_default();
    let mut variable = if is_spec(first) {
        stdin.take(first)?;
        specification(first, format)?
    } else {
        let path = clean_path(first);
        let mut variable = match words.next_if(|word| is_spec(word)) {
            Some(word) => {
                stdin.take(word)?;
                specification(word, format)?
            }
            None => Variable::default(),
        };
        if variable.path != path {
            forget_indexes(&mut variable);
        }
        variable.path = path;
        variable
    };
    if !namespace.is_empty() && variable.namespace != namespace {
        if !variable.namespace.is_empty() {
            forget_indexes(&mut variable);
        }
        namespace.clone_into(&mut variable.namespace);
    }
    if variable.path.is_empty() {
        return usage("A path is needed: as the first argument, or in the specification");
    }
    let mut items = variable.items.take().unwrap_or_default();
    merge(&mut items, words, &mut stdin)?;
    if items.is_empty() {
        return usage("At least one item is needed: key=value, or in the specification");
    }
    variable.items = Some(items);
    Ok(variable)
}

fn forget_indexes(variable: &mut Variable) {
    variable.create_index = 0;
    variable.modify_index = 0;
}

/// Stdin can be read once only.
#[derive(Default)]
struct Stdin {
    taken: bool,
}

impl Stdin {
    fn take(&mut self, word: &str) -> Result<()> {
        if word == "-" && std::mem::replace(&mut self.taken, true) {
            return usage("Stdin (-) can be given only once");
        }
        Ok(())
    }
}

/// Adds items as they are given on the command line; without a value the item is removed.
fn merge<'a>(
    items: &mut BTreeMap<String, String>,
    words: impl Iterator<Item = &'a str>,
    stdin: &mut Stdin,
) -> Result<()> {
    let mut given = std::collections::BTreeSet::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            if word != "-" && !word.starts_with('@') {
                return usage(format!("{word:?} is no item: want key=value"));
            }
            stdin.take(word)?;
            let text = read_text(word.strip_prefix('@').unwrap_or(word))?;
            let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
                .with_context(|| format!("Failed to parse the items of {word:?}"))?;
            items.extend(items_of(&map)?);
            continue;
        };
        if key.is_empty() {
            return usage(format!("{word:?} has no key"));
        }
        if !given.insert(key) {
            return usage(format!("Item {key:?} is given twice"));
        }
        let value = if value.is_empty() {
            items.remove(key);
            continue;
        } else if value == "-" {
            stdin.take(value)?;
            read_text(value)?
        } else if let Some(path) = value.strip_prefix('@') {
            read_text(path)?
        } else {
            let escaped = value.strip_prefix('\\').filter(|v| v.starts_with('@'));
            escaped.unwrap_or(value).to_owned()
        };
        items.insert(key.to_owned(), value);
    }
    Ok(())
}

/// Flags of `var get`.
#[derive(Debug, Args)]
pub struct VarGet {
    /// How to print it: none, json, hcl, table or go-template.
    #[arg(long, value_name = "format")]
    pub out: Option<String>,
    /// Print only the value of this item, without a line end.
    #[arg(long, value_name = "key")]
    pub item: Option<String>,
    /// Template for -out go-template.
    #[arg(long, value_name = "template")]
    pub template: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for VarGet {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows a Variable with its items.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.item.is_some() && (self.out.is_some() || self.template.is_some()) {
            return usage("-item cannot be combined with -out or -template");
        }
        if context.config.namespace == "*" {
            return usage("The wildcard namespace (*) does not name one Variable");
        }
        let out = Out::choose(
            self.out
                .as_deref()
                .unwrap_or_else(|| standard(&context, "table")),
            &[Out::None, Out::Json, Out::Hcl, Out::Table, Out::GoTemplate],
            self.template.as_deref(),
        )?;
        let path = clean_path(context.arg(0));
        let found = context.client.variable(&path, &QueryOptions::new()).await;
        let variable = match found {
            Ok((variable, _)) => variable,
            Err(error) if error.is_not_found() => bail!("Variable not found"),
            Err(error) => return Err(error).context("Error retrieving variable"),
        };
        let Some(key) = &self.item else {
            show(&context, &variable, out, self.template.as_deref())?;
            return Ok(0);
        };
        match variable.items.as_ref().and_then(|items| items.get(key)) {
            Some(value) => context.ui.out_bytes(value.as_bytes()),
            None => bail!("Variable does not contain {key:?} item"),
        }
        Ok(0)
    }
}

/// Flags of `var list`.
#[derive(Debug, Args)]
pub struct VarList {
    /// Entries per page.
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub per_page: u32,
    /// Where the page begins.
    #[arg(long, value_name = "token", default_value = "")]
    pub page_token: String,
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// How to print them: json, table, terse or go-template.
    #[arg(long, value_name = "format")]
    pub out: Option<String>,
    /// Template for -out go-template.
    #[arg(long, value_name = "template")]
    pub template: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for VarList {
    const ARGUMENTS: &'static str = "[prefix]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Lists Variables, without their items.";

    async fn run(self, context: Context) -> Result<i32> {
        let out = Out::choose(
            self.out
                .as_deref()
                .unwrap_or_else(|| standard(&context, "table")),
            &[Out::Json, Out::Table, Out::Terse, Out::GoTemplate],
            self.template.as_deref(),
        )?;
        if !self.filter.is_empty() {
            context.ui.warn(
                "The servers look at every Variable below the prefix to filter: that may be slow where there are many.",
            );
        }
        let options = QueryOptions {
            prefix: context.arg(0).trim_start_matches('/').to_owned(),
            filter: self.filter,
            per_page: self.per_page,
            next_token: self.page_token,
            ..QueryOptions::new()
        };
        let (rows, meta) = context
            .client
            .variables(&options)
            .await
            .context("Error retrieving vars")?;
        let all_namespaces = context.config.namespace == "*";
        match out {
            Out::Json => {
                let mut value = serde_json::to_value(&rows)?;
                for row in value.as_array_mut().into_iter().flatten() {
                    if let Some(row) = row.as_object_mut() {
                        row.retain(|key, value| key != "Lock" || !value.is_null());
                    }
                }
                print_object(&context, value, None)?;
            }
            Out::GoTemplate => {
                let value = serde_json::to_value(&rows)?;
                let template = self.template.unwrap_or_default();
                context.ui.out(render(&template, &value)?);
            }
            _ if rows.is_empty() => context.ui.out("No matching variables found"),
            Out::Terse => {
                for row in &rows {
                    context.ui.out(if all_namespaces {
                        format!("{}  {}", row.namespace, row.path)
                    } else {
                        row.path.clone()
                    });
                }
            }
            _ => {
                let mut lines = vec![row(["Namespace", "Path", "Last Updated"])];
                lines.extend(rows.iter().map(|row| {
                    let at = time(Timestamp(row.modify_time));
                    vec![row.namespace.clone(), row.path.clone(), at]
                }));
                context.ui.out(table(&lines));
            }
        }
        if !meta.next_token.is_empty() {
            context
                .ui
                .warn(format!("Next page token: {}", meta.next_token));
        }
        Ok(0)
    }
}

/// Flags of `var purge`.
#[derive(Debug, Args)]
pub struct VarPurge {
    /// Only if the Variable's modify index is this.
    #[arg(long, value_name = "index")]
    pub check_index: Option<u64>,
}

impl Verb for VarPurge {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Deletes a Variable for good.";

    async fn run(self, context: Context) -> Result<i32> {
        let path = clean_path(context.arg(0));
        let deleted = context
            .client
            .delete_variable(&path, self.check_index, &QueryOptions::new())
            .await
            .context("Error purging variable")?;
        if let VariableWrite::Conflict(stored) = deleted {
            let text = conflict_text(self.check_index.unwrap_or_default(), &stored);
            context.ui.error(text);
            return Ok(1);
        }
        context
            .ui
            .out(format!("Successfully purged variable {path:?}!"));
        Ok(0)
    }
}

/// Flags of `var init`.
#[derive(Debug, Args)]
pub struct VarInit {
    /// "hcl" or "json".
    #[arg(long, value_name = "format", default_value = "hcl")]
    pub out: String,
    /// Say nothing.
    #[arg(long)]
    pub quiet: bool,
}

impl Verb for VarInit {
    const ARGUMENTS: &'static str = "[filename]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Writes an example of a specification for var put.";

    async fn run(self, context: Context) -> Result<i32> {
        let (standard, text) = match self.out.as_str() {
            "hcl" => ("spec.nv.hcl", EXAMPLE_HCL),
            "json" => ("spec.nv.json", EXAMPLE_JSON),
            other => return usage(format!("Invalid -out {other:?}: want hcl or json")),
        };
        let name = match context.arg(0) {
            "" => standard,
            name => name,
        };
        match std::fs::File::create_new(name) {
            Ok(mut file) => file
                .write_all(text.as_bytes())
                .with_context(|| format!("Failed to write {name:?}"))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("File {name:?} already exists")
            }
            Err(error) => return Err(error).with_context(|| format!("Failed to write {name:?}")),
        }
        if !self.quiet {
            context
                .ui
                .out(format!("Example variable specification written to {name}"));
        }
        Ok(0)
    }
}

const EXAMPLE_HCL: &str = r#"# Where the Variable is. A -namespace flag or another path on the command line wins.
namespace = "default"
path      = "path/to/variable"

# A write succeeds only while this is the stored index; 0 is "must not exist yet".
# modify_index = 0

# Text under names. Templates reach names of letters, digits and _ as fields.
items = {
  user     = "me"
  password = "secret"
}
"#;

const EXAMPLE_JSON: &str = r#"{
  "Namespace": "default",
  "Path": "path/to/variable",
  "ModifyIndex": 0,
  "Items": {
    "user": "me",
    "password": "secret"
  }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(words: &[&str]) -> Result<Variable> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assemble(&words, "json", "")
    }

    fn item(variable: &Variable, key: &str) -> Option<String> {
        variable.items.as_ref().unwrap().get(key).cloned()
    }

    #[test]
    fn items_come_from_words_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let raw = file("raw", "line\n");
        let spec = file(
            "spec.json",
            r#"{"Path": "p", "ModifyIndex": 7, "Items": {"a": "1", "b": "2"}}"#,
        );
        let more = file("more", r#"{"c": "3"}"#);
        let (at_raw, at_spec, at_more) =
            (format!("x=@{raw}"), format!("@{spec}"), format!("@{more}"));
        let variable = made(&["/app/db/", "k=v=w", &at_raw, "y=\\@z"]).unwrap();
        assert_eq!(variable.path, "app/db");
        assert_eq!(item(&variable, "k").unwrap(), "v=w");
        assert_eq!(item(&variable, "x").unwrap(), "line\n");
        assert_eq!(item(&variable, "y").unwrap(), "@z");
        let variable = made(&[&at_spec, "a=", &at_more]).unwrap();
        assert_eq!((variable.path.as_str(), variable.modify_index), ("p", 7));
        assert_eq!(item(&variable, "a"), None);
        assert_eq!(item(&variable, "c").unwrap(), "3");
        // Another path: what the specification knows of the stored one no longer counts.
        let variable = made(&["q", &at_spec]).unwrap();
        assert_eq!((variable.path.as_str(), variable.modify_index), ("q", 0));
        for wrong in [
            &["p"][..],
            &["p", "novalue"],
            &["p", "a=1", "a=2"],
            &["p", "=1"],
            &["@none.txt"],
            &["/", "a=1"],
        ] {
            assert!(made(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_examples_are_specifications() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("a.hcl", EXAMPLE_HCL), ("a.json", EXAMPLE_JSON)] {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            let variable = made(&[&format!("@{}", path.display())]).unwrap();
            assert_eq!(variable.path, "path/to/variable");
            assert_eq!(item(&variable, "user").unwrap(), "me");
        }
    }
}
