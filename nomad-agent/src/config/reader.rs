//! Typed reading of a configuration tree: every key is taken once, and what is left over is a mistake.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nomad_core::job::StringMap;
use nomad_core::time::parse_go_duration;

/// A mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Empty for flags.
    pub file: PathBuf,
    /// 0 where it concerns the whole file.
    pub line: usize,
    pub text: String,
}

impl Problem {
    /// A mistake of a whole file.
    pub fn of_file(file: &Path, text: String) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            text,
        }
    }

    /// A mistake without a place.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            file: PathBuf::new(),
            line: 0,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_os_str().is_empty(), self.line) {
            (true, _) => f.write_str(&self.text),
            (false, 0) => write!(f, "{}: {}", self.file.display(), self.text),
            (false, line) => write!(f, "{}:{line}: {}", self.file.display(), self.text),
        }
    }
}

/// A block: its keys in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) file: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) labels: Vec<String>,
    pub(super) line: usize,
    pub(super) item: Item,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Item>),
    Block(Block),
}

impl Block {
    pub(super) fn push(&mut self, key: &str, labels: Vec<String>, line: usize, item: Item) {
        self.entries.push(Entry {
            key: key.to_owned(),
            labels,
            line,
            item,
        });
    }
}

impl Item {
    /// As JSON, for configuration that a driver reads itself.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Value::from(*number as i64)
            }
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Block(block) => {
                let map = block
                    .entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.item.to_json()))
                    .collect();
                Value::Object(map)
            }
        }
    }
}

