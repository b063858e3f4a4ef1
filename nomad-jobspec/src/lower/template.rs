//! `template` and `artifact`.

use nomad_core::Nanos;
use nomad_core::spec::{Artifact, ChangeScript, Template, WaitConfig};

use super::body::Reader;
use super::one;

/// How long changes are spread where a template does not say.
const DEFAULT_SPLAY: Nanos = Nanos::secs(5);

pub(super) fn template(reader: Reader<'_>) -> Template {
    let template = Template {
        source_path: reader.string("source"),
        dest_path: reader.string("destination"),
        embedded_tmpl: reader.string("data"),
        change_mode: Some(
            reader
                .string("change_mode")
                .unwrap_or_else(|| "restart".to_owned()),
        ),
        change_signal: reader.string("change_signal"),
        change_script: one(&reader, "change_script", change_script),
        once: reader.bool("once"),
        splay: Some(reader.duration("splay").unwrap_or(DEFAULT_SPLAY)),
        perms: Some(reader.string("perms").unwrap_or_else(|| "0644".to_owned())),
        uid: reader.int("uid"),
        gid: reader.int("gid"),
        left_delim: reader.string("left_delimiter"),
        right_delim: reader.string("right_delimiter"),
        envvars: reader.bool("env"),
        vault_grace: reader.duration("vault_grace"),
        wait: one(&reader, "wait", wait),
        engine: reader.string("engine"),
        err_missing_key: Some(reader.flag("error_on_missing_key")),
    };
    reader.finish();
    template
}

fn change_script(reader: Reader<'_>) -> ChangeScript {
    let mut script = ChangeScript {
        command: reader.string("command"),
        args: reader.strings("args"),
        timeout: reader.duration("timeout"),
        fail_on_error: reader.bool("fail_on_error"),
        run_on_first_render: reader.bool("run_on_first_render"),
    };
    reader.finish();
    script.canonicalize();
    script
}

fn wait(reader: Reader<'_>) -> WaitConfig {
    let wait = WaitConfig {
        min: reader.duration("min"),
        max: reader.duration("max"),
    };
    reader.finish();
    wait
}

pub(super) fn artifact(reader: Reader<'_>) -> Artifact {
    let artifact = Artifact {
        getter_source: reader.string("source"),
        relative_dest: reader.string("destination"),
        getter_mode: reader.string("mode"),
        getter_insecure: reader.bool("insecure"),
        chown: reader.flag("chown"),
        getter_options: reader.string_map_block("options"),
        getter_headers: reader.string_map_block("headers"),
    };
    reader.finish();
    artifact
}
