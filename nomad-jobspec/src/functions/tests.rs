//! Functions by example. Results as Terraform's and HCL's documentation gives them, or as Go's packages do.

use crate::expr::{Evaluator, Scope};
use crate::host::{Files, Host, HostError};
use crate::source::Sources;
use crate::syntax::parse_expression;
use crate::value::to_json_text;

/// Files in memory, one id, one hash.
struct World;

impl Host for World {
    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }

    fn uuid(&self) -> Result<String, HostError> {
        Ok("067ddbb4-23ae-49f9-b01e-083a46f26f79".to_owned())
    }

    fn bcrypt(&self, password: &[u8], cost: u32) -> Result<String, HostError> {
        Ok(format!("{cost}:{}", password.len()))
    }
}

impl Files for World {
    fn absolute(&self, path: &str) -> Result<String, HostError> {
        Ok(format!("/base/{path}"))
    }

    fn read(&self, path: &str, _limit: usize) -> Result<Vec<u8>, HostError> {
        match path {
            "hello.txt" => Ok(b"hello".to_vec()),
            _ => Err(HostError::new(format!("no file exists at {path}"))),
        }
    }

    fn exists(&self, path: &str) -> Result<bool, HostError> {
        Ok(path == "hello.txt")
    }

    fn glob(&self, _path: &str, _pattern: &str) -> Result<Vec<String>, HostError> {
        Ok(vec!["b.txt".to_owned(), "a.txt".to_owned()])
    }

    fn expand_home(&self, path: &str) -> Result<String, HostError> {
        Ok(path.replacen('~', "/me", 1))
    }
}

fn evaluate(text: &str, host: &dyn Host) -> Result<String, String> {
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
    let evaluator = Evaluator::new(&sources, host);
    match evaluator.eval(&expr, &Scope::default()) {
        Ok(value) => Ok(to_json_text(&value)),
        Err(_) => Err(lines(evaluator.take_diagnostics())),
    }
}

