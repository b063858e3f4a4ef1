//! What Go templates mean here, beyond what the recordings cover, and what hostile ones come to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{DEFAULT_DENYLIST, EngineKind, RenderInput, Source, TemplateError};
use crate::limits::Limits;

fn with_limits(text: &str, limits: Limits) -> Result<String, TemplateError> {
    let start = Instant::now();
    let input = RenderInput {
        limits,
        expired: Arc::new(move || start.elapsed() > Duration::from_millis(limits.max_time_ms)),
        ..RenderInput::default()
    };
    let compiled = EngineKind::Go
        .engine()
        .compile(&Source::new("t", text), &limits)?;
    let rendered = compiled.render(&input)?;
    Ok(String::from_utf8(rendered.output).expect("tests print UTF-8"))
}

fn render(text: &str) -> Result<String, TemplateError> {
    with_limits(text, Limits::default())
}

#[track_caller]
fn check(text: &str, want: &str) {
    assert_eq!(render(text).expect(text), want, "{text}");
}

#[track_caller]
fn refused(text: &str, because: &str) {
    let error = render(text).expect_err(text).to_string();
    assert!(error.contains(because), "{text}: {error}");
}

#[test]
fn variables_have_scopes() {
    check(
        "{{$x := 1}}{{range loop 2}}{{$x = add $x 1}}{{end}}{{$x}}",
        "3",
    );
    check("{{with 1}}{{$y := .}}{{$y}}{{end}}", "1");
    check(
        "{{range $i, $e := sprig_list \"a\" \"b\"}}{{$i}}{{$e}}{{else}}none{{end}}",
        "0a1b",
    );
    refused("{{if true}}{{$y := 2}}{{end}}{{$y}}", "undefined variable");
    refused(
        "{{define \"d\"}}{{$x}}{{end}}{{$x := 1}}",
        "undefined variable",
    );
    check("{{define \"d\"}}{{$}}{{end}}{{template \"d\" 4}}", "4");
}

#[test]
fn loops_break_and_continue() {
    check(
        "{{range loop 9}}{{if eq . 2}}{{continue}}{{end}}{{if eq . 5}}{{break}}{{end}}{{.}}{{end}}",
        "0134",
    );
    check("{{range 3}}{{.}}{{end}}", "012");
    check(
        "{{range $i, $e := loop 5 8}}{{$i}}:{{$e}} {{end}}",
        "0:5 1:6 2:7 ",
    );
    refused("{{range $i, $e := 3}}{{end}}", "more than one variable");
    refused("{{break}}", "outside");
    refused("{{range true}}{{end}}", "can't iterate");
}

#[test]
fn nil_and_missing_keys_as_in_go() {
    check("{{.a.b.c}}", "<no value>");
    check("{{$m := sprig_dict \"a\" 1}}{{$m.b}}", "<no value>");
    refused("{{$m := sprig_dict \"a\" 1}}{{$m.b.c}}", "nil pointer");
    refused(
        "{{$m := sprig_dict \"a\" 1}}{{$m.a.c}}",
        "can't evaluate field c in type int",
    );
    check("{{(splitToMap \",\" \"=\" \"a=1\").b}}|", "|");
    let source = Source {
        error_on_missing_key: true,
        ..Source::new("t", "{{$m := sprig_dict \"a\" 1}}{{$m.b}}")
    };
    let compiled = EngineKind::Go
        .engine()
        .compile(&source, &Limits::default())
        .unwrap();
    let error = compiled.render(&RenderInput::default()).unwrap_err();
    assert!(error.to_string().contains("map has no entry for key \"b\""));
}

#[test]
fn mistakes_are_found_before_execution_and_all_at_once() {
    let error = render("{{if false}}{{nope}}\n{{$z}}{{end}}")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 1: function \"nope\" not defined"),
        "{error}"
    );
    assert!(error.contains("line 2: undefined variable"), "{error}");
    for text in [
        "{{if true}}",
        "{{end}}",
        "a{{else}}b",
        "{{range loop 1}}{{else}}{{else}}{{end}}",
        "{{define \"x\"}}",
        "{{",
        "{{(}}",
        "{{nil}}",
        "{{1 | 2}}",
        "{{define \"a\"}}1{{end}}{{define \"a\"}}2{{end}}",
    ] {
        assert!(
            matches!(render(text), Err(TemplateError::Parse { .. })),
            "{text}"
        );
    }
}

#[test]
fn denied_functions_fail_only_when_called() {
    check("{{if false}}{{plugin \"x\"}}{{end}}ok", "ok");
    for name in DEFAULT_DENYLIST {
        refused(&format!("{{{{{name} \"x\"}}}}"), "disabled");
    }
    let input = RenderInput {
        denied: Arc::from(["sprig_*".to_owned()]),
        ..RenderInput::default()
    };
    let run = |text: &str| {
        let compiled = EngineKind::Go
            .engine()
            .compile(&Source::new("t", text), &input.limits)?;
        compiled.render(&input)
    };
    assert!(run("{{sprig_upper \"x\"}}").is_err());
    let made = run("{{define \"a\"}}<{{.}}>{{end}}{{$x := executeTemplate \"a\" 1}}{{$x}}{{executeTemplate \"a\" 2}}").unwrap();
    assert_eq!(made.output, b"<1><2>");
}

