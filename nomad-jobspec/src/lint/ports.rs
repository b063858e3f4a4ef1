//! Ports that nothing reads, and service ports that no network has.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Check;
use crate::lower::Place;

/// Warns of each port of a group that no task, service or check of the group mentions.
pub(super) fn unread(check: &Check<'_>) {
    for (at, group) in check.places.all("group") {
        let Some(spec) = check
            .job
            .task_groups
            .iter()
            .flatten()
            .find(|it| it.name.as_deref() == Some(group.label.as_str()))
        else {
            continue;
        };
        let ports: Vec<&Place> = networks_of(check, at)
            .flat_map(|network| check.places.children(network, "port"))
            .map(|(_, port)| port)
            .collect();
        let labels: BTreeSet<&str> = ports.iter().map(|port| port.label.as_str()).collect();
        unknown_service_ports(check, at, &labels);
        if ports.is_empty() {
            continue;
        }
        // A template that comes from a file may read any of them.
        let hidden = spec.tasks.iter().flatten().any(|task| {
            task.templates.iter().flatten().any(|template| {
                template
                    .source_path
                    .as_deref()
                    .is_some_and(|it| !it.is_empty())
            })
        });
        if hidden {
            continue;
        }
        let texts = texts_of(spec);
        for port in ports {
            let numbers: Vec<String> = ["static", "to"]
                .iter()
                .filter_map(|name| check.int(port, name))
                .filter(|(number, _)| *number > 0)
                .map(|(number, _)| number.to_string())
                .collect();
            let read = texts.iter().any(|text| {
                reads(text, &port.label) || numbers.iter().any(|number| mentions(text, number))
            });
            if !read {
                check.warn(
                    port.label_span,
                    "Unread port",
                    format!(
                        "No task, service or check of group {:?} reads port {:?}, so nothing will listen on it.",
                        group.label, port.label
                    ),
                    &format!(
                        "Hand it to a task, as ${{NOMAD_PORT_{}}} or in the driver's ports, or take it out.",
                        port.label
                    ),
                );
            }
        }
    }
}

/// The networks of a group and those of its tasks.
fn networks_of<'a>(check: &'a Check<'_>, group: usize) -> impl Iterator<Item = usize> + 'a {
    let own = check.places.children(group, "network").map(|(at, _)| at);
    let of_tasks = check
        .places
        .children(group, "task")
        .flat_map(|(task, _)| check.places.children(task, "resources"))
        .flat_map(|(resources, _)| check.places.children(resources, "network"))
        .map(|(at, _)| at);
    own.chain(of_tasks)
}

/// Group services are taken with any port label; one that no network has leads nowhere.
fn unknown_service_ports(check: &Check<'_>, group: usize, labels: &BTreeSet<&str>) {
    for (at, service) in check.places.children(group, "service") {
        let connect = check.places.children(at, "connect").next().is_some();
        let Some((port, span)) = check.text(service, "port") else {
            continue;
        };
        let known = labels.contains(port.as_str())
            || port.is_empty()
            || port.contains("${")
            || port.parse::<u16>().is_ok();
        if known || connect {
            continue;
        }
        let hint = crate::diagnostic::nearest(&port, labels.iter().copied())
            .map(|near| format!("Did you mean {near:?}?"))
            .unwrap_or_default();
        check.warn(
            span,
            "Unknown port label",
            format!("No network of the group has a port {port:?}."),
            &hint,
        );
    }
}

/// All the strings of a group apart from its networks.
fn texts_of(group: &nomad_core::spec::TaskGroup) -> Vec<String> {
    let mut group = group.clone();
    group.networks = None;
    for task in group.tasks.iter_mut().flatten() {
        if let Some(resources) = &mut task.resources {
            resources.networks = None;
        }
    }
    let mut texts = Vec::new();
    if let Ok(json) = serde_json::to_value(&group) {
        strings(&json, &mut texts);
    }
    texts
}

fn strings(json: &Json, texts: &mut Vec<String>) {
    match json {
        Json::String(text) => texts.push(text.clone()),
        Json::Number(number) => texts.push(number.to_string()),
        Json::Array(items) => items.iter().for_each(|item| strings(item, texts)),
        Json::Object(members) => {
            for (name, member) in members {
                texts.push(name.clone());
                strings(member, texts);
            }
        }
        _ => {}
    }
}

/// Whether a text names a port: as a whole, or in a variable such as `NOMAD_PORT_http`.
fn reads(text: &str, label: &str) -> bool {
    if text == label {
        return true;
    }
    if !text.contains("NOMAD_") {
        return false;
    }
    let plain: String = label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    [label, plain.as_str()].iter().any(|label| {
        let wanted = format!("_{label}");
        text.match_indices(&wanted).any(|(at, _)| {
            let ends = text[at + wanted.len()..]
                .chars()
                .next()
                .is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'));
            let word = text[..at]
                .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
                .map_or(0, |end| {
                    end + text[end..].chars().next().map_or(1, char::len_utf8)
                });
            ends && text[word..at].starts_with("NOMAD_")
        })
    })
}

/// Whether a number stands in a text, not as part of a longer one.
fn mentions(text: &str, number: &str) -> bool {
    text.match_indices(number).any(|(at, _)| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        !digit(text[..at].chars().next_back()) && !digit(text[at + number.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_by_name() {
        for (text, label, expected) in [
            ("http", "http", true),
            ("https", "http", false),
            ("${NOMAD_PORT_http}", "http", true),
            ("{{ env \"NOMAD_ADDR_http\" }}", "http", true),
            ("$NOMAD_PORT_http_admin", "http", false),
            ("NOMAD_HOST_PORT_web_ui", "web-ui", true),
            ("MY_PORT_http NOMAD_DC", "http", false),
            ("NOMAD_PORT_task_http", "http", true),
        ] {
            assert_eq!(reads(text, label), expected, "{text}");
        }
        assert!(mentions("--port=8080", "8080") && !mentions("18080", "8080"));
    }
}
