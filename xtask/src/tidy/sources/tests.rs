//! Each rule finds what it should, and nothing else.

use super::*;

fn rust(path: &str, text: &str, pure: bool) -> Vec<String> {
    let file = TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    check_rust(&file, pure)
        .iter()
        .map(|f| format!("{}: {}", f.line, f.what))
        .collect()
}

#[test]
fn a_clean_file_has_no_findings() {
    let text = "//! Words.\nuse std::{collections::BTreeMap, fmt};\nfn a<'x>() -> &'x str { \"std::fs HashMap\" } // tokio\n";
    assert!(rust("nomad-core/src/a.rs", text, true).is_empty());
}

#[test]
fn a_module_opens_with_its_purpose() {
    assert_eq!(
        rust("a/src/a.rs", "fn a() {}\n", false),
        ["1: no opening `//!` line"]
    );
    assert!(rust("a/src/gen/a.rs", "fn a() {}\n", false).is_empty());
}

#[test]
fn length_is_bounded_unless_a_reason_is_given() {
    let long = "//! Words.\n".to_owned() + &"fn a() {}\n".repeat(MAX_LINES);
    assert_eq!(
        rust("a/src/a.rs", &long, false),
        ["801: 801 lines, over the limit of 800"]
    );
    let table = "//! Words.\n// tidy-allow: length, one row for each function of the language\n"
        .to_owned()
        + &"//\n".repeat(MAX_LINES);
    assert!(rust("a/src/a.rs", &table, false).is_empty());
}

#[test]
fn pure_crates_ask_for_nothing() {
    let text = "//! Words.\nuse std::net::IpAddr;\nfn a() { std::time::SystemTime::now(); }\nuse std::{fmt, env,\n  fs::{self, File}};\n";
    let found = rust("nomad-core/src/a.rs", text, true);
    assert_eq!(
        found,
        [
            "3: `SystemTime` in a pure crate",
            "4: `std::env` in a pure crate",
            "5: `std::fs` in a pure crate"
        ]
    );
    assert!(rust("nomad-agent/src/a.rs", text, false).is_empty());
}

#[test]
fn unordered_maps_are_found_once_a_file() {
    let text = "//! Words.\nuse std::collections::HashMap;\nfn a(_: HashMap<u8, u8>) {}\n";
    assert_eq!(
        rust("nomad-core/src/a.rs", text, true),
        ["2: `HashMap` in a pure crate"]
    );
    let with = text.replace(
        "use std",
        "// tidy-allow: hash, only looked up, never iterated\nuse std",
    );
    assert!(rust("nomad-core/src/a.rs", &with, true).is_empty());
}

#[test]
fn tests_of_pure_crates_may_read_files() {
    let text = "//! Words.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    assert!(rust("nomad-core/src/a.rs", text, true).is_empty());
    let whole = "//! Words.\nuse std::fs;\n";
    assert!(rust("nomad-core/src/a/tests.rs", whole, true).is_empty());
    assert!(rust("nomad-core/tests/golden.rs", whole, true).is_empty());
    assert_eq!(rust("nomad-core/src/a.rs", whole, true).len(), 1);
}

#[test]
fn names_that_only_contain_a_banned_word_are_free() {
    let text =
        "//! Words.\nfn operand() { strand(); TokioLike; my_todo!(); IndexedHashMapLike; }\n";
    assert!(rust("nomad-core/src/a.rs", text, true).is_empty());
}

#[test]
fn shortcuts_are_found_in_tests_too() {
    let text = format!(
        "//! Words.\n{}]\nfn a() {{ {}(); }}\n{}dead_code)]\nfn b() {{}}\n",
        "#[ignore", "todo!", "#[allow("
    );
    assert_eq!(
        rust("a/tests/a.rs", &text, false),
        ["2: `#[ignore`", "3: `todo!`", "4: `#[allow(`"]
    );
}

#[test]
fn an_exception_needs_a_reason() {
    let with =
        "//! Words.\n// tidy-allow: pure, a name of the command, no clock\nuse a::Instant;\n";
    assert!(rust("nomad-core/src/a.rs", with, true).is_empty());
    let without = "//! Words.\nuse a::Instant; // tidy-allow: pure\n";
    assert_eq!(rust("nomad-core/src/a.rs", without, true).len(), 1);
}

#[test]
fn expect_gives_its_reason() {
    let good = "//! Words.\n#[expect(\n    dead_code,\n    reason = \"x\"\n)]\nfn a() {}\n";
    assert!(rust("a/src/a.rs", good, false).is_empty());
    assert_eq!(
        rust(
            "a/src/a.rs",
            "//! Words.\n#[expect(dead_code)]\nfn a() {}\n",
            false
        ),
        ["2: `expect` without a reason"]
    );
}

#[test]
fn paths_of_one_machine_are_found_in_any_text() {
    let file = TextFile {
        path: "a.md".to_owned(),
        text: format!("see {}x\n{}me\n", LOCAL_PATHS[0], LOCAL_PATHS[1]),
    };
    assert_eq!(
        check_any(&file).iter().map(|f| f.line).collect::<Vec<_>>(),
        [1, 2]
    );
}
