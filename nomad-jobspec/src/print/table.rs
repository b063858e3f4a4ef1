//! Which field of a job's JSON is written as what, block by block. Source: jobspec.md §1.

/// How a field is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// An attribute, unless it is null.
    Set,
    /// An attribute, unless it is empty, zero or false.
    Plain,
    /// A duration, unless it is null.
    Span,
    /// A duration, unless it is zero.
    PlainSpan,
    /// A map of strings, as an attribute.
    Map,
    /// A map of strings or of lists, as a block.
    Entries,
    /// A map without a schema.
    Free,
    /// A block.
    One(&'static [Field]),
    /// A list of blocks.
    Many(&'static [Field]),
    /// A list of blocks with a label.
    Labelled(&'static str, &'static [Field]),
    /// A map whose values are blocks, with their label.
    ByName(&'static str, &'static [Field]),
    /// The ports of a network: the fixed ones of the first list, the others.
    Ports,
    /// Policies for a task's own resources: their type is the label.
    TaskScaling,
    /// What the parser sets by itself.
    Implied,
}

/// A field: its name in JSON, its name in the file, its form.
pub(super) type Field = (&'static str, &'static str, Form);

use Form::{
    ByName, Entries, Free, Implied, Labelled, Many, Map, One, Plain, PlainSpan, Ports, Set, Span,
    TaskScaling,
};

const CONSTRAINT: &[Field] = &[
    ("LTarget", "attribute", Plain),
    ("Operand", "operator", Plain),
    ("RTarget", "value", Plain),
];

const AFFINITY: &[Field] = &[
    ("LTarget", "attribute", Plain),
    ("Operand", "operator", Plain),
    ("RTarget", "value", Plain),
    ("Weight", "weight", Set),
];

const SPREAD: &[Field] = &[
    ("Attribute", "attribute", Plain),
    ("Weight", "weight", Set),
    (
        "SpreadTarget",
        "target",
        Labelled("Value", &[("Percent", "percent", Plain)]),
    ),
];

const UPDATE: &[Field] = &[
    ("Stagger", "stagger", Span),
    ("MaxParallel", "max_parallel", Set),
    ("HealthCheck", "health_check", Set),
    ("MinHealthyTime", "min_healthy_time", Span),
    ("HealthyDeadline", "healthy_deadline", Span),
    ("ProgressDeadline", "progress_deadline", Span),
    ("AutoRevert", "auto_revert", Set),
    ("AutoPromote", "auto_promote", Set),
    ("Canary", "canary", Set),
];

const MIGRATE: &[Field] = &[
    ("MaxParallel", "max_parallel", Set),
    ("HealthCheck", "health_check", Set),
    ("MinHealthyTime", "min_healthy_time", Span),
    ("HealthyDeadline", "healthy_deadline", Span),
];

const RESTART: &[Field] = &[
    ("Attempts", "attempts", Set),
    ("Interval", "interval", Span),
    ("Delay", "delay", Span),
    ("Mode", "mode", Set),
    ("RenderTemplates", "render_templates", Set),
];

const RESCHEDULE: &[Field] = &[
    ("Attempts", "attempts", Set),
    ("Interval", "interval", Span),
    ("Delay", "delay", Span),
    ("DelayFunction", "delay_function", Set),
    ("MaxDelay", "max_delay", Span),
    ("Unlimited", "unlimited", Set),
];

/// The attributes and blocks of a job, apart from its label.
pub(super) const JOB: &[Field] = &[
    ("Name", "name", Set),
    ("Region", "region", Set),
    ("Namespace", "namespace", Set),
    ("Type", "type", Set),
    ("Priority", "priority", Set),
    ("AllAtOnce", "all_at_once", Set),
    ("Datacenters", "datacenters", Set),
    ("NodePool", "node_pool", Set),
    ("Meta", "meta", Map),
    ("Constraints", "constraint", Many(CONSTRAINT)),
    ("Affinities", "affinity", Many(AFFINITY)),
    ("Spreads", "spread", Many(SPREAD)),
    ("Update", "update", One(UPDATE)),
    ("Migrate", "migrate", One(MIGRATE)),
    ("Reschedule", "reschedule", One(RESCHEDULE)),
    (
        "Periodic",
        "periodic",
        One(&[
            ("Enabled", "enabled", Set),
            ("Spec", "cron", Set),
            ("Specs", "crons", Set),
            ("SpecType", "", Implied),
            ("ProhibitOverlap", "prohibit_overlap", Set),
            ("TimeZone", "time_zone", Set),
        ]),
    ),
    (
        "ParameterizedJob",
        "parameterized",
        One(&[
            ("Payload", "payload", Plain),
            ("MetaRequired", "meta_required", Set),
            ("MetaOptional", "meta_optional", Set),
        ]),
    ),
    (
        "Multiregion",
        "multiregion",
        One(&[
            (
                "Strategy",
                "strategy",
                One(&[
                    ("MaxParallel", "max_parallel", Set),
                    ("OnFailure", "on_failure", Set),
                ]),
            ),
            (
                "Regions",
                "region",
                Labelled(
                    "Name",
                    &[
                        ("Count", "count", Set),
                        ("Datacenters", "datacenters", Set),
                        ("NodePool", "node_pool", Plain),
                        ("Meta", "meta", Entries),
                    ],
                ),
            ),
        ]),
    ),
    (
        "UI",
        "ui",
        One(&[
            ("Description", "description", Plain),
            (
                "Links",
                "link",
                Many(&[("Label", "label", Plain), ("URL", "url", Plain)]),
            ),
        ]),
    ),
    ("TaskGroups", "group", Labelled("Name", GROUP)),
];

const GROUP: &[Field] = &[
    ("Count", "count", Set),
    ("ShutdownDelay", "shutdown_delay", Span),
    ("MaxRunDuration", "max_run_duration", Span),
    (
        "StopAfterClientDisconnect",
        "stop_after_client_disconnect",
        Span,
    ),
    ("MaxClientDisconnect", "max_client_disconnect", Span),
    ("PreventRescheduleOnLost", "prevent_reschedule_on_lost", Set),
    ("Meta", "meta", Map),
    ("Constraints", "constraint", Many(CONSTRAINT)),
    ("Affinities", "affinity", Many(AFFINITY)),
    ("Spreads", "spread", Many(SPREAD)),
    ("Networks", "network", Many(NETWORK)),
    ("RestartPolicy", "restart", One(RESTART)),
    ("ReschedulePolicy", "reschedule", One(RESCHEDULE)),
    ("Update", "update", One(UPDATE)),
    ("Migrate", "migrate", One(MIGRATE)),
    (
        "Disconnect",
        "disconnect",
        One(&[
            ("LostAfter", "lost_after", Span),
            ("StopOnClientAfter", "stop_on_client_after", Span),
            ("Replace", "replace", Set),
            ("Reconcile", "reconcile", Set),
        ]),
    ),
    (
        "EphemeralDisk",
        "ephemeral_disk",
        One(&[
            ("Sticky", "sticky", Set),
            ("Migrate", "migrate", Set),
            ("SizeMB", "size", Set),
        ]),
    ),
    ("Scaling", "scaling", One(SCALING)),
    ("Consul", "consul", One(CONSUL)),
    (
        "Volumes",
        "volume",
        ByName(
            "Name",
            &[
                ("Type", "type", Plain),
                ("Source", "source", Plain),
                ("ReadOnly", "read_only", Plain),
                ("Sticky", "sticky", Plain),
                ("AccessMode", "access_mode", Plain),
                ("AttachmentMode", "attachment_mode", Plain),
                ("PerAlloc", "per_alloc", Plain),
                (
                    "MountOptions",
                    "mount_options",
                    One(&[
                        ("FSType", "fs_type", Plain),
                        ("MountFlags", "mount_flags", Set),
                    ]),
                ),
            ],
        ),
    ),
    ("Services", "service", Many(SERVICE)),
    ("Tasks", "task", Labelled("Name", TASK)),
];

/// A scaling policy; its type goes with the place.
pub(super) const SCALING: &[Field] = &[
    ("Enabled", "enabled", Set),
    ("Min", "min", Set),
    ("Max", "max", Set),
    ("Type", "", Implied),
    ("Policy", "policy", Free),
];

const CONSUL: &[Field] = &[
    ("Namespace", "namespace", Plain),
    ("Cluster", "cluster", Plain),
    ("Partition", "partition", Plain),
];

const NETWORK: &[Field] = &[
    ("Mode", "mode", Plain),
    ("Hostname", "hostname", Plain),
    ("CIDR", "cidr", Plain),
    ("IP", "ip", Plain),
    ("MBits", "mbits", Set),
    ("ReservedPorts", "port", Ports),
    ("DynamicPorts", "port", Ports),
    (
        "DNS",
        "dns",
        One(&[
            ("Servers", "servers", Set),
            ("Searches", "searches", Set),
            ("Options", "options", Set),
        ]),
    ),
    ("CNI", "cni", One(&[("Args", "args", Map)])),
];

/// A port; its number is `static`.
pub(super) const PORT: &[Field] = &[
    ("Value", "static", Plain),
    ("To", "to", Plain),
    ("HostNetwork", "host_network", Plain),
    ("IgnoreCollision", "ignore_collision", Plain),
];

const CHECK_RESTART: &[Field] = &[
    ("Limit", "limit", Plain),
    ("Grace", "grace", Span),
    ("IgnoreWarnings", "ignore_warnings", Plain),
];

const SERVICE: &[Field] = &[
    ("Name", "name", Plain),
    ("Provider", "provider", Plain),
    ("PortLabel", "port", Plain),
    ("AddressMode", "address_mode", Plain),
    ("Address", "address", Plain),
    ("Tags", "tags", Set),
    ("CanaryTags", "canary_tags", Set),
    ("EnableTagOverride", "enable_tag_override", Plain),
    ("TaskName", "task", Plain),
    ("OnUpdate", "on_update", Plain),
    ("Cluster", "cluster", Plain),
    ("Kind", "kind", Plain),
    ("Meta", "meta", Entries),
    ("CanaryMeta", "canary_meta", Entries),
    ("TaggedAddresses", "tagged_addresses", Entries),
    (
        "Checks",
        "check",
        Many(&[
            ("Name", "name", Plain),
            ("Type", "type", Plain),
            ("Command", "command", Plain),
            ("Args", "args", Set),
            ("Path", "path", Plain),
            ("Protocol", "protocol", Plain),
            ("PortLabel", "port", Plain),
            ("Expose", "expose", Plain),
            ("AddressMode", "address_mode", Plain),
            ("Advertise", "advertise", Plain),
            ("Interval", "interval", PlainSpan),
            ("Timeout", "timeout", PlainSpan),
            ("InitialStatus", "initial_status", Plain),
            ("Notes", "notes", Plain),
            ("TLSServerName", "tls_server_name", Plain),
            ("TLSSkipVerify", "tls_skip_verify", Plain),
            ("Method", "method", Plain),
            ("GRPCService", "grpc_service", Plain),
            ("GRPCUseTLS", "grpc_use_tls", Plain),
            ("TaskName", "task", Plain),
            ("SuccessBeforePassing", "success_before_passing", Plain),
            ("FailuresBeforeCritical", "failures_before_critical", Plain),
            ("FailuresBeforeWarning", "failures_before_warning", Plain),
            ("Body", "body", Plain),
            ("OnUpdate", "on_update", Plain),
            ("Header", "header", Entries),
            ("CheckRestart", "check_restart", One(CHECK_RESTART)),
        ]),
    ),
    ("CheckRestart", "check_restart", One(CHECK_RESTART)),
    ("Connect", "connect", One(super::table_connect::CONNECT)),
    ("Identity", "identity", One(IDENTITY)),
    (
        "Weights",
        "weights",
        One(&[("Passing", "passing", Plain), ("Warning", "warning", Plain)]),
    ),
];

pub(super) const IDENTITY: &[Field] = &[
    ("Name", "name", Plain),
    ("Audience", "aud", Set),
    ("ChangeMode", "change_mode", Plain),
    ("ChangeSignal", "change_signal", Plain),
    ("Env", "env", Plain),
    ("File", "file", Plain),
    ("Filepath", "filepath", Plain),
    ("ServiceName", "service_name", Plain),
    ("TTL", "ttl", PlainSpan),
    ("ExtraClaims", "extra_claims", Map),
];

pub(super) const RESOURCES: &[Field] = &[
    ("CPU", "cpu", Set),
    ("Cores", "cores", Set),
    ("MemoryMB", "memory", Set),
    ("MemoryMaxMB", "memory_max", Set),
    ("DiskMB", "disk", Set),
    ("IOPS", "iops", Set),
    ("SecretsMB", "secrets", Set),
    ("Networks", "network", Many(NETWORK)),
    (
        "Devices",
        "device",
        Labelled(
            "Name",
            &[
                ("Count", "count", Set),
                ("Constraints", "constraint", Many(CONSTRAINT)),
                ("Affinities", "affinity", Many(AFFINITY)),
            ],
        ),
    ),
    (
        "NUMA",
        "numa",
        One(&[("Affinity", "affinity", Plain), ("Devices", "devices", Set)]),
    ),
];

pub(super) const LOGS: &[Field] = &[
    ("MaxFiles", "max_files", Set),
    ("MaxFileSizeMB", "max_file_size", Set),
    ("Disabled", "disabled", Set),
    ("Enabled", "enabled", Set),
];

pub(super) const VOLUME_MOUNT: &[Field] = &[
    ("Volume", "volume", Set),
    ("Destination", "destination", Set),
    ("ReadOnly", "read_only", Set),
    ("PropagationMode", "propagation_mode", Set),
    ("SELinuxLabel", "selinux_label", Set),
];

const TASK: &[Field] = &[
    ("Driver", "driver", Plain),
    ("User", "user", Plain),
    ("Kind", "kind", Plain),
    ("Leader", "leader", Plain),
    ("KillSignal", "kill_signal", Plain),
    ("KillTimeout", "kill_timeout", Span),
    ("ShutdownDelay", "shutdown_delay", PlainSpan),
    ("Config", "config", Free),
    ("Env", "env", Map),
    ("Meta", "meta", Map),
    (
        "Lifecycle",
        "lifecycle",
        One(&[("Hook", "hook", Set), ("Sidecar", "sidecar", Plain)]),
    ),
    ("Constraints", "constraint", Many(CONSTRAINT)),
    ("Affinities", "affinity", Many(AFFINITY)),
    ("Resources", "resources", One(RESOURCES)),
    ("RestartPolicy", "restart", One(RESTART)),
    ("LogConfig", "logs", One(LOGS)),
    ("Services", "service", Many(SERVICE)),
    (
        "Artifacts",
        "artifact",
        Many(&[
            ("GetterSource", "source", Set),
            ("RelativeDest", "destination", Set),
            ("GetterMode", "mode", Set),
            ("GetterInsecure", "insecure", Set),
            ("Chown", "chown", Plain),
            ("GetterOptions", "options", Entries),
            ("GetterHeaders", "headers", Entries),
        ]),
    ),
    ("Templates", "template", Many(TEMPLATE)),
    (
        "DispatchPayload",
        "dispatch_payload",
        One(&[("File", "file", Plain)]),
    ),
    ("VolumeMounts", "volume_mount", Many(VOLUME_MOUNT)),
    (
        "CSIPluginConfig",
        "csi_plugin",
        One(&[
            ("ID", "id", Plain),
            ("Type", "type", Plain),
            ("MountDir", "mount_dir", Plain),
            ("StagePublishBaseDir", "stage_publish_base_dir", Plain),
            ("HealthTimeout", "health_timeout", PlainSpan),
        ]),
    ),
    (
        "Vault",
        "vault",
        One(&[
            ("Role", "role", Plain),
            ("Namespace", "namespace", Set),
            ("Cluster", "cluster", Plain),
            ("Policies", "policies", Set),
            ("Env", "env", Set),
            ("DisableFile", "disable_file", Set),
            ("ChangeMode", "change_mode", Set),
            ("ChangeSignal", "change_signal", Set),
            ("AllowTokenExpiration", "allow_token_expiration", Set),
        ]),
    ),
    ("Consul", "consul", One(CONSUL)),
    ("Identity", "identity", One(IDENTITY)),
    ("Identities", "identity", Many(IDENTITY)),
    (
        "Secrets",
        "secret",
        Labelled(
            "Name",
            &[
                ("Provider", "provider", Plain),
                ("Path", "path", Plain),
                ("Config", "config", Free),
                ("Env", "env", Entries),
            ],
        ),
    ),
    (
        "Actions",
        "action",
        Labelled(
            "Name",
            &[("Command", "command", Plain), ("Args", "args", Set)],
        ),
    ),
    ("ScalingPolicies", "scaling", TaskScaling),
    (
        "Schedule",
        "schedule",
        One(&[(
            "Cron",
            "cron",
            One(&[
                ("Start", "start", Plain),
                ("End", "end", Plain),
                ("Timezone", "timezone", Plain),
            ]),
        )]),
    ),
];

const TEMPLATE: &[Field] = &[
    ("SourcePath", "source", Set),
    ("DestPath", "destination", Set),
    ("EmbeddedTmpl", "data", Set),
    ("ChangeMode", "change_mode", Set),
    ("ChangeSignal", "change_signal", Set),
    (
        "ChangeScript",
        "change_script",
        One(&[
            ("Command", "command", Set),
            ("Args", "args", Set),
            ("Timeout", "timeout", Span),
            ("FailOnError", "fail_on_error", Set),
            ("RunOnFirstRender", "run_on_first_render", Set),
        ]),
    ),
    ("Once", "once", Set),
    ("Splay", "splay", Span),
    ("Perms", "perms", Set),
    ("Uid", "uid", Set),
    ("Gid", "gid", Set),
    ("LeftDelim", "left_delimiter", Set),
    ("RightDelim", "right_delimiter", Set),
    ("Envvars", "env", Set),
    ("VaultGrace", "vault_grace", Span),
    (
        "Wait",
        "wait",
        One(&[("Min", "min", Span), ("Max", "max", Span)]),
    ),
    ("Engine", "engine", Set),
    ("ErrMissingKey", "error_on_missing_key", Set),
];
