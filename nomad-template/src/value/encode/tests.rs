//! Recorded output of the Go libraries.

use super::*;
use crate::value::Value;

fn value(json: &str) -> Value {
    json::read(json).expect("test JSON")
}

#[test]
fn json_escapes_as_go_does() {
    let v = value(r#"{"b":[1,2.5,1e21,0.0000001],"a":"<&>\u2028","c":[],"d":{}}"#);
    let html = json::Style {
        html: true,
        indent: None,
    };
    assert_eq!(
        json::write(&v, html).unwrap(),
        r#"{"a":"\u003c\u0026\u003e\u2028","b":[1,2.5,1e+21,1e-7],"c":[],"d":{}}"#
    );
    let pretty = json::Style {
        html: false,
        indent: Some("  "),
    };
    assert_eq!(
        json::write(&value(r#"{"a":[1],"b":{}}"#), pretty).unwrap(),
        "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"
    );
}

#[test]
fn toml_puts_tables_last() {
    let v = value(r#"{"z":1,"t":{"u":{"v":true},"a":"x"},"l":[{"k":1},{"k":2}],"e":[[1],["a"]]}"#);
    assert_eq!(
        toml::write(&v).unwrap(),
        "e = [[1.0], [\"a\"]]\nz = 1.0\n\n[[l]]\n  k = 1.0\n\n[[l]]\n  k = 2.0\n\n[t]\n  a = \"x\"\n  [t.u]\n    v = true"
    );
    assert!(toml::write(&Value::Int(1)).is_err());
}

#[test]
fn yaml_quotes_what_would_read_back_as_something_else() {
    let v = value(
        r#"{"bool":"yes","num":"1.5","null":"~","empty":"","colon":"a: b","hash":"a #b","dash":"- a",
            "space":" a","multi":"a\nb\n","date":"2020-01-02","time":"12:30:45","tab":"a\tb","ok":"a:b c-d"}"#,
    );
    let text = yaml_write::write(&v).unwrap();
    let want = "bool: \"yes\"\ncolon: 'a: b'\ndash: '- a'\ndate: \"2020-01-02\"\nempty: \"\"\nhash: 'a #b'\nmulti: |\n  a\n  b\n\"null\": \"~\"\nnum: \"1.5\"\nok: a:b c-d\nspace: ' a'\ntab: \"a\\tb\"\ntime: \"12:30:45\"";
    assert_eq!(text, want);
}

#[test]
fn yaml_nests() {
    let v = value(r#"{"l":[{"a":1,"b":[2]},[3,[4]],{}],"m":{"x":{"y":null}},"k10":1,"k9":2}"#);
    let want =
        "k9: 2\nk10: 1\nl:\n- a: 1\n  b:\n  - 2\n- - 3\n  - - 4\n- {}\nm:\n  x:\n    \"y\": null";
    assert_eq!(yaml_write::write(&v).unwrap(), want);
}

#[test]
fn yaml_reads_anchors_merges_and_old_booleans() {
    let v = yaml_read::read(
        "base: &b {a: 1, on: yes}\nc:\n  <<: *b\n  a: 0x10\nd: [~, '1', 1.5, 010]\n",
    )
    .unwrap();
    let text = json::write(&v, json::Style::default()).unwrap();
    assert_eq!(
        text,
        r#"{"base":{"a":1,"true":true},"c":{"a":16,"true":true},"d":[null,"1",1.5,8]}"#
    );
    assert!(matches!(yaml_read::read("").unwrap(), Value::Nil));
    assert!(yaml_read::read("a: [").is_err());
}

#[test]
fn yaml_bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        push!(
            bomb,
            "a{i}: &a{i} [{}]\n",
            vec![format!("*a{}", i - 1); 10].join(",")
        );
    }
    assert!(
        yaml_read::read(&bomb)
            .unwrap_err()
            .to_string()
            .contains("nodes")
    );
    assert!(yaml_read::read(&"[".repeat(1_000)).is_err());
}
