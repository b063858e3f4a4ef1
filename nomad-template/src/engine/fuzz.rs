//! Templates from random pieces: whatever they are, both engines answer, in time and within bounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{EngineKind, PANICKED, RenderInput, Source};
use crate::limits::Limits;

/// Pieces from which both languages are made.
fn go_piece() -> impl Strategy<Value = String> {
    let names = crate::function_names();
    prop_oneof![
        4 => Just("{{".to_owned()),
        4 => Just("}}".to_owned()),
        1 => Just("{{- ".to_owned()),
        1 => Just(" -}}".to_owned()),
        6 => proptest::sample::select(names).prop_map(|name| format!(" {name} ")),
        6 => proptest::sample::select(vec![
            " if ", " else ", " end ", " range ", " with ", " define \"d\" ", " template \"d\" ", " block \"b\" ",
            " $x ", " := ", " = ", " | ", " ( ", " ) ", " . ", " .a.b ", " $ ", " , ", " break ", " continue ",
            " and ", " or ", " not ", " eq ", " lt ", " index ", " slice ", " printf ", " len ", " html ", " nil ",
            " true ", " 0 ", " 1 ", " -3 ", " 1e9 ", " 0x7fffffffffffffff ", " 'c' ", "/* c */", "\n",
        ]).prop_map(str::to_owned),
        4 => proptest::sample::select(vec![
            "\"\"", "\"a,b;c=d\"", "\"%d %s %[2]v %*d\"", "\"{\\\"a\\\":[1,{\\\"b\\\":null}]}\"", "\"2006-01-02\"",
            "\"[a-z]+(\"", "\"1.2.3-rc1\"", "\"é\\n\\x00\"", "`raw`", "\"../../etc/passwd\"", "\"a: [&x 1, *x]\"",
            "\"24h\"", "\"GetAllInterfaces | attr \\\"address\\\"\"",
        ]).prop_map(|s| format!(" {s} ")),
        1 => "\\PC{0,8}",
    ]
}

fn tera_piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec!["{{ ", " }}", "{% ", " %}", "{%- ", " -%}", "{# ", " #}"]).prop_map(str::to_owned),
        6 => proptest::sample::select(vec![
            "if a ", "elif true ", "else ", "endif ", "for i in ", "endfor ", "set x = ", "set_global x = ",
            "macro m(a, b=1) ", "endmacro ", "self::m(a=1) ", "block b ", "endblock ", "filter upper ", "endfilter ",
            "raw ", "endraw ", "break ", "continue ", "range(end=5) ", "x ", "x.y ", "x[0] ", "[1, 'a'] ", "'s' ",
            "| upper ", "| toJSON ", "| replace(from='a', to='bb') ", "| split(sep=',') ", "| json_encode ", "~ x ",
            "+ 1 ", "* 2 ", "and ", "or ", "not ", "in ", "is defined ", "( ", ") ", "env(name='A') ",
            "loop(from_or_to=3) ", "__tera_context ", "| default(value=1) ", "text ",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}

fn survives(kind: EngineKind, text: &str) -> Result<(), TestCaseError> {
    let start = Instant::now();
    let limits = Limits {
        max_steps: 3_000,
        max_total_bytes: 16 << 20,
        max_value_bytes: 1 << 20,
        max_output_bytes: 1 << 20,
        max_time_ms: 500,
        ..Limits::default()
    };
    let input = RenderInput {
        limits,
        expired: Arc::new(move || start.elapsed() > Duration::from_millis(500)),
        ..RenderInput::default()
    };
    let engine = kind.engine();
    let rendered = engine
        .compile(&Source::new("fuzz", text), &limits)
        .and_then(|compiled| compiled.render(&input));
    match rendered {
        Ok(rendered) => prop_assert!(rendered.output.len() <= limits.max_output_bytes),
        Err(error) => prop_assert!(!error.to_string().contains(PANICKED), "{text:?}: {error}"),
    }
    prop_assert!(
        start.elapsed() < Duration::from_secs(10),
        "{text:?} took {:?}",
        start.elapsed()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn go_templates(pieces in proptest::collection::vec(go_piece(), 0..40)) {
        survives(EngineKind::Go, &pieces.concat())?;
    }

    /// Mostly well-formed actions, so that functions are reached with all kinds of arguments.
    #[test]
    fn go_calls(name in proptest::sample::select(crate::function_names()), args in proptest::collection::vec(proptest::sample::select(vec![
        "\"\"", "\"a,b\"", "1", "-1", "9223372036854775807", "1.5", "true", "nil", ".", "(sprig_list 1 \"a\" nil)", "(sprig_dict \"a\" 1)",
        "(sprig_now)", "scratch", "(loop 3)", "(loop -5 9223372036854775807)", "\"2006-01-02T15:04:05Z07:00\"", "\"[a-z]{2,}\"", "(base64Decode \"/w==\")", "(parseUint \"18446744073709551615\")",
        "\"%v %5.2f %x %q %d\"", "(sprig_semver \"1.2.3\")", "\"-0x1p-2\"", "\"nomad/jobs\"",
    ]), 0..5)) {
        survives(EngineKind::Go, &format!("{{{{{name} {}}}}}", args.join(" ")))?;
    }

    #[test]
    fn tera_templates(pieces in proptest::collection::vec(tera_piece(), 0..30)) {
        survives(EngineKind::Tera, &pieces.concat())?;
    }
}
