//! Differences between two versions of a job, as `job plan` and `job history -p` show them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ui::{Color, Ui};

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum DiffType {
    #[default]
    None,
    Added,
    Deleted,
    Edited,
}

/// How a job differs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    #[serde(rename = "ID")]
    pub id: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
    pub task_groups: Option<Vec<GroupDiff>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
    pub tasks: Option<Vec<TaskDiff>>,
    pub updates: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
    pub annotations: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FieldDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    pub old: String,
    pub new: String,
    pub annotations: Option<Vec<String>>,
}

/// Objects deeper than this are not shown; the API's are four deep at most.
const MAX_DEPTH: usize = 32;

/// The lines of a job's difference.
pub fn job_diff(diff: &JobDiff, verbose: bool, ui: Ui) -> String {
    let mut printer = Printer {
        lines: Vec::new(),
        verbose,
        ui,
    };
    printer.job(diff);
    printer.lines.join("\n")
}

struct Printer {
    lines: Vec<String>,
    verbose: bool,
    ui: Ui,
}

const fn marker(kind: DiffType) -> &'static str {
    match kind {
        DiffType::None => "",
        DiffType::Added => "+ ",
        DiffType::Deleted => "- ",
        DiffType::Edited => "+/- ",
    }
}

fn list<T>(items: &Option<Vec<T>>) -> &[T] {
    items.as_deref().unwrap_or(&[])
}

/// Width of the longest marker, so that names of siblings line up.
fn widest(kinds: impl Iterator<Item = DiffType>) -> usize {
    kinds.map(|kind| marker(kind).len()).max().unwrap_or(0)
}

impl Printer {
    fn painted(&self, kind: DiffType) -> String {
        let text = marker(kind);
        match kind {
            DiffType::None => String::new(),
            DiffType::Added => self.ui.paint(Color::Green, text),
            DiffType::Deleted => self.ui.paint(Color::Red, text),
            DiffType::Edited => self.ui.paint(Color::Yellow, text),
        }
    }

    /// Adds `text` after its marker; markers end where those of the siblings do.
    fn line(&mut self, start: usize, width: usize, kind: DiffType, text: &str) {
        let blanks = " ".repeat(start + width - marker(kind).len().min(width));
        let marker = self.painted(kind);
        self.lines.push(format!("{blanks}{marker}{text}"));
    }

    fn shows_parts(&self, kind: DiffType) -> bool {
        kind == DiffType::Edited || self.verbose
    }

    fn job(&mut self, job: &JobDiff) {
        let text = format!("{} {:?}", self.ui.bold("Job:"), job.id);
        self.line(0, marker(job.kind).len(), job.kind, &text);
        let (fields, objects) = (list(&job.fields), list(&job.objects));
        if self.shows_parts(job.kind) {
            let width = widest(
                fields
                    .iter()
                    .map(|f| f.kind)
                    .chain(objects.iter().map(|o| o.kind)),
            );
            self.parts(fields, objects, 2, width, 0);
        }
        for group in list(&job.task_groups) {
            self.group(group);
        }
    }

    fn group(&mut self, group: &GroupDiff) {
        let mut text = format!("{} {:?}", self.ui.bold("Task Group:"), group.name);
        let updates = group.updates.iter().flatten().map(|(kind, count)| {
            let color = match kind.as_str() {
                "create" => Some(Color::Green),
                "destroy" => Some(Color::Red),
                "migrate" => Some(Color::Blue),
                "in-place update" => Some(Color::Cyan),
                "canary" | "create/destroy update" => Some(Color::Yellow),
                _ => None,
            };
            let text = format!("{count} {kind}");
            color.map_or(text.clone(), |color| self.ui.paint(color, &text))
        });
        let updates = updates.collect::<Vec<_>>().join(", ");
        if !updates.is_empty() {
            text.push_str(&format!(" ({updates})"));
        }
        self.line(0, marker(group.kind).len(), group.kind, &text);
        let (fields, objects, tasks) = (
            list(&group.fields),
            list(&group.objects),
            list(&group.tasks),
        );
        let shown = self.shows_parts(group.kind);
        let own = fields
            .iter()
            .map(|f| f.kind)
            .chain(objects.iter().map(|o| o.kind))
            .filter(|_| shown);
        let width = widest(own.chain(tasks.iter().map(|task| task.kind)));
        if shown {
            self.parts(fields, objects, 2, width, 0);
        }
        for task in tasks {
            self.task(task, 2, width);
        }
    }

    fn task(&mut self, task: &TaskDiff, start: usize, width: usize) {
        let text = format!(
            "{} {:?}{}",
            self.ui.bold("Task:"),
            task.name,
            self.notes(list(&task.annotations))
        );
        self.line(start, width, task.kind, &text);
        let collapsed = matches!(task.kind, DiffType::Added | DiffType::Deleted);
        if task.kind == DiffType::None || (collapsed && !self.verbose) {
            return;
        }
        let start = start + width - marker(task.kind).len() + 2;
        let (fields, objects) = (list(&task.fields), list(&task.objects));
        let width = widest(
            fields
                .iter()
                .map(|f| f.kind)
                .chain(objects.iter().map(|o| o.kind)),
        );
        self.parts(fields, objects, start, width, 0);
    }

