//! Jobs in several files: parts of one job, shared variables, `include`, `templatefile`.

use std::collections::BTreeMap;

use nomad_jobspec::{
    Failure, Files, Host, HostError, Isolated, Job, Options, Source, parse, parse_all,
    read_directory,
};

/// Files in memory.
struct Disk(BTreeMap<&'static str, &'static str>);

impl Disk {
    fn new(files: &[(&'static str, &'static str)]) -> Self {
        Self(files.iter().copied().collect())
    }

    fn job(&self) -> Result<Job, Failure> {
        let files = read_directory(self, "dir")?;
        let sources: Vec<Source<'_>> = files
            .iter()
            .map(|file| Source {
                name: &file.name,
                text: &file.text,
            })
            .collect();
        let options = Options {
            directory: Some("dir"),
            strict: true,
            ..Options::default()
        };
        parse_all(&sources, &options, self).map(|parsed| parsed.job)
    }

    fn mistake(&self) -> String {
        self.job().unwrap_err().to_string()
    }
}

impl Host for Disk {
    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }
}

impl Files for Disk {
    fn absolute(&self, path: &str) -> Result<String, HostError> {
        Ok(path.to_owned())
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let text = self
            .0
            .get(path)
            .ok_or_else(|| HostError::new(format!("{path}: no such file")))?;
        if text.len() > limit {
            return Err(HostError::new("too large"));
        }
        Ok(text.as_bytes().to_vec())
    }

    fn exists(&self, path: &str) -> Result<bool, HostError> {
        Ok(self.0.contains_key(path))
    }

    fn glob(&self, path: &str, pattern: &str) -> Result<Vec<String>, HostError> {
        assert_eq!(pattern, "*.nomad.hcl");
        let mut found: Vec<String> = self
            .0
            .keys()
            .filter_map(|name| name.strip_prefix(path)?.strip_prefix('/'))
            .filter(|name| !name.contains('/') && name.ends_with(".nomad.hcl"))
            .map(str::to_owned)
            .collect();
        found.reverse();
        Ok(found)
    }

    fn expand_home(&self, path: &str) -> Result<String, HostError> {
        Ok(path.to_owned())
    }
}

fn groups(job: &Job) -> Vec<(&str, i64)> {
    job.task_groups
        .iter()
        .flatten()
        .map(|group| (group.name.as_deref().unwrap(), group.count.unwrap_or(1)))
        .collect()
}

#[test]
fn the_files_of_a_directory_are_one_job() {
    let disk = Disk::new(&[
        (
            "dir/a.nomad.hcl",
            "job \"shop\" {\n  priority = local.p\n  group \"web\" {\n    count = var.n\n  }\n}\n",
        ),
        (
            "dir/b.nomad.hcl",
            "job \"shop\" {\n  group \"db\" {\n    count = var.n + 1\n  }\n}\nlocals {\n  p = var.n * 10\n}\n",
        ),
        ("dir/vars.nomad.hcl", "variable \"n\" {\n  default = 2\n}\n"),
        ("dir/notes.hcl", "not a job file {"),
        ("dir/sub/c.nomad.hcl", "job \"other\" {}\n"),
    ]);
    let job = disk.job().unwrap();
    assert_eq!(job.id.as_deref(), Some("shop"));
    assert_eq!(job.priority, Some(20));
    assert_eq!(groups(&job), [("web", 2), ("db", 3)]);
}