#[test]
fn methods_and_dictionaries() {
    check(
        "{{scratch.Set \"k\" 1}}{{scratch.SetX \"k\" 2}}{{scratch.Get \"k\"}}{{scratch.Key \"z\"}}",
        "1false",
    );
    check(
        "{{$d := sprig_dict}}{{$_ := sprig_set $d \"k\" \"v\"}}{{$d.k}}",
        "v",
    );
    check("{{(sprig_semver \"1.2.3-rc.1\").Minor}}", "2");
    check(
        "{{(sprig_toDate \"2006-01-02\" \"2020-02-03\").Year}}",
        "2020",
    );
    refused("{{scratch.Set \"k\"}}", "wrong number of args");
    refused("{{.a 1}}{{(sprig_dict \"a\" 1).a 1}}", "is not a method");
}

#[test]
fn bytes_that_are_no_text_survive() {
    let compiled = EngineKind::Go
        .engine()
        .compile(
            &Source::new("t", "{{base64Decode \"/wD+\"}}"),
            &Limits::default(),
        )
        .unwrap();
    let rendered = compiled.render(&RenderInput::default()).unwrap();
    assert_eq!(rendered.output, [0xff, 0, 0xfe]);
}

#[test]
fn hostile_templates_are_bounded() {
    let quick = Limits {
        max_steps: 20_000,
        max_total_bytes: 8 << 20,
        max_value_bytes: 1 << 20,
        max_output_bytes: 1 << 20,
        ..Limits::default()
    };
    for (text, because) in [
        ("{{range loop 1000000000000}}{{end}}", "steps"),
        (
            "{{range loop 100000}}{{range loop 100000}}{{end}}{{end}}",
            "steps",
        ),
        (
            "{{define \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}",
            "nests deeper",
        ),
        (
            "{{define \"r\"}}{{with 1}}{{template \"r\" .}}{{end}}{{end}}{{template \"r\"}}",
            "nests deeper",
        ),
        (
            "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range loop 64}}{{$x = printf \"%s%s\" $x $x}}{{end}}",
            "larger than",
        ),
        (
            "{{$x := sprig_list 1}}{{range loop 64}}{{$x = sprig_list $x $x}}{{end}}{{$x}}",
            "output is longer",
        ),
        (
            "{{$x := sprig_list 1}}{{range loop 500}}{{$x = sprig_list $x}}{{end}}",
            "nests deeper",
        ),
        (
            "{{range loop 10000}}{{scratch.Set (printf \"%d\" .) (sprig_repeat 100000 \"x\")}}{{end}}",
            "bytes of values",
        ),
        ("{{sprig_repeat 1000000000 \"x\"}}", "longer than"),
        (
            "{{range loop 10000}}0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789{{end}}",
            "output is longer",
        ),
        ("{{indent 1000000000 \"x\"}}", "longer than"),
        (
            "{{replaceAll \"\" (sprig_repeat 1000 \"y\") (sprig_repeat 10000 \"x\")}}",
            "longer than",
        ),
        ("{{sprig_until 1000000000}}", "more than"),
        (
            "{{join (sprig_repeat 10000 \",\") (sprig_splitList \"\" (sprig_repeat 10000 \"x\"))}}",
            "longer than",
        ),
        (
            "{{regexMatch \"(((a{100}){100}){100}){100}\" \"a\"}}",
            "regexp",
        ),
        ("{{html (sprig_repeat 1000000 \"<\")}}", "too long"),
    ] {
        let error = with_limits(text, quick).expect_err(text).to_string();
        assert!(error.contains(because), "{text}: {error}");
    }
    let deep = format!("{}x{}", "{{if true}}".repeat(95), "{{end}}".repeat(95));
    check(&deep, "x");
    let parens = format!("{{{{{}1{}}}}}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(render(&parens).is_err());
    let chain = format!(
        "{{{{if false}}}}{}{{{{end}}}}",
        "{{else if false}}".repeat(100_000)
    );
    refused(&chain, "else-if");
    let chain = format!(
        "{{{{if false}}}}{}{{{{end}}}}",
        "{{else if false}}".repeat(400)
    );
    assert!(render(&chain).is_ok());
}

#[test]
fn time_is_bounded() {
    let limits = Limits {
        max_steps: u64::MAX,
        max_time_ms: 50,
        ..Limits::default()
    };
    let start = Instant::now();
    let error = with_limits("{{range loop 1000000000000}}{{end}}", limits).unwrap_err();
    assert!(error.to_string().contains("longer than 50 ms"));
    assert!(start.elapsed() < Duration::from_secs(5));
}