#[test]
fn functions_give_what_their_documentation_says() {
    let mut wrong = Vec::new();
    for (text, wanted) in [
        // Numbers.
        ("abs(-12.4)", "12.4"),
        ("ceil(5.1)", "6"),
        ("floor(-4.9)", "-5"),
        ("log(16, 2)", "4"),
        ("max(12, 54, 3)", "54"),
        ("min([12, 54, 3]...)", "3"),
        ("parseint(\"bF\", 16)", "191"),
        ("parseint(\"-1011111011101111\", 2)", "-48879"),
        ("parseint(\"aA\", 62)", "656"),
        ("pow(3, 2)", "9"),
        ("signum(-13)", "-1"),
        ("0.1 + 0.2", "0.3"),
        ("7 % 3", "1"),
        ("9223372036854775807 + 1", "9223372036854775808"),
        ("\"5\" * 2", "10"),
        // Strings.
        (r#"chomp("hello\n\n")"#, r#""hello""#),
        (r#"format("Hello, %s!", "Ander")"#, r#""Hello, Ander!""#),
        (
            r#"format("%5d|%-5d|%05d|%+d", 42, 42, 42, 42)"#,
            r#""   42|42   |00042|+42""#,
        ),
        (
            r#"format("%x %X %o %b", 255, 255, 8, 5)"#,
            r#""ff FF 10 101""#,
        ),
        (
            r#"format("%e %.2e %g %v", 12345.678, 0.00012, 1000000, 1000000)"#,
            r#""1.234568e+04 1.20e-04 1e+06 1e+06""#,
        ),
        (
            r#"format("%f %.0f %g", 2.5, 2.5, 100000)"#,
            r#""2.500000 2 100000""#,
        ),
        (
            r#"format("%q %t %% %#v", "a\"b", true, ["x", 1])"#,
            r#""\"a\\\"b\" true % [\"x\",1]""#,
        ),
        (r#"format("%[2]s %[1]s", "a", "b")"#, r#""b a""#),
        (
            r#"formatlist("%s-%d", ["a", "b"], [1, 2])"#,
            r#"["a-1","b-2"]"#,
        ),
        (r#"indent(2, "a\nb")"#, r#""a\n  b""#),
        (r#"join(", ", ["a", "b"])"#, r#""a, b""#),
        (
            r#"regex_replace("hello world", "w.*d", "moon")"#,
            r#""hello moon""#,
        ),
        (
            r#"regex_replace("ab1", "([a-z]+)([0-9])", "$2-$${1}")"#,
            r#""1-ab""#,
        ),
        (r#"replace("1 + 2 + 3", "+", "-")"#, r#""1 - 2 - 3""#),
        (r#"reverse("hello")"#, r#""olleh""#),
        (r#"split(",", "a,b,")"#, r#"["a","b",""]"#),
        (r#"strlen("ᄀ̈")"#, "1"),
        (r#"strrev("abc")"#, r#""cba""#),
        (r#"substr("hello world", 1, 4)"#, r#""ello""#),
        (r#"substr("hello", -3, -1)"#, r#""llo""#),
        (r#"title("hello world-wide")"#, r#""Hello World-Wide""#),
        (r#"trim("?!hello?!", "!?")"#, r#""hello""#),
        (r#"trimprefix("helloworld", "hello")"#, r#""world""#),
        (r#"trimsuffix("helloworld", "world")"#, r#""hello""#),
        // Collections.
        (r#"chunklist(["a", "b", "c"], 2)"#, r#"[["a","b"],["c"]]"#),
        (r#"coalesce(null, "", "b")"#, r#""""#),
        (r#"coalescelist([], ["c"])"#, r#"["c"]"#),
        (r#"compact(["a", "", "b"])"#, r#"["a","b"]"#),
        (r#"concat(["a"], ["b", 1])"#, r#"["a","b",1]"#),
        (r#"contains(["a", "b"], "b")"#, "true"),
        (r#"distinct(["a", "b", "a"])"#, r#"["a","b"]"#),
        (r#"element(["a", "b", "c"], 4)"#, r#""b""#),
        (r#"flatten([["a"], [], [["b"]]])"#, r#"["a","b"]"#),
        (r#"index(["a", "b"], 1)"#, r#""b""#),
        (r#"index({ a = 1 }, "a")"#, "1"),
        (r"keys({ b = 1, a = 2 })", r#"["a","b"]"#),
        (r"length({ a = 1 })", "1"),
        (r#"lookup({ a = 1 }, "b", 5)"#, "5"),
        (r"merge({ a = 1 }, { a = 2, b = 3 })", r#"{"a":2,"b":3}"#),
        ("range(1, 10, 3)", "[1,4,7]"),
        ("range(3, 0)", "[3,2,1]"),
        (r#"setintersection(["a", "b"], ["b", "c"])"#, r#"["b"]"#),
        (
            r#"setproduct(["a", "b"], [1, 2])"#,
            r#"[["a",1],["a",2],["b",1],["b",2]]"#,
        ),
        (r#"setunion(["b"], ["a", "b"])"#, r#"["a","b"]"#),
        (r#"slice(["a", "b", "c"], 1, 3)"#, r#"["b","c"]"#),
        (r#"sort(["e", "d", "a"])"#, r#"["a","d","e"]"#),
        (r"values({ b = 1, a = 2 })", "[2,1]"),
        (r#"zipmap(["a", "b"], [1, 2])"#, r#"{"a":1,"b":2}"#),
        // Encoding.
        (r#"base64decode("aGVsbG8=")"#, r#""hello""#),
        (
            r#"csvdecode("a,b\n1,\"x,\"\"y\"\n")"#,
            r#"[{"a":"1","b":"x,\"y"}]"#,
        ),
        (
            r#"jsondecode("{\"a\": [1, 2.50, null]}")"#,
            r#"{"a":[1,2.5,null]}"#,
        ),
        (
            r#"jsonencode({ b = "<x>", a = [true] })"#,
            r#""{\"a\":[true],\"b\":\"\\u003cx\\u003e\"}""#,
        ),
        (r#"urlencode("a b/ü")"#, r#""a+b%2F%C3%BC""#),
        (
            r#"yamlencode({ a = [1, { b = "x" }], c = {}, d = null })"#,
            r#""\"a\":\n- 1\n- \"b\": \"x\"\n\"c\": {}\n\"d\": null\n""#,
        ),
        (
            r#"yamldecode("a: 1\nb:\n  - x\n  - {y: [1, two]}\nc: |\n  text\n  more\nd: ~\n")"#,
            r#"{"a":1,"b":["x",{"y":[1,"two"]}],"c":"text\nmore\n","d":null}"#,
        ),
        (
            r#"yamldecode("x: &a {k: 1}\ny:\n  <<: *a\n  z: \"q\\tq\" # comment\n")"#,
            r#"{"x":{"k":1},"y":{"k":1,"z":"q\tq"}}"#,
        ),
        (
            r#"yamldecode("- a: 1\n  b: >-\n    folded\n    text\n- true\n- 'it''s'\n")"#,
            r#"[{"a":1,"b":"folded text"},true,"it's"]"#,
        ),
        // Dates.
        (
            r#"formatdate("DD MMM YYYY hh:mm ZZZ", "2018-01-02T23:12:01Z")"#,
            r#""02 Jan 2018 23:12 UTC""#,
        ),
        (
            r#"formatdate("EEEE, DD-MMM-YY hh:mm:ss ZZZ", "2018-01-02T23:12:01Z")"#,
            r#""Tuesday, 02-Jan-18 23:12:01 UTC""#,
        ),
        (
            r#"formatdate("h'h'mm aa H", "2018-01-02T00:12:01-08:00")"#,
            r#""0h12 am 12""#,
        ),
        (
            r#"timeadd("2017-11-22T00:00:00Z", "-10m")"#,
            r#""2017-11-21T23:50:00Z""#,
        ),
        (
            r#"timeadd("2020-02-28T23:00:00+01:00", "25h")"#,
            r#""2020-03-01T00:00:00+01:00""#,
        ),
        // Digests and ids.
        (
            r#"md5("hello world")"#,
            r#""5eb63bbbe01eeed093cb22bb8f5acdc3""#,
        ),
        (
            r#"sha1("hello world")"#,
            r#""2aae6c35c94fcfb415dbe95f408b9ce91ee846ed""#,
        ),
        (
            r#"uuidv5("dns", "www.terraform.io")"#,
            r#""a5008fae-b28c-5ba5-96cd-82b4c53552d6""#,
        ),
        ("uuidv4()", r#""067ddbb4-23ae-49f9-b01e-083a46f26f79""#),
        (r#"bcrypt("pw", 4)"#, r#""4:2""#),
        // Networks.
        (r#"cidrhost("10.12.127.0/20", 268)"#, r#""10.12.113.12""#),
        (
            r#"cidrhost("fd00:fd12:3456:7890:00a2::/72", 34)"#,
            r#""fd00:fd12:3456:7890::22""#,
        ),
        (r#"cidrhost("10.0.0.0/8", -1)"#, r#""10.255.255.255""#),
        (r#"cidrnetmask("172.16.0.0/12")"#, r#""255.240.0.0""#),
        (r#"cidrsubnet("172.16.0.0/12", 4, 2)"#, r#""172.18.0.0/16""#),
        (
            r#"cidrsubnet("fd00:fd12:3456:7890::/56", 16, 162)"#,
            r#""fd00:fd12:3456:7800:a200::/72""#,
        ),
        (
            r#"cidrsubnets("10.1.0.0/16", 4, 4, 8, 4)"#,
            r#"["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]"#,
        ),
        // Types.
        (r#"try(foo[bar], "fallback")"#, r#""fallback""#),
        (r#"can(parseint("x", 10))"#, "false"),
        (r#"convert(["1", "2"], list(number))"#, "[1,2]"),
        (r"convert({ a = 1 }, map(string))", r#"{"a":"1"}"#),
        // Files.
        (r#"file("hello.txt")"#, r#""hello""#),
        (r#"filebase64("hello.txt")"#, r#""aGVsbG8=""#),
        (r#"fileexists("none")"#, "false"),
        (r#"fileset(".", "*.txt")"#, r#"["a.txt","b.txt"]"#),
        (r#"basename("foo/bar/baz.txt")"#, r#""baz.txt""#),
        (r#"dirname("foo/bar/baz.txt")"#, r#""foo/bar""#),
        (r#"abspath("x")"#, r#""/base/x""#),
        (r#"pathexpand("~/.ssh")"#, r#""/me/.ssh""#),
    ] {
        match evaluate(text, &World) {
            Ok(got) if got == wanted => {}
            Ok(got) => wrong.push(format!("{text}: want {wanted}, got {got}")),
            Err(error) => wrong.push(format!("{text}: want {wanted}, got {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_in_calls_are_told() {
    let mut wrong = Vec::new();
    for (text, words) in [
        (
            "uper(\"a\")",
            "There is no function named \"uper\". Did you mean \"upper\"?",
        ),
        (
            "upper()",
            "Function \"upper\" expects 1 argument(s), but got 0",
        ),
        ("upper(\"a\", \"b\")", "but got 2"),
        ("upper(null)", "argument must not be null"),
        ("upper([])", "string required"),
        ("element([], 0)", "empty list"),
        ("range(0, 100000)", "more than 1024 values"),
        (
            "parseint(\"g\", 16)",
            "cannot parse \"g\" as a base 16 integer",
        ),
        ("format(\"%d\", 1.5)", "an integer is required"),
        ("format(\"%s %s\", 1)", "not enough arguments"),
        ("format(\"%s\", 1, 2)", "too many arguments"),
        ("format(\"%999999999d\", 1)", "larger than"),
        ("base64decode(\"%\")", "failed to decode base64"),
        (
            "cidrsubnet(\"10.0.0.0/24\", 16, 0)",
            "not enough remaining address space",
        ),
        (
            "formatdate(\"YYYYY\", \"2018-01-02T23:12:01Z\")",
            "invalid date format verb",
        ),
        ("timeadd(\"yesterday\", \"1h\")", "not a valid RFC3339"),
        ("regex_replace(\"a\", \"(\", \"b\")", "regular expression"),
        ("yamldecode(\"a: [1\")", "unclosed"),
        ("jsondecode(\"{\")", "EOF"),
        (
            "setproduct([for i in range(1000): i], [for i in range(1000): i])",
            "elements",
        ),
        ("try(foo[bar])", "no expression succeeded"),
        ("convert(1, list(string))", "list of string required"),
        ("1 / 0", "Division by zero"),
        ("[1, 2][5]", "greater than or equal to the length"),
        ("{ a = 1 }.b", "does not have an attribute named \"b\""),
        ("true ? 1 : [1]", "Inconsistent conditional result types"),
        ("\"a${null}\"", "Cannot include a null value"),
        ("[for x in 5 : x]", "cannot be used as the collection"),
        (
            "{ for x in [1, 1] : x => x }",
            "Two different items produced the key \"1\"",
        ),
    ] {
        match evaluate(text, &crate::Isolated) {
            Err(error) if error.contains(words) => {}
            other => wrong.push(format!("{text}: want {words:?}, got {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_server_shows_no_files_and_makes_no_ids() {
    for text in [
        "file(\"/etc/passwd\")",
        "basename(\"a/b\")",
        "abspath(\"x\")",
        "fileexists(\"x\")",
    ] {
        assert!(
            evaluate(text, &crate::Isolated)
                .unwrap_err()
                .contains("filesystem function disabled"),
            "{text}"
        );
    }
    assert!(evaluate("uuidv4()", &crate::Isolated).is_err());
}

#[test]
fn work_is_bounded() {
    let text = "[for a in range(1000): [for b in range(1000): [for c in range(1000): c]]]";
    let mut sources = Sources::default();
    let file = sources.add("x", text);
    let expr = parse_expression(&sources, file).unwrap();
    let evaluator = Evaluator::new(&sources, &crate::Isolated);
    evaluator.limit_fuel(100_000);
    assert!(evaluator.eval(&expr, &Scope::default()).is_err());
    assert!(
        evaluator.take_diagnostics()[0]
            .summary
            .contains("Too much work")
    );
    let growing = format!(
        "replace({}, \"a\", {})",
        "join(\"\", [for i in range(1000): \"aaaaaaaaaa\"])",
        "join(\"\", [for i in range(1000): \"bbbbbbbbbb\"])"
    );
    assert!(
        evaluate(&growing, &crate::Isolated)
            .unwrap_err()
            .contains("longer than")
    );
}
