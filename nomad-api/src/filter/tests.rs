//! Filters on a small object.

use serde_json::json;

use super::Filter;

fn check(filter: &str) -> Result<bool, String> {
    let object = json!({
        "Name": "web", "Priority": 50, "Stop": false, "Meta": {"rack": "r1", "a-b": "x"},
        "Datacenters": ["dc1", "dc2"], "Periodic": null,
        "TaskGroups": [{"Name": "front", "Count": 2}, {"Name": "back", "Count": 1}],
    });
    Filter::parse(filter)
        .map_err(|error| error.to_string())?
        .matches(&object)
        .map_err(|error| error.to_string())
}

#[test]
fn expressions_match_as_documented() {
    for (filter, wanted) in [
        ("", true),
        ("Name == web", true),
        ("Name == \"web\" and Priority != 40", true),
        ("Name==`web`", true),
        ("Priority == 50 and Stop == false", true),
        ("Name == api or not (Name == api)", true),
        ("dc1 in Datacenters", true),
        ("\"dc3\" not in Datacenters", true),
        ("Datacenters contains dc2", true),
        ("Name contains \"e\"", true),
        ("rack in Meta", true),
        ("Meta.rack == r1", true),
        ("Meta[\"a-b\"] == x", true),
        ("\"/Meta/a-b\" == x", true),
        ("Meta.none == x", false),
        ("Meta.none != x", true),
        ("Meta.none is empty", true),
        ("Periodic is nil", true),
        ("Datacenters is not empty", true),
        ("Name matches \"^w.b$\"", true),
        ("Name not matches \"^a\"", true),
        ("TaskGroups.0.Name == front", true),
        ("any TaskGroups as g { g.Count == 1 }", true),
        ("all TaskGroups as _, g { g.Count == 1 }", false),
        ("any Meta as k, v { k == rack and v == r1 }", true),
    ] {
        assert_eq!(check(filter), Ok(wanted), "{filter}");
    }
}

#[test]
fn mistakes_are_errors() {
    for filter in [
        "Name",
        "Name ==",
        "Name == \"web",
        "(Name == web",
        "Name === web",
        "Nope == x",
        "Priority == x",
        "Name matches \"(\"",
        "and",
    ] {
        assert!(check(filter).is_err(), "{filter}");
    }
    assert!(check(&"(".repeat(10_000)).is_err());
    assert!(check(&"not ".repeat(4_000)).is_err());
}
