//! Tera templates, friendly and hostile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{EngineKind, RenderInput, Source, TemplateError};
use crate::data::{Answer, Data, DataSource, Query, Service, Variable, VariableMeta};
use crate::limits::Limits;

struct Fixed;

impl DataSource for Fixed {
    fn query(&self, query: &Query) -> Answer {
        Answer::Ready(Arc::new(match query {
            Query::Variable { path, .. } if path == "nomad/jobs/web" => {
                Data::Variable(Some(Variable {
                    meta: VariableMeta {
                        path: path.clone(),
                        ..VariableMeta::default()
                    },
                    items: BTreeMap::from([("user".to_owned(), "me & you".to_owned())]),
                }))
            }
            Query::Variable { .. } => Data::Variable(None),
            Query::Service { name, .. } => Data::Service(vec![Service {
                name: name.clone(),
                address: "10.0.0.1".to_owned(),
                port: 80,
                ..Service::default()
            }]),
            _ => return Answer::Pending,
        }))
    }
}

fn input() -> RenderInput {
    let start = Instant::now();
    RenderInput {
        env: Arc::new(BTreeMap::from([("COLOR".to_owned(), "red".to_owned())])),
        data: Arc::new(Fixed),
        limits: Limits {
            max_steps: 20_000,
            max_total_bytes: 32 << 20,
            max_output_bytes: 1 << 20,
            max_time_ms: 3_000,
            ..Limits::default()
        },
        expired: Arc::new(move || start.elapsed() > Duration::from_secs(3)),
        ..RenderInput::default()
    }
}

fn render(text: &str) -> Result<String, TemplateError> {
    let input = input();
    let compiled = EngineKind::Tera
        .engine()
        .compile(&Source::new("t", text), &input.limits)?;
    let rendered = compiled.render(&input)?;
    assert!(
        rendered.missing.is_empty(),
        "{text} waits: {:?}",
        rendered.problem
    );
    Ok(String::from_utf8(rendered.output).expect("tests print UTF-8"))
}

#[track_caller]
fn check(text: &str, want: &str) {
    assert_eq!(render(text).expect(text), want, "{text}");
}

#[test]
fn the_same_functions_by_name_and_as_filters() {
    check(
        "{{ env(name='COLOR') }} {{ get_env(name='NONE', default='d') }}",
        "red d",
    );
    check(
        "{% set v = nomadVar(path='nomad/jobs/web') %}{{ v.user }}",
        "me & you",
    );
    check(
        "{% for s in nomadService(name_or_count='db') %}{{ s.Name }}={{ s.Address }}:{{ s.Port }}{% endfor %}",
        "db=10.0.0.1:80",
    );
    check("{{ nomadVarExists(path='x') }}", "false");
    check(
        "{{ 'hello' | base64Encode }} {{ 'a.b' | replaceAll(from='.', to='-') }} {{ 'x' | sha256Hex | truncate(length=4, end='') }}",
        "aGVsbG8= a-b 2d71",
    );
    check(
        "{{ '{\"b\":[1],\"a\":2}' | parseJSON | toYAML }}",
        "a: 2\nb:\n- 1",
    );
    check(
        "{% for i in loop(from_or_to=2, to=4) %}{{ i }}{% endfor %}",
        "23",
    );
    check("{{ sprig_list(items=[1, 'a']) | toJSON }}", "[1,\"a\"]");
    check(
        "{% macro m(a, b=2) %}{{ a + b }}{% endmacro %}{{ self::m(a=1) }}",
        "3",
    );
    check(
        "{% block x %}in{% endblock %}{% raw %}{{ no }}{% endraw %}{# c #}",
        "in{{ no }}",
    );
    check(
        "{% filter upper %}a{% if true %}b{% endif %}{% endfilter %}",
        "AB",
    );
    check(
        "{% macro f(n) %}{% if n > 1 %}{{ n }},{{ self::f(n=n-1) }}{% else %}1{% endif %}{% endmacro %}{{ self::f(n=5) }}",
        "5,4,3,2,1",
    );
}

#[test]
fn missing_data_waits() {
    let compiled = |text: &str| {
        let engine = EngineKind::Tera.engine();
        engine
            .compile(&Source::new("t", text), &Limits::default())
            .unwrap()
    };
    for text in [
        "{{ nomadVar(path='absent').user }}",
        "{% set v = nomadVar(path='absent') %}{{ v.user }}",
        "{{ nomadVarList() | length }}",
    ] {
        if text.contains(").user") {
            continue; // not Tera's syntax
        }
        let rendered = compiled(text).render(&input()).unwrap();
        assert_eq!(rendered.missing.len(), 1, "{text}");
    }
    let error = compiled("{{ key(path='x') }}")
        .render(&RenderInput::default())
        .unwrap_err();
    assert!(
        error.to_string().contains("Consul is not configured"),
        "{error}"
    );
}

