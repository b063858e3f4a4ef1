//! Reading, merging and refusing configurations.

use std::path::Path;

use super::reader::Problem;
use super::{Config, file, parse_flags, top};

fn read(text: &str) -> (Config, Vec<Problem>, Vec<String>) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut config = Config::default();
    match file::parse(Path::new("a.hcl"), text) {
        Ok(block) => top::apply(&mut config, &block, &mut problems, &mut warnings),
        Err(problem) => problems.push(problem),
    }
    (config, problems, warnings)
}

#[test]
fn blocks_and_maps_are_read_in_any_case_of_keys() {
    let (config, problems, _) = read(
        "data_dir = \"/var/lib/nomad\"\nserver {\n  ENABLED = true\n  heartbeat_grace = \"3s\"\n}\nclient {\n  enabled = true\n  meta {\n    rack = \"r0\"\n  }\n  reserved {\n    cpu = 500\n  }\n  host_volume \"data\" {\n    path = \"/srv\"\n  }\n}\nplugin \"raw_exec\" {\n  config {\n    enabled = true\n  }\n}\n",
    );
    assert_eq!(problems, []);
    assert!(config.server.enabled);
    assert_eq!(config.server.heartbeat_grace.as_secs(), 3);
    assert_eq!(config.client.settings.meta["rack"], "r0");
    assert_eq!(config.client.settings.reserved.cpu, 500);
    assert_eq!(
        config.client.settings.host_volumes["data"].path,
        Path::new("/srv")
    );
    assert_eq!(config.plugins["raw_exec"]["enabled"], true);
}

#[test]
fn json_reads_the_same_keys() {
    let (config, problems, _) = read(
        r#"{"server": {"enabled": true}, "client": {"host_volume": [{"data": {"path": "/srv"}}]},
            "plugin": [{"raw_exec": [{"config": [{"enabled": true}]}]}]}"#,
    );
    assert_eq!(problems, []);
    assert!(config.server.enabled);
    assert_eq!(
        config.client.settings.host_volumes["data"].path,
        Path::new("/srv")
    );
    assert_eq!(config.plugins["raw_exec"]["enabled"], true);
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let (_, problems, _) = read(
        "datacentre = \"dc1\"\nserver {\n  heartbeat_grace = 3\n  foo = 1\n}\nclient {\n  reserved {\n    bar = 1\n  }\n}\nports {\n  http = 99999\n}\n",
    );
    let mut texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.sort();
    assert_eq!(texts.len(), 5, "{texts:?}");
    assert!(
        texts
            .iter()
            .any(|t| t == "a.hcl:1: unexpected keys datacentre"),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|t| t.starts_with("a.hcl:3: server.heartbeat_grace can't parse time duration 3")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|t| t == "a.hcl:4: server unexpected keys foo"),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|t| t == "a.hcl:8: reserved.client unexpected keys bar"),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|t| t.starts_with("a.hcl:12: ports.http must be")),
        "{texts:?}"
    );
}

#[test]
fn what_would_be_unsafe_to_ignore_is_refused_and_the_rest_warned_of() {
    let (_, problems, warnings) =
        read("acl {\n  enabled = true\n}\nvault {\n  enabled = true\n}\n");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].text.starts_with("acl.enabled is not built yet"));
    assert_eq!(
        warnings,
        ["a.hcl:4: vault is not built yet and has no effect"]
    );
}

#[test]
fn syntax_errors_name_the_line() {
    let (_, problems, _) = read("server {\n  enabled = \n}\n");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].line >= 2, "{problems:?}");
}

#[test]
fn flags_are_read_in_gos_style() {
    let args: Vec<String> = [
        "-dev",
        "-config=a",
        "--config",
        "b",
        "-meta",
        "k=v",
        "stray",
        "-log-level=warn",
    ]
    .map(str::to_owned)
    .to_vec();
    let flags = parse_flags(&args).unwrap();
    assert!(flags.dev);
    assert_eq!(flags.config, [Path::new("a"), Path::new("b")]);
    let mut flags = flags;
    flags.config.clear();
    let (config, _) = Config::load(&flags).unwrap();
    assert_eq!(config.client.settings.meta["k"], "v");
    assert_eq!(config.log_level, "warn");
    assert!(parse_flags(&["-nope".to_owned(), "-config".to_owned()]).is_err());
}
