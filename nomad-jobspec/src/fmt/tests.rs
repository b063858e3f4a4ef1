//! Formatting, and that doing it twice changes nothing.

use super::format;
use crate::source::Source;

fn formatted(text: &str) -> String {
    let once = format(Source {
        name: "x.hcl",
        text,
    })
    .unwrap();
    let twice = format(Source {
        name: "x.hcl",
        text: &once,
    })
    .unwrap();
    assert_eq!(once, twice, "formatting twice");
    once
}

#[test]
fn blocks_are_indented_and_assignments_aligned() {
    let text = "job \"x\"   {\n# first\n    datacenters=[\"a\",\"b\"]   // dcs\n type =  \"service\" # kind\n\n\n group   \"g\" {\n\
                count=-1\n  network {\n port \"http\" {  }\n }\n}\n}\n";
    let wanted = "job \"x\" {\n  # first\n  datacenters = [\"a\", \"b\"] // dcs\n  type        = \"service\"  # kind\n\n\n  group \"g\" {\n    \
                  count = -1\n    network {\n      port \"http\" {}\n    }\n  }\n}\n";
    assert_eq!(formatted(text), wanted);
}

#[test]
fn expressions_get_single_blanks() {
    let text = "a=upper( local.x [ 0 ] )\nbb = [for k,v in {x=1}:k=>v if !true]...\n";
    // The second line is no HCL; the first is formatted alone.
    assert!(format(Source { name: "x", text }).is_err());
    assert_eq!(
        formatted("a=upper( local.x [0] )\nlong=1+2 *3\n"),
        "a    = upper(local.x[0])\nlong = 1 + 2 * 3\n"
    );
    assert_eq!(
        formatted("m={for k,v in local.m:k=>v if v!=null}\n"),
        "m = { for k, v in local.m : k => v if v != null }\n"
    );
    assert_eq!(formatted("t=local.a.*.b\n"), "t = local.a.*.b\n");
    assert_eq!(formatted("c=a?b:[1,2]\n"), "c = a ? b : [1, 2]\n");
}

#[test]
fn texts_are_left_alone() {
    let text = "a = \"${  x  }  y\"\nb = <<-EOT\n      keep\n   me ${ z }\n  EOT\n  c =  \"\"\n";
    let wanted = "a = \"${  x  }  y\"\nb = <<-EOT\n      keep\n   me ${ z }\n  EOT\nc = \"\"\n";
    assert_eq!(formatted(text), wanted);
}

#[test]
fn broken_texts_are_refused() {
    let error = format(Source {
        name: "x.hcl",
        text: "job \"x\" {",
    })
    .unwrap_err();
    assert!(error.to_string().contains("Unclosed configuration block"));
    assert!(
        format(Source {
            name: "x.json",
            text: "{}"
        })
        .is_err()
    );
}