#[test]
fn unknown_names_are_found_before_execution_and_all_at_once() {
    let error = render("{% if false %}{{ nope() }}{{ 1 | nofilter }}{{ self::nomacro() }}{% if 1 is atest %}{% endif %}{% endif %}").unwrap_err();
    assert!(matches!(error, TemplateError::Parse { .. }), "{error}");
    let text = render("{% if false %}{{ nope() }}{{ a | nofilter }}{{ self::nomacro() }}{% if a is atest %}{% endif %}{% endif %}").unwrap_err().to_string();
    for name in ["nope", "nofilter", "nomacro", "atest"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(render("{% include 'other' %}").is_err());
    assert!(render("{% extends 'other' %}").is_err());
    assert!(
        render("{{ split(sep=',', wrong=1) }}")
            .unwrap_err()
            .to_string()
            .contains("no parameter")
    );
}

#[test]
fn the_agents_environment_is_not_seen() {
    assert!(std::env::var_os("PATH").is_some());
    assert!(render("{{ get_env(name='PATH') }}").is_err());
    check(
        "{{ get_env(name='PATH', default='none') }}|{{ env(name='PATH') }}",
        "none|",
    );
}

#[test]
fn hostile_templates_are_bounded() {
    let start = Instant::now();
    for (text, because) in [
        (
            "{% for i in range(end=100000) %}{% for j in range(end=100000) %}{% endfor %}{% endfor %}",
            "steps",
        ),
        ("{% for i in range(end=1000000000) %}{% endfor %}", "turns"),
        (
            "{% macro r() %}{{ self::r() }}{% endmacro %}{{ self::r() }}",
            "macros nest",
        ),
        (
            "{% set x = 'aaaaaaaaaaaaaaaa' %}{% for i in range(end=64) %}{% set_global x = x ~ x %}{% endfor %}",
            "larger than",
        ),
        (
            "{% set x = [1] %}{% for i in range(end=64) %}{% set_global x = [x, x] %}{% endfor %}",
            "larger than",
        ),
        (
            "{% set x = 1 %}{% for i in range(end=500) %}{% set_global x = [x] %}{% endfor %}",
            "nests deeper",
        ),
        (
            "{% set x = 'a' %}{% for i in range(end=64) %}{% set_global x = x | replace(from='a', to='aaaa') %}{% endfor %}",
            "larger than",
        ),
        (
            "{{ '&' | escape | escape | escape | escape | escape | escape | escape | escape | escape | escape | escape | length }}{% set x = '&&&&&&&&' %}{% for i in range(end=90) %}{% set_global x = x ~ x | escape %}{% endfor %}",
            "larger than",
        ),
        (
            "{% macro d(x, n) %}{% if n > 0 %}{{ self::d(x=x ~ x, n=n - 1) }}{% endif %}{% endmacro %}{{ self::d(x='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', n=23) }}",
            "larger than",
        ),
        (
            "{% set x = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' | indent(prefix='bbbbbbbbbbbbbbbb', first=true) %}{% for i in range(end=15000) %}{{ x }}{{ x }}{{ x }}{{ x }}{% endfor %}",
            "output is longer",
        ),
    ] {
        let error = render(text)
            .map(|out| out.len())
            .expect_err(text)
            .to_string();
        assert!(
            error.contains(because),
            "{}: {error}",
            &text[..text.len().min(120)]
        );
    }
    let section = "0123456789".repeat(700);
    let section = format!(
        "{{% filter upper %}}{{% for i in range(end=15000) %}}{section}{{% endfor %}}{{% endfilter %}}"
    );
    assert!(
        render(&section)
            .unwrap_err()
            .to_string()
            .contains("bytes of text")
    );
    for text in [
        format!("{{{{ {}1{} }}}}", "(".repeat(40), ")".repeat(40)),
        format!("{{{{ {}1{} }}}}", "[".repeat(40), "]".repeat(40)),
        format!("{{{{ {} }}}}", vec!["1"; 5_000].join(" + ")),
        format!("{{{{ {} }}}}", vec!["a"; 5_000].join(" and ")),
        format!(
            "{}{}",
            "{% if true %}".repeat(5_000),
            "{% endif %}".repeat(5_000)
        ),
        format!("{{{{ {}1{} }}}}", "f(a=".repeat(40), ")".repeat(40)),
        "{{ 'unclosed }}".to_owned(),
        "{{".to_owned(),
        "{% raw %}".to_owned(),
    ] {
        assert!(render(&text).is_err(), "{}", &text[..text.len().min(80)]);
    }
    assert!(
        start.elapsed() < Duration::from_mins(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_worst_nesting_that_is_allowed_parses_quickly() {
    let start = Instant::now();
    for (open, close) in [("(", ")"), ("[", "]"), ("env(name=", ")"), ("not (", ")")] {
        let text = format!("{{{{ {}a{} }}}}", open.repeat(5), close.repeat(5));
        let _ = render(&text);
    }
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}
