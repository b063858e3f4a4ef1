//! Fuzzing without a nightly compiler: files of the corpus are changed at random, from a seed, for some time.
//!
//! `NOMAD_FUZZ_SECONDS` says how long (3 by default), `NOMAD_FUZZ_SEED` where the stream of changes starts,
//! `NOMAD_FUZZ_BYTES` how long the hostile texts are that are not longer than allowed (up to 4194304). Whatever a
//! text says, reading, evaluating, checking, printing and formatting it ends soon and never panics; what was formatted
//! stays as it is and means the same. A finding is written below the target directory, with the seed that made it.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nomad_core::spec::{Job, decode};
use nomad_jobspec::{
    Files, Host, HostError, Lint, Options, Source, format, parse, parse_all, print,
};

/// One input may take so long, on a busy machine and without optimization.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Longer inputs are cut.
const MAX_INPUT: usize = 48 << 10;

/// Pieces that mean something in job files.
const WORDS: [&str; 72] = [
    "job \"x\" {\n",
    "group \"g\" {\n",
    "task \"t\" {\n",
    "}\n",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "=",
    "==",
    "=>",
    "...",
    "?",
    ":",
    ",",
    ".",
    "*",
    "[*]",
    ".*",
    "+",
    "-",
    "!",
    "&&",
    "||",
    "<",
    "<<EOT\n",
    "<<-EOT\n",
    "EOT\n",
    "${",
    "%{",
    "$${",
    "%%{",
    "~}",
    "${~",
    "%{ if true }",
    "%{ else }",
    "%{ endif }",
    "%{ for x in [1] }",
    "%{ endfor }",
    "#",
    "//",
    "/*",
    "*/",
    "null",
    "true",
    "for x in ",
    "[for x in range(100) : x]",
    "{for k, v in var : k => v...}",
    "dynamic \"group\" {\n",
    "content {\n",
    "for_each = ",
    "labels = [\"a\"]\n",
    "iterator = ",
    "local.a",
    "var.a",
    "locals {\n",
    "variable \"a\" {\n",
    "type = list(object({a=number}))\n",
    "validation {\n",
    "jsondecode(",
    "yamldecode(",
    "templatefile(\"t\", {})",
    "range(",
    "include \"i\" {}\n",
    "1e400",
    "99999999999999999999",
];

/// Values that often break things.
const NUMBERS: [&str; 8] = [
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
    "0.1",
    "1000000",
];

/// A stream of numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// A host with two small files.
struct Small;

impl Host for Small {
    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }
}

impl Files for Small {
    fn absolute(&self, path: &str) -> Result<String, HostError> {
        Ok(format!("/{path}"))
    }

    fn read(&self, path: &str, _limit: usize) -> Result<Vec<u8>, HostError> {
        match path {
            "t" => Ok(b"${templatefile(\"t\", {})} %{ for x in [1, 2] }${x}%{ endfor }".to_vec()),
            "d/i" => Ok(b"meta {\n  a = include.a\n}\ninclude \"i\" {}\n".to_vec()),
            _ => Err(HostError::new("no such file")),
        }
    }

    fn exists(&self, _path: &str) -> Result<bool, HostError> {
        Ok(false)
    }

    fn glob(&self, _path: &str, _pattern: &str) -> Result<Vec<String>, HostError> {
        Ok(vec!["a".to_owned()])
    }

    fn expand_home(&self, path: &str) -> Result<String, HostError> {
        Ok(path.to_owned())
    }
}

fn corpus() -> Vec<String> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"));
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let texts: Vec<String> = paths
        .into_iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(texts.len() >= 10, "the corpus is there");
    texts
}

