//! Services and their health checks.

use std::collections::BTreeMap;

use super::connect::Connect;
use super::json::{StringList, StringMap, api_struct};
use super::vault::WorkloadIdentity;
use crate::time::Nanos;

api_struct! {
    /// A service to register with Consul or with Nomad itself.
    pub struct Service {
        pub address: String = "Address",
        pub address_mode: String = "AddressMode",
        pub canary_meta: StringMap = "CanaryMeta",
        pub canary_tags: StringList = "CanaryTags",
        pub check_restart: Option<CheckRestart> = "CheckRestart",
        pub checks: Option<Vec<ServiceCheck>> = "Checks",
        pub cluster: String = "Cluster",
        pub connect: Option<Connect> = "Connect",
        pub enable_tag_override: bool = "EnableTagOverride",
        pub identity: Option<WorkloadIdentity> = "Identity",
        pub kind: String = "Kind",
        pub meta: StringMap = "Meta",
        pub name: String = "Name",
        pub on_update: String = "OnUpdate",
        pub port_label: String = "PortLabel",
        /// `consul` or `nomad`.
        pub provider: String = "Provider",
        pub tagged_addresses: StringMap = "TaggedAddresses",
        pub tags: StringList = "Tags",
        pub task_name: String = "TaskName",
        pub weights: Option<ServiceWeights> = "Weights",
    }
}

api_struct! {
    /// One health check of a service.
    pub struct ServiceCheck {
        pub address_mode: String = "AddressMode",
        pub advertise: String = "Advertise",
        pub args: StringList = "Args",
        pub body: String = "Body",
        pub check_restart: Option<CheckRestart> = "CheckRestart",
        pub command: String = "Command",
        pub expose: bool = "Expose",
        pub failures_before_critical: i64 = "FailuresBeforeCritical",
        pub failures_before_warning: i64 = "FailuresBeforeWarning",
        pub grpc_service: String = "GRPCService",
        pub grpc_use_tls: bool = "GRPCUseTLS",
        pub header: Option<BTreeMap<String, Vec<String>>> = "Header",
        pub initial_status: String = "InitialStatus",
        pub interval: Nanos = "Interval",
        pub method: String = "Method",
        pub name: String = "Name",
        pub notes: String = "Notes",
        pub on_update: String = "OnUpdate",
        pub path: String = "Path",
        pub port_label: String = "PortLabel",
        pub protocol: String = "Protocol",
        pub success_before_passing: i64 = "SuccessBeforePassing",
        pub tls_server_name: String = "TLSServerName",
        pub tls_skip_verify: bool = "TLSSkipVerify",
        pub task_name: String = "TaskName",
        pub timeout: Nanos = "Timeout",
        pub check_type: String = "Type",
    }
}

api_struct! {
    /// When an unhealthy check restarts its task.
    pub struct CheckRestart {
        pub grace: Option<Nanos> = "Grace",
        pub ignore_warnings: bool = "IgnoreWarnings",
        pub limit: i64 = "Limit",
    }
}

api_struct! {
    /// DNS weights of a Consul service.
    pub struct ServiceWeights {
        pub passing: i64 = "Passing",
        pub warning: i64 = "Warning",
    }
}
