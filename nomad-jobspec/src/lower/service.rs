//! `service` and `check`.

use std::collections::BTreeMap;

use nomad_core::spec::{CheckRestart, Service, ServiceCheck, ServiceWeights};

use super::body::Reader;
use super::{all, connect, one, vault};

pub(super) fn services(reader: &Reader<'_>) -> Option<Vec<Service>> {
    all(reader, "service", service)
}

fn service(reader: Reader<'_>) -> Service {
    let service = Service {
        name: reader.text("name"),
        provider: reader.text("provider"),
        port_label: reader.text("port"),
        address_mode: reader.text("address_mode"),
        address: reader.text("address"),
        tags: reader.strings("tags"),
        canary_tags: reader.strings("canary_tags"),
        enable_tag_override: reader.flag("enable_tag_override"),
        task_name: reader.text("task"),
        on_update: reader.text("on_update"),
        cluster: reader.text("cluster"),
        kind: reader.text("kind"),
        meta: reader.string_map_block("meta"),
        canary_meta: reader.string_map_block("canary_meta"),
        tagged_addresses: reader.string_map_block("tagged_addresses"),
        checks: all(&reader, "check", check),
        check_restart: one(&reader, "check_restart", check_restart),
        connect: one(&reader, "connect", connect::connect),
        identity: one(&reader, "identity", vault::identity),
        weights: one(&reader, "weights", weights),
    };
    reader.finish();
    service
}

fn weights(reader: Reader<'_>) -> ServiceWeights {
    let weights = ServiceWeights {
        passing: reader.int("passing").unwrap_or(0),
        warning: reader.int("warning").unwrap_or(0),
    };
    reader.finish();
    weights
}

fn check(reader: Reader<'_>) -> ServiceCheck {
    let check = ServiceCheck {
        name: reader.text("name"),
        check_type: reader.text("type"),
        command: reader.text("command"),
        args: reader.strings("args"),
        path: reader.text("path"),
        protocol: reader.text("protocol"),
        port_label: reader.text("port"),
        expose: reader.flag("expose"),
        address_mode: reader.text("address_mode"),
        advertise: reader.text("advertise"),
        interval: reader.duration("interval").unwrap_or_default(),
        timeout: reader.duration("timeout").unwrap_or_default(),
        initial_status: reader.text("initial_status"),
        notes: reader.text("notes"),
        tls_server_name: reader.text("tls_server_name"),
        tls_skip_verify: reader.flag("tls_skip_verify"),
        header: header(&reader),
        method: reader.text("method"),
        check_restart: one(&reader, "check_restart", check_restart),
        grpc_service: reader.text("grpc_service"),
        grpc_use_tls: reader.flag("grpc_use_tls"),
        task_name: reader.text("task"),
        success_before_passing: reader.int("success_before_passing").unwrap_or(0),
        failures_before_critical: reader.int("failures_before_critical").unwrap_or(0),
        failures_before_warning: reader.int("failures_before_warning").unwrap_or(0),
        body: reader.text("body"),
        on_update: reader.text("on_update"),
    };
    reader.finish();
    check
}

/// HTTP headers: each a list of values.
fn header(reader: &Reader<'_>) -> Option<BTreeMap<String, Vec<String>>> {
    let block = reader.block("header")?;
    let mut headers = BTreeMap::new();
    for attribute in block.all_attributes() {
        if let Some(values) = block.strings_of(&attribute) {
            headers.insert(attribute.name.clone(), values);
        }
    }
    Some(headers)
}

fn check_restart(reader: Reader<'_>) -> CheckRestart {
    let restart = CheckRestart {
        limit: reader.int("limit").unwrap_or(0),
        grace: reader.duration("grace"),
        ignore_warnings: reader.flag("ignore_warnings"),
    };
    reader.finish();
    restart
}