    fn parts(
        &mut self,
        fields: &[FieldDiff],
        objects: &[ObjectDiff],
        start: usize,
        width: usize,
        depth: usize,
    ) {
        let longest = fields
            .iter()
            .map(|field| field.name.chars().count())
            .max()
            .unwrap_or(0);
        for field in fields {
            let blanks = " ".repeat(longest - field.name.chars().count());
            let values = match field.kind {
                DiffType::Added => format!("{:?}", Quoted(&field.new)),
                DiffType::Deleted => format!("{:?}", Quoted(&field.old)),
                DiffType::Edited => {
                    format!("{:?} => {:?}", Quoted(&field.old), Quoted(&field.new))
                }
                DiffType::None => format!("{:?}", Quoted(&field.new)),
            };
            let notes = self.notes(list(&field.annotations));
            let text = format!("{}:{blanks} {values}{notes}", field.name);
            self.line(start, width, field.kind, &text);
        }
        for object in objects {
            self.object(object, start, width, depth);
        }
    }

    fn object(&mut self, object: &ObjectDiff, start: usize, width: usize, depth: usize) {
        self.line(start, width, object.kind, &format!("{} {{", object.name));
        let inner = start + width - marker(object.kind).len() + 2;
        let (fields, objects) = (list(&object.fields), list(&object.objects));
        let siblings = widest(
            fields
                .iter()
                .map(|f| f.kind)
                .chain(objects.iter().map(|o| o.kind)),
        );
        if depth < MAX_DEPTH {
            self.parts(fields, objects, inner, siblings, depth + 1);
        }
        self.lines.push(format!("{}}}", " ".repeat(start + width)));
    }

    fn notes(&self, notes: &[String]) -> String {
        if notes.is_empty() {
            return String::new();
        }
        let notes: Vec<String> = notes
            .iter()
            .map(|note| {
                let color = match note.as_str() {
                    "forces create" => Color::Green,
                    "forces destroy" => Color::Red,
                    "forces in-place update" => Color::Cyan,
                    _ => Color::Yellow,
                };
                self.ui.paint(color, note)
            })
            .collect();
        format!(" ({})", notes.join(", "))
    }
}

/// A value in quotes, as Go writes them.
struct Quoted<'a>(&'a str);

impl std::fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\x{:02x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_siblings_line_up() {
        let diff: JobDiff = serde_json::from_value(serde_json::json!({
            "Type": "Edited", "ID": "web",
            "TaskGroups": [{
                "Type": "Edited", "Name": "front",
                "Updates": {"in-place update": 2, "create": 1},
                "Fields": [{"Type": "Edited", "Name": "Count", "Old": "2", "New": "3", "Annotations": ["forces create"]}],
                "Objects": [{"Type": "Edited", "Name": "Service",
                    "Fields": [{"Type": "None", "Name": "Address", "Old": "", "New": ""},
                               {"Type": "None", "Name": "EnableTagOverride", "Old": "false", "New": "false"}],
                    "Objects": [
                        {"Type": "None", "Name": "CanaryTags", "Fields": [{"Type": "None", "Name": "CanaryTags", "Old": "canary", "New": "canary"}]},
                        {"Type": "Edited", "Name": "Tags", "Fields": [
                            {"Type": "Added", "Name": "Tags", "Old": "", "New": "v3"},
                            {"Type": "Deleted", "Name": "Tags", "Old": "v2", "New": ""},
                            {"Type": "None", "Name": "Tags", "Old": "web", "New": "web"}]}]}],
                "Tasks": [{"Type": "None", "Name": "init"}]
            }]
        }))
        .unwrap();
        insta::assert_snapshot!(job_diff(&diff, false, Ui::new(true, false)), @r#"
        +/- Job: "web"
        +/- Task Group: "front" (1 create, 2 in-place update)
          +/- Count: "2" => "3" (forces create)
          +/- Service {
                Address:           ""
                EnableTagOverride: "false"
                CanaryTags {
                  CanaryTags: "canary"
                }
            +/- Tags {
              + Tags: "v3"
              - Tags: "v2"
                Tags: "web"
                }
              }
              Task: "init"
        "#);
    }

    #[test]
    fn new_tasks_are_one_line() {
        let diff: JobDiff = serde_json::from_value(serde_json::json!({
            "Type": "Added", "ID": "web",
            "Fields": [{"Type": "Added", "Name": "Priority", "Old": "", "New": "50"}],
            "TaskGroups": [{"Type": "Added", "Name": "g", "Updates": {"create": 2},
                "Tasks": [{"Type": "Added", "Name": "t", "Annotations": ["forces create"],
                    "Fields": [{"Type": "Added", "Name": "Driver", "Old": "", "New": "exec"}]}]}]
        }))
        .unwrap();
        insta::assert_snapshot!(job_diff(&diff, false, Ui::new(true, false)), @r#"
        + Job: "web"
        + Task Group: "g" (2 create)
          + Task: "t" (forces create)
        "#);
    }
}
