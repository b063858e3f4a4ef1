//! Recorded output of Go's `fmt`.

use super::*;

fn check(format: &str, args: &[Value], want: &str) {
    assert_eq!(sprintf(format, args), want, "{format} {args:?}");
}

#[test]
fn integers() {
    check(
        "%d|%5d|%-5d|%05d|%+d|% d",
        &[1, 2, 3, -4, 5, 6].map(Value::Int),
        "1|    2|3    |-0004|+5| 6",
    );
    check(
        "%x %X %#x %o %#o %b %c %q %U",
        &[255, 255, 255, 8, 8, 5, 65, 65, 0x20ac].map(Value::Int),
        "ff FF 0xff 10 010 101 A 'A' U+20AC",
    );
    check(
        "%.3d|%5.3d|%s",
        &[7, 7, 7].map(Value::Int),
        "007|  007|%!s(int=7)",
    );
    check("%d", &[Value::Uint(u64::MAX)], "18446744073709551615");
}

#[test]
fn floats() {
    let f = |x: f64| [Value::Float(x)];
    check("%v", &f(1.5), "1.5");
    check("%v", &f(1e6), "1e+06");
    check("%v", &f(123_456_789.0), "1.23456789e+08");
    check("%v", &f(100_000.0), "100000");
    check("%v", &f(0.000_012), "1.2e-05");
    check("%f|", &f(1.0), "1.000000|");
    check("%.2f", &f(1.005), "1.00");
    check("%8.3f", &f(2.5), "   2.500");
    check("%08.3f", &f(-2.5), "-002.500");
    check("%e", &f(123_456.0), "1.234560e+05");
    check("%g", &f(1e21), "1e+21");
    check("%.3g", &f(1234.5), "1.23e+03");
    check("%v", &f(f64::INFINITY), "+Inf");
    check("%d", &f(1.0), "%!d(float64=1)");
}

#[test]
fn strings() {
    let s = [Value::str("héllo")];
    check(
        "%s|%8s|%-8s|%.2s|%q|%x",
        &[
            s[0].clone(),
            s[0].clone(),
            s[0].clone(),
            s[0].clone(),
            s[0].clone(),
            Value::str("hi"),
        ],
        "héllo|   héllo|héllo   |hé|\"héllo\"|6869",
    );
    check("%d", &[Value::str("x")], "%!d(string=x)");
    check(
        "%q",
        &[Value::str("a\"b\\c\n\u{1}")],
        "\"a\\\"b\\\\c\\n\\x01\"",
    );
    check(
        "%t %v",
        &[Value::Bool(true), Value::Bool(false)],
        "true false",
    );
}

#[test]
fn composite() {
    let list = Value::strings(["a", "b"]);
    check(
        "%v %s %q %T %d",
        &[
            list.clone(),
            list.clone(),
            list.clone(),
            list.clone(),
            Value::list(vec![1.into(), 2.into()]),
        ],
        "[a b] [a b] [\"a\" \"b\"] []string [1 2]",
    );
    check("%#v", std::slice::from_ref(&list), "[]string{\"a\", \"b\"}");
    let map = Value::map([("b".into(), Value::Nil), ("a".into(), 1.into())].into());
    check(
        "%v %#v",
        &[map.clone(), map],
        "map[a:1 b:<nil>] map[string]interface {}{\"a\":1, \"b\":interface {}(nil)}",
    );
}

#[test]
fn markers() {
    check("%d %d", &[Value::Int(1)], "1 %!d(MISSING)");
    check(
        "%d",
        &[Value::Int(1), Value::str("x")],
        "1%!(EXTRA string=x)",
    );
    check("100%", &[], "100%!(NOVERB)");
    check("%v %s", &[Value::Nil, Value::Nil], "<nil> %!s(<nil>)");
    check("%[2]d %[1]d", &[Value::Int(1), Value::Int(2)], "2 1");
    check("%*d", &[Value::Int(4), Value::Int(1)], "   1");
    check("%z", &[Value::Int(1)], "%!z(int=1)");
}

#[test]
fn sprint_spaces_between_what_is_no_string() {
    let args = [
        Value::Int(1),
        Value::Int(2),
        Value::str("a"),
        Value::str("b"),
        Value::Int(3),
    ];
    assert_eq!(sprint(&args), "1 2ab3");
    assert_eq!(sprintln(&args), "1 2 a b 3\n");
}