/// A text of the corpus with some changes.
fn mutate(random: &mut Random, corpus: &[String]) -> String {
    let mut bytes = corpus[random.below(corpus.len())].clone().into_bytes();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(80)).min(bytes.len());
        match random.below(10) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            2 | 3 => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            4 => {
                // A stretch of another file.
                let other = corpus[random.below(corpus.len())].as_bytes();
                let from = random.below(other.len());
                let length = random.below(400).min(other.len() - from);
                bytes.splice(at..at, other[from..from + length].iter().copied());
            }
            5 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            6 => {
                // A number becomes another.
                if let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    let from = at + from;
                    let length = bytes[from..]
                        .iter()
                        .take_while(|b| b.is_ascii_digit())
                        .count();
                    let number = NUMBERS[random.below(NUMBERS.len())];
                    bytes.splice(from..from + length, number.bytes());
                }
            }
            7 => {
                // Something again and again.
                let word = WORDS[random.below(WORDS.len())].repeat(1 + random.below(200));
                bytes.splice(at..at, word.bytes());
            }
            8 => bytes.truncate(at),
            _ => {
                // A line goes elsewhere.
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                if lines.len() > 1 {
                    let line = lines.remove(random.below(lines.len()));
                    lines.insert(random.below(lines.len() + 1), line);
                }
                bytes = lines.concat().into_bytes();
            }
        }
        bytes.truncate(MAX_INPUT);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read(text: &str) -> Option<Job> {
    let options = Options {
        strict: true,
        directory: Some("d"),
        lint: Some(Lint {
            template_functions: &["env", "key"],
        }),
        ..Options::default()
    };
    let source = Source { name: "x", text };
    match parse(source, &options, &Small) {
        Ok(parsed) => {
            for warning in &parsed.warnings {
                assert!(!warning.is_error() && !warning.render().is_empty());
            }
            Some(parsed.job)
        }
        Err(failure) => {
            assert!(!failure.diagnostics.is_empty());
            for diagnostic in &failure.diagnostics {
                if let Some(range) = &diagnostic.range {
                    assert!(range.start.byte <= range.end.byte);
                    assert!(range.file != "x" || range.end.byte <= text.len());
                }
                assert!(!diagnostic.render().is_empty() && !diagnostic.to_string().is_empty());
            }
            serde_json::to_string(&failure).unwrap();
            None
        }
    }
}

/// Everything that can be done with a text.
fn exercise(text: &str) {
    let source = Source { name: "x", text };
    let job = read(text);
    if let Ok(formatted) = format(source) {
        let again = format(Source {
            name: "x",
            text: &formatted,
        });
        assert_eq!(again.as_ref(), Ok(&formatted), "formatting settles at once");
        assert_eq!(read(&formatted), job, "formatting changes no meaning");
    }
    // As a file of variables, and as one of two files.
    let base = Source {
        name: "base",
        text: "variable \"a\" {\n  type = list(string)\n  default = []\n}\njob \"x\" {}\n",
    };
    let options = Options {
        variable_files: vec![source],
        variables: vec![("a".to_owned(), text.to_owned())],
        ..Options::default()
    };
    let _ = parse(base, &options, &Small);
    let _ = parse_all(&[base, source], &Options::default(), &Small);
    let Some(mut job) = job else { return };
    let json = serde_json::to_vec(&job).unwrap();
    let decoded: Job = decode(&json, 64 << 20).unwrap();
    assert_eq!(decoded, job, "the job's JSON is the job");
    if let Ok(text) = print(&job) {
        assert_eq!(
            read(&text).as_ref(),
            Some(&job),
            "what is printed reads back"
        );
    }
    job.canonicalize();
    if let Ok(stored) = job.into_job() {
        let none = nomad_core::diff::job_diff(None, Some(&stored), true);
        let same = nomad_core::diff::job_diff(Some(&stored), Some(&stored), true);
        assert!(serde_json::to_string(&(none, same)).is_ok());
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// Keeps an input that went wrong.
fn keep(text: &str, what: &str) -> String {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join(format!("fuzz-{what}.nomad.hcl"));
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn changed_files_have_an_answer() {
    let limit = Duration::from_secs(number("NOMAD_FUZZ_SECONDS", 3));
    let seed = number("NOMAD_FUZZ_SEED", 1);
    let corpus = corpus();
    for text in &corpus {
        exercise(text);
    }

    // A watcher tells an input that does not end.
    let current: Arc<Mutex<Option<(Instant, String)>>> = Arc::default();
    let watched = Arc::clone(&current);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            if let Some((since, text)) = &*watched.lock().unwrap()
                && since.elapsed() > TIME_LIMIT
            {
                eprintln!("does not end: {}", keep(text, "hang"));
                std::process::abort();
            }
        }
    });

    let started = Instant::now();
    let mut done = 0_u64;
    let mut slowest = Duration::ZERO;
    while started.elapsed() < limit {
        let this = seed.wrapping_mul(1_000_003).wrapping_add(done);
        let text = mutate(&mut Random(this), &corpus);
        let begun = Instant::now();
        *current.lock().unwrap() = Some((begun, text.clone()));
        let outcome = catch_unwind(AssertUnwindSafe(|| exercise(&text)));
        if let Err(panic) = outcome {
            let path = keep(&text, "panic");
            eprintln!("seed {seed}, input {done}: {path}");
            std::panic::resume_unwind(panic);
        }
        slowest = slowest.max(begun.elapsed());
        done += 1;
    }
    *current.lock().unwrap() = None;
    println!("{done} inputs from seed {seed} in {limit:?}, the slowest took {slowest:?}");
    assert!(done > 0);
}

