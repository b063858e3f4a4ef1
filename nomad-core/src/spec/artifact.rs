//! Files that a task gets: downloads and rendered templates.

use super::json::{StringList, StringMap, api_struct};
use crate::time::Nanos;

api_struct! {
    /// A download into the task's directory.
    pub struct Artifact {
        pub chown: bool = "Chown",
        pub getter_headers: StringMap = "GetterHeaders",
        pub getter_insecure: Option<bool> = "GetterInsecure",
        /// `any`, `file` or `dir`.
        pub getter_mode: Option<String> = "GetterMode",
        pub getter_options: StringMap = "GetterOptions",
        pub getter_source: Option<String> = "GetterSource",
        pub relative_dest: Option<String> = "RelativeDest",
    }
}

api_struct! {
    /// A file rendered from a template, again and again as its data change.
    pub struct Template {
        /// `noop`, `restart`, `signal` or `script`.
        pub change_mode: Option<String> = "ChangeMode",
        pub change_script: Option<ChangeScript> = "ChangeScript",
        pub change_signal: Option<String> = "ChangeSignal",
        pub dest_path: Option<String> = "DestPath",
        pub embedded_tmpl: Option<String> = "EmbeddedTmpl",
        /// `go` or `tera`; ours, not written where it is not set.
        pub engine: Option<String> = "Engine" [omit],
        pub envvars: Option<bool> = "Envvars",
        pub err_missing_key: Option<bool> = "ErrMissingKey",
        pub gid: Option<i64> = "Gid",
        pub left_delim: Option<String> = "LeftDelim",
        pub once: Option<bool> = "Once",
        /// Octal digits.
        pub perms: Option<String> = "Perms",
        pub right_delim: Option<String> = "RightDelim",
        pub source_path: Option<String> = "SourcePath",
        pub splay: Option<Nanos> = "Splay",
        pub uid: Option<i64> = "Uid",
        pub vault_grace: Option<Nanos> = "VaultGrace",
        pub wait: Option<WaitConfig> = "Wait",
    }
}

api_struct! {
    /// The command that `change_mode = "script"` runs.
    pub struct ChangeScript {
        pub args: StringList = "Args",
        pub command: Option<String> = "Command",
        pub fail_on_error: Option<bool> = "FailOnError",
        pub run_on_first_render: Option<bool> = "RunOnFirstRender",
        pub timeout: Option<Nanos> = "Timeout",
    }
}

api_struct! {
    /// How long a template waits for its data to settle.
    pub struct WaitConfig {
        pub max: Option<Nanos> = "Max",
        pub min: Option<Nanos> = "Min",
    }
}