#[test]
fn mistakes_name_their_file() {
    let part = "job \"shop\" {\n  priority = 1\n}\n";
    for (files, words) in [
        (
            vec![("dir/a.nomad.hcl", part), ("dir/b.nomad.hcl", part)],
            "b.nomad.hcl:2,3-11: Attribute redefined",
        ),
        (
            vec![
                ("dir/a.nomad.hcl", part),
                ("dir/b.nomad.hcl", "job \"else\" {}\n"),
            ],
            "b.nomad.hcl:1,1-11: Duplicate job block",
        ),
        (
            vec![("dir/a.nomad.hcl", "job \"x\" {}\njob \"x\" {}\n")],
            "Duplicate job block",
        ),
        (
            vec![
                ("dir/a.nomad.hcl", part),
                ("dir/b.nomad.hcl", "locals {\n  a = \n}\n"),
            ],
            "b.nomad.hcl:2",
        ),
        (vec![("dir/readme.md", "x")], "No job files"),
        (
            vec![("dir/a.nomad.hcl", "variable \"x\" {\n default = 1\n}\n")],
            "Missing job block",
        ),
    ] {
        let disk = Disk::new(&files);
        let text = disk.mistake();
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn included_files_take_the_place_of_the_block() {
    let disk = Disk::new(&[
        (
            "dir/a.nomad.hcl",
            r#"
locals {
  level = "info"
}
job "shop" {
  include "parts/policy.hcl" {}
  dynamic "group" {
    for_each = ["eu", "us"]
    labels   = ["web-${group.value}"]
    content {
      include "./parts/group.hcl" {
        zone  = group.value
        count = 2
        tags  = { a = [group.value] }
      }
    }
  }
}
"#,
        ),
        (
            "dir/parts/policy.hcl",
            "priority = 70\nconstraint {\n  distinct_hosts = true\n}\n",
        ),
        (
            "dir/parts/group.hcl",
            "count = include.count\nmeta {\n  zone = \"zone ${include.zone}\"\n  tag = include.tags.a[0]\n}\ninclude \"parts/task.hcl\" {\n  name = \"t-${include.zone}\"\n}\n",
        ),
        (
            "dir/parts/task.hcl",
            "task \"server\" {\n  driver = \"exec\"\n  config {\n    include {\n      path = include.name\n    }\n    level = local.level\n  }\n}\n",
        ),
    ]);
    let job = disk.job().unwrap();
    assert_eq!(job.priority, Some(70));
    assert_eq!(job.constraints.as_deref().unwrap().len(), 1);
    assert_eq!(groups(&job), [("web-eu", 2), ("web-us", 2)]);
    let group = &job.task_groups.as_ref().unwrap()[1];
    let meta = group.meta.as_ref().unwrap();
    assert_eq!(
        (meta["zone"].as_str(), meta["tag"].as_str()),
        ("zone us", "us")
    );
    let config = group.tasks.as_ref().unwrap()[0].config.as_ref().unwrap();
    // In a body without a schema an include is an ordinary block.
    assert_eq!(config["include"][0]["path"], "t-us");
    assert_eq!(config["level"], "info");
}

#[test]
fn includes_are_bounded_and_stay_below_the_directory() {
    let with = |inner: &'static str, files: &[(&'static str, &'static str)]| {
        let mut all = vec![("dir/a.nomad.hcl", inner)];
        all.extend_from_slice(files);
        Disk::new(&all).mistake()
    };
    for (inner, files, words) in [
        (
            "job \"x\" {\n include \"../b.hcl\" {}\n}",
            vec![],
            "Invalid include path",
        ),
        (
            "job \"x\" {\n include \"/etc/passwd\" {}\n}",
            vec![],
            "Invalid include path",
        ),
        (
            "job \"x\" {\n include \"p//b.hcl\" {}\n}",
            vec![],
            "Invalid include path",
        ),
        ("job \"x\" {\n include {}\n}", vec![], "one label"),
        (
            "job \"x\" {\n include \"b.hcl\" {}\n}",
            vec![],
            "Unreadable included file",
        ),
        (
            "job \"x\" {\n include \"b.hcl\" {}\n}",
            vec![("dir/b.hcl", "include \"b.hcl\" {}\n")],
            "Circular include",
        ),
        (
            "job \"x\" {\n priority = 1\n include \"b.hcl\" {}\n}",
            vec![("dir/b.hcl", "priority = 2\n")],
            "b.hcl:1,1-9: Attribute redefined",
        ),
        (
            "job \"x\" {\n include \"b.hcl\" {\n  zone = 1\n }\n}",
            vec![("dir/b.hcl", "priority = include.zoen\n")],
            "Unset include argument",
        ),
        (
            "job \"x\" {\n include \"b.hcl\" {}\n}",
            vec![("dir/b.hcl", "priorty = 2\n")],
            "b.hcl:1,1-8: Unsupported argument",
        ),
        (
            "job \"x\" {\n include \"b.hcl\" {}\n}",
            vec![("dir/b.hcl", "{\"priority\": 2}")],
            "is JSON",
        ),
        (
            "job \"x\" {\n dynamic \"group\" {\n for_each = [1]\n labels = [\"g\"]\n content {\n include \"b.hcl\" {\n v = group.value\n }\n }\n }\n}",
            vec![(
                "dir/b.hcl",
                "meta = { for group in [2] : \"k\" => include.v }\n",
            )],
            "Ambiguous name",
        ),
    ] {
        let text = with(inner, &files);
        assert!(text.contains(words), "{words}: {text}");
    }
    // Files that include each other twice grow without end, but not here.
    let names = ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
    let mut files = vec![(
        "dir/a.nomad.hcl".to_owned(),
        "job \"x\" {\n include \"b.hcl\" {}\n}".to_owned(),
    )];
    for pair in names.windows(2) {
        let next = pair[1];
        files.push((
            format!("dir/{}.hcl", pair[0]),
            format!("include \"{next}.hcl\" {{}}\ninclude \"{next}.hcl\" {{}}\n"),
        ));
    }
    let disk = Disk(
        files
            .into_iter()
            .map(|(name, text)| (&*name.leak(), &*text.leak()))
            .collect(),
    );
    assert!(disk.mistake().contains("Too many includes"));
}

#[test]
fn a_server_knows_no_includes() {
    let source = Source {
        name: "x",
        text: "job \"x\" {\n  include \"b.hcl\" {}\n}\n",
    };
    let options = Options {
        directory: Some("dir"),
        ..Options::default()
    };
    let failure = parse(source, &options, &Isolated).unwrap_err();
    assert!(
        failure.to_string().contains("Unsupported block type"),
        "{failure}"
    );
    let source = Source {
        name: "x",
        text: "job \"x\" {\n  region = templatefile(\"b\", {})\n}\n",
    };
    let failure = parse(source, &options, &Isolated).unwrap_err();
    assert!(
        failure.to_string().contains("filesystem function disabled"),
        "{failure}"
    );
}

#[test]
fn template_files_see_what_is_handed_in() {
    let disk = Disk::new(&[
        (
            "dir/a.nomad.hcl",
            "locals {\n  hidden = 1\n}\njob \"x\" {\n  meta {\n    v = templatefile(\"conf.tpl\", { port = 80, hosts = [\"a\", \"b\"] })\n  }\n}\n",
        ),
        (
            "conf.tpl",
            "listen ${port}\n%{ for h in hosts ~}\nhost ${upper(h)}\n%{ endfor ~}\nid ${NOMAD_ALLOC_ID} \"$${x}\"\n",
        ),
    ]);
    assert_eq!(
        disk.job().unwrap().meta.unwrap()["v"],
        "listen 80\nhost A\nhost B\nid ${NOMAD_ALLOC_ID} \"${x}\"\n"
    );
    for (call, words) in [
        ("templatefile(\"none\", {})", "no such file"),
        (
            "templatefile(\"conf.tpl\", { hosts = 1, port = 1 })",
            "could not be rendered",
        ),
        ("templatefile(\"loop.tpl\")", "nested too deeply"),
        ("templatefile(\"bad.tpl\")", "is not a template"),
        ("templatefile(\"conf.tpl\", 1)", "an object"),
        ("templatefile()", "1 to 2 argument"),
    ] {
        let text = format!("job \"x\" {{\n  region = {call}\n}}\n");
        let mut disk = Disk::new(&[
            ("loop.tpl", "${templatefile(\"loop.tpl\")}"),
            ("bad.tpl", "${"),
            ("conf.tpl", "%{ for h in hosts }%{ endfor }"),
        ]);
        disk.0.insert("dir/a.nomad.hcl", text.leak());
        let said = disk.mistake();
        assert!(said.contains(words), "{words}: {said}");
    }
}