/// A named text that is large or deep in some way.
fn hostile() -> Vec<(&'static str, String)> {
    // The longest text that is read has 4 MiB; a part of it shows as well whether the time grows too fast.
    let most = number("NOMAD_FUZZ_BYTES", 400_000) as usize;
    let large = |piece: &str| piece.repeat((10 << 20) / piece.len());
    let repeat = |piece: &str| piece.repeat((most - 100) / piece.len());
    let mut locals = "locals {\n".to_owned();
    for at in 0..200_000 {
        let _ = writeln!(locals, "  a{at} = local.a{}", at + 1);
    }
    vec![
        ("ten megabytes of nothing", large(" ")),
        ("ten megabytes of blocks", large("job \"x\" {\n}\n")),
        ("ten megabytes of braces", large("{")),
        ("ten megabytes of interpolations", format!("a = \"{}", large("${"))),
        ("much of: brackets", format!("a = {}", repeat("["))),
        ("much of: minus", format!("a = {}1", repeat("-"))),
        ("much of: parentheses", format!("a = {}", repeat("("))),
        ("much of: quotes", repeat("\"")),
        ("much of: heredocs", repeat("a = <<A\n")),
        ("much of: conditionals", format!("a = {}", repeat("a ? "))),
        ("much of: sums", format!("a = 1{}", repeat(" + 1"))),
        ("much of: steps", format!("a = a{}", repeat(".b"))),
        ("much of: JSON", format!("{{\"a\":{}", repeat("["))),
        ("much of: comments", repeat("/*")),
        ("a long chain of locals", format!("{locals}}}\njob \"x\" {{}}\n")),
        ("values that double", {
            let mut text = "locals {\n  a0 = [1, 1]\n".to_owned();
            for at in 0..64 {
                let _ = writeln!(text, "  a{} = concat(local.a{at}, local.a{at})", at + 1);
            }
            text + "}\njob \"x\" {}\n"
        }),
        ("a product of ranges", "locals {\n  a = [for x in range(1000) : [for y in range(1000) : [for z in range(1000) : z]]]\n}\njob \"x\" {}\n".to_owned()),
        ("a long number", format!("a = {}", repeat("9"))),
    ]
}

#[test]
fn hostile_files_are_refused_quickly() {
    for (name, text) in hostile() {
        let started = Instant::now();
        let source = Source {
            name: "x",
            text: &text,
        };
        let refused = parse(source, &Options::default(), &Small).is_err();
        let took = started.elapsed();
        assert!(refused, "{name} is refused");
        // Without optimization and beside other tests; a release build takes a tenth.
        assert!(took < TIME_LIMIT, "{name} took {took:?}");
        let started = Instant::now();
        let _ = format(source);
        let took_format = started.elapsed();
        assert!(
            took_format < TIME_LIMIT,
            "formatting {name} took {took_format:?}"
        );
        println!("{name}: {took:?}, format {took_format:?}");
    }
}
