//! Expressions: templates, references that stay for the client, collections.

use std::collections::BTreeMap;

use super::{Evaluator, Scope};
use crate::host::Isolated;
use crate::source::Sources;
use crate::syntax::parse_expression;
use crate::value::{Value, to_json_text};

fn evaluate(text: &str) -> Result<String, String> {
    let mut sources = Sources::default();
    let file = sources.add("x", text);
    let lines = |diagnostics: Vec<crate::Diagnostic>| {
        diagnostics
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let expr = parse_expression(&sources, file).map_err(lines)?;
    let evaluator = Evaluator::new(&sources, &Isolated);
    let members = BTreeMap::from([
        ("name".to_owned(), Value::from("world")),
        (
            "list".to_owned(),
            Value::list(vec![Value::from("a"), Value::from("b")]),
        ),
    ]);
    let scope = Scope::default().with("var", Value::object(members));
    match evaluator.eval(&expr, &scope) {
        Ok(value) => Ok(to_json_text(&value)),
        Err(_) => Err(lines(evaluator.take_diagnostics())),
    }
}

#[test]
fn references_of_the_client_keep_their_text() {
    for (text, wanted) in [
        (r#""foo-${attr.a.b}""#, r#""foo-${attr.a.b}""#),
        (r#""${ attr.a }""#, r#""${ attr.a }""#),
        (
            r#""${env["X"]}/${mixed-indexing.0[3]["FOO"].5}""#,
            r#""${env[\"X\"]}/${mixed-indexing.0[3][\"FOO\"].5}""#,
        ),
        ("meta.x", r#""${meta.x}""#),
        ("upper(node.x)", r#""${NODE.X}""#),
        (r#""$${X} $$${Y} %%{if}""#, r#""${X} $${Y} %{if}""#),
        (
            r#"["${NOMAD_PORT_http}", var.name]"#,
            r#"["${NOMAD_PORT_http}","world"]"#,
        ),
        (r#""${attr.x}-${var.name}""#, r#""${attr.x}-world""#),
    ] {
        assert_eq!(evaluate(text).as_deref(), Ok(wanted), "{text}");
    }
    for text in ["attr.a / b", "attr.a + 1", "c[d]", "attr.x[var.name]"] {
        assert!(evaluate(text).is_err(), "{text}");
    }
}

#[test]
fn templates_render() {
    for (text, wanted) in [
        (r#""Hello, ${var.name}!""#, r#""Hello, world!""#),
        (r#""${var.list}""#, r#"["a","b"]"#),
        (
            r#""%{ for x in var.list }(${x})%{ endfor }""#,
            r#""(a)(b)""#,
        ),
        (
            r#""%{ if var.name == "x" }yes%{ else }no\t%{ endif }""#,
            r#""no\t""#,
        ),
        (r#""a  ${~ 1 ~}  b""#, r#""a1b""#),
        (r#""\u00e9\n\"\\""#, r#""é\n\"\\""#),
        (r#""""#, r#""""#),
        ("<<EOT\n  a\n b ${var.name}\nEOT", r#""  a\n b world\n""#),
        ("<<-EOT\n    a\n\n      b\n    EOT", r#""a\n\n  b\n""#),
        (
            "<<-EOT\n    ${var.name}\n      b\n    EOT",
            r#""world\n  b\n""#,
        ),
        (
            "<<-EOT\n  ${var.name}\n${var.name}\n    b\n  EOT",
            r#""  world\nworld\n    b\n""#,
        ),
        (
            "<<EOT\n%{ for x in var.list ~}\n- ${x}\n%{ endfor ~}\nEOT",
            r#""- a\n- b\n""#,
        ),
        ("<<EOT\n$${x} %%{y}\nEOT", r#""${x} %{y}\n""#),
    ] {
        assert_eq!(evaluate(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn collections_are_made_and_read() {
    for (text, wanted) in [
        (
            "[for i, x in var.list : \"${i}${x}\" if x != \"a\"]",
            r#"["1b"]"#,
        ),
        (
            "{ for x in [\"a\", \"b\", \"a\"] : x => 1... }",
            r#"{"a":[1,1],"b":[1]}"#,
        ),
        ("[{ n = 1 }, { n = 2 }][*].n", "[1,2]"),
        ("[{ n = 1 }].*.n", "[1]"),
        ("null[*]", "[]"),
        ("5[*]", "[5]"),
        ("[[1, 2], [3]][*][0]", "[1,3]"),
        ("{ \"a.b\" = 1, (var.name) = 2 }", r#"{"a.b":1,"world":2}"#),
        ("{ a : 1\nb : 2 }", r#"{"a":1,"b":2}"#),
        ("[1, 2,]", "[1,2]"),
        ("1 < 2 && !false || fail", "true"),
        ("1 == \"1\"", "false"),
        ("true ? 1 : \"a\"", r#""1""#),
        ("-(2 + 3) * 2", "-10"),
        ("var.list.1", r#""b""#),
        ("var[\"name\"]", r#""world""#),
    ] {
        assert_eq!(evaluate(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_and_never_overflows() {
    for text in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{}true", "!".repeat(10_000)),
        "1".to_owned() + &"+1".repeat(10_000),
        "\"${".repeat(5_000),
    ] {
        assert!(evaluate(&text).is_err());
    }
    // As deep as is allowed.
    let text = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    assert!(evaluate(&text).is_ok());
    assert!(evaluate(&("1".to_owned() + &"+1".repeat(120))).is_ok());
}