/// Reads one block.
pub(super) struct Reader<'a> {
    block: &'a Block,
    /// Name of the block for messages, innermost first; "" at the top.
    path: String,
    taken: Vec<bool>,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        block: &'a Block,
        path: &str,
        problems: &'a mut Vec<Problem>,
        warnings: &'a mut Vec<String>,
    ) -> Self {
        Self {
            block,
            path: path.to_owned(),
            taken: vec![false; block.entries.len()],
            problems,
            warnings,
        }
    }

    /// The last entry of that key, in any case of letters; all of them count as taken.
    fn take(&mut self, key: &str) -> Option<&'a Entry> {
        let mut found = None;
        for (at, entry) in self.block.entries.iter().enumerate() {
            if entry.key.eq_ignore_ascii_case(key) {
                self.taken[at] = true;
                found = Some(entry);
            }
        }
        found.filter(|entry| entry.item != Item::Null)
    }

    fn problem(&mut self, line: usize, text: String) {
        self.problems.push(Problem {
            file: self.block.file.clone(),
            line,
            text,
        });
    }

    fn wrong(&mut self, entry: &Entry, wanted: &str) {
        let name = self.name(&entry.key);
        self.problem(entry.line, format!("{name} must be {wanted}"));
    }

    /// `server.num_schedulers`.
    fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn text(&mut self, key: &str, into: &mut String) {
        let Some(entry) = self.take(key) else { return };
        match &entry.item {
            Item::Text(text) => into.clone_from(text),
            Item::Number(number) => *into = number.to_string(),
            Item::Bool(value) => *into = value.to_string(),
            _ => self.wrong(entry, "a string"),
        }
    }

    pub(super) fn path(&mut self, key: &str, into: &mut Option<PathBuf>) {
        let mut text = String::new();
        self.text(key, &mut text);
        if !text.is_empty() {
            *into = Some(PathBuf::from(text));
        }
    }

    pub(super) fn flag(&mut self, key: &str, into: &mut bool) {
        let Some(entry) = self.take(key) else { return };
        match &entry.item {
            Item::Bool(value) => *into = *value,
            Item::Text(text) if text == "true" || text == "false" => *into = text == "true",
            _ => self.wrong(entry, "true or false"),
        }
    }

    /// A whole number within a range.
    pub(super) fn number<T>(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        into: &mut T,
    ) where
        T: TryFrom<i64>,
    {
        let Some(entry) = self.take(key) else { return };
        let number = match &entry.item {
            Item::Number(number) if number.fract() == 0.0 => Some(*number as i64),
            Item::Text(text) => text.parse().ok(),
            _ => None,
        };
        match number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
        {
            Some(number) => *into = number,
            None => self.wrong(
                entry,
                &format!("a whole number from {} to {}", range.start(), range.end()),
            ),
        }
    }

    pub(super) fn optional_number<T>(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        into: &mut Option<T>,
    ) where
        T: TryFrom<i64> + Default,
    {
        if self
            .block
            .entries
            .iter()
            .any(|entry| entry.key.eq_ignore_ascii_case(key))
        {
            let mut value = T::default();
            self.number(key, range, &mut value);
            *into = Some(value);
        }
    }

    pub(super) fn float(&mut self, key: &str, into: &mut f64) {
        let Some(entry) = self.take(key) else { return };
        match &entry.item {
            Item::Number(number) => *into = *number,
            _ => self.wrong(entry, "a number"),
        }
    }

    /// A duration with its unit.
    pub(super) fn duration(&mut self, key: &str, into: &mut Duration) {
        let Some(entry) = self.take(key) else { return };
        let parsed = match &entry.item {
            Item::Text(text) => parse_go_duration(text).filter(|span| span.0 >= 0),
            _ => None,
        };
        match parsed {
            Some(span) => *into = span.to_std(),
            None => {
                let (name, value) = (self.name(&entry.key), entry.item.to_json());
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let text = format!(
                    "{name} can't parse time duration {value} (write it with a unit, such as \"30s\")"
                );
                self.problem(entry.line, text);
            }
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let entry = self.take(key)?;
        let items = match &entry.item {
            Item::List(items) => items
                .iter()
                .map(|item| match item {
                    Item::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        if items.is_none() {
            self.wrong(entry, "a list of strings");
        }
        items
    }

    /// A map of strings, as a block or an object; merged over what is there.
    pub(super) fn map(&mut self, key: &str, into: &mut StringMap) {
        for block in self.blocks(key) {
            for entry in &block.1.entries {
                match &entry.item {
                    Item::Text(text) => into.insert(entry.key.clone(), text.clone()),
                    Item::Number(number) => into.insert(entry.key.clone(), number.to_string()),
                    Item::Bool(value) => into.insert(entry.key.clone(), value.to_string()),
                    _ => {
                        self.wrong(entry, "a string");
                        None
                    }
                };
            }
        }
    }

    /// Every block of that key with its labels; JSON may write labels as nested objects, alone or in lists.
    pub(super) fn blocks(&mut self, key: &str) -> Vec<(Vec<String>, &'a Block)> {
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        for (at, entry) in self.block.entries.iter().enumerate() {
            if !entry.key.eq_ignore_ascii_case(key) {
                continue;
            }
            self.taken[at] = true;
            match &entry.item {
                Item::Block(block) => found.push((entry.labels.clone(), block)),
                Item::List(items) => {
                    for item in items {
                        match item {
                            Item::Block(block) => found.push((entry.labels.clone(), block)),
                            _ => wrong.push(entry),
                        }
                    }
                }
                Item::Null => {}
                _ => wrong.push(entry),
            }
        }
        for entry in wrong {
            self.wrong(entry, "a block");
        }
        found
    }

    /// Blocks with one label: `host_volume "data" { … }`, or in JSON `{"host_volume": {"data": { … }}}`.
    pub(super) fn labelled(&mut self, key: &str) -> Vec<(String, &'a Block)> {
        let mut found = Vec::new();
        for (labels, block) in self.blocks(key) {
            if let Some(label) = labels.into_iter().next() {
                found.push((label, block));
                continue;
            }
            for entry in &block.entries {
                match &entry.item {
                    Item::Block(inner) => found.push((entry.key.clone(), inner)),
                    Item::List(items) => {
                        for item in items {
                            if let Item::Block(inner) = item {
                                found.push((entry.key.clone(), inner));
                            }
                        }
                    }
                    _ => self.wrong(entry, "a block with a name"),
                }
            }
        }
        found
    }

    /// Reads every block of that key with a reader of its own.
    pub(super) fn each(&mut self, key: &str, mut read: impl FnMut(&mut Reader<'_>)) {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{key}.{}", self.path)
        };
        for (_, block) in self.blocks(key) {
            let mut reader = Reader::new(block, &path, self.problems, self.warnings);
            read(&mut reader);
            reader.finish();
        }
    }

    /// Reads one block that [`labelled`](Self::labelled) gave.
    pub(super) fn within(&mut self, key: &str, block: &Block, read: impl FnOnce(&mut Reader<'_>)) {
        let mut reader = Reader::new(block, key, self.problems, self.warnings);
        read(&mut reader);
        reader.finish();
    }

    /// Keys that are known but have no effect yet: each is named in a warning.
    pub(super) fn not_built(&mut self, keys: &[&str]) {
        for key in keys {
            if let Some(entry) = self.take(key) {
                let name = self.name(&entry.key);
                self.warnings.push(format!(
                    "{}:{}: {name} is not built yet and has no effect",
                    self.block.file.display(),
                    entry.line
                ));
            }
        }
    }

    /// Keys that are accepted and need nothing done.
    pub(super) fn accepted(&mut self, keys: &[&str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Blocks that must not be switched on: running without what they promise would be unsafe.
    pub(super) fn refused(&mut self, key: &str, switches: &[&str], why: &str) {
        for (_, block) in self.blocks(key) {
            let on = block.entries.iter().find(|entry| {
                entry.item == Item::Bool(true)
                    && switches
                        .iter()
                        .any(|name| entry.key.eq_ignore_ascii_case(name))
            });
            if let Some(entry) = on {
                self.problem(
                    entry.line,
                    format!("{key}.{} is not built yet: {why}", entry.key),
                );
            }
        }
    }

    /// A key that must not stand here.
    pub(super) fn refused_key(&mut self, key: &str, why: &str) {
        if let Some(entry) = self.take(key) {
            let name = self.name(&entry.key);
            self.problem(entry.line, format!("{name} is not allowed: {why}"));
        }
    }

    /// Names what is left over.
    pub(super) fn finish(self) {
        let unknown: Vec<&Entry> = self
            .block
            .entries
            .iter()
            .zip(&self.taken)
            .filter(|(_, taken)| !**taken)
            .map(|(entry, _)| entry)
            .collect();
        let path = if self.path.is_empty() {
            String::new()
        } else {
            format!("{} ", self.path)
        };
        for entry in unknown {
            self.problems.push(Problem {
                file: self.block.file.clone(),
                line: entry.line,
                text: format!("{path}unexpected keys {}", entry.key),
            });
        }
    }
}
