//! Services and their health checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StringMap;
use super::task::WorkloadIdentity;
use crate::time::Nanos;
use crate::wire;

/// A service that an allocation registers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    pub name: String,
    pub task_name: String,
    pub port_label: String,
    /// `auto`, `host`, `driver`, `alloc` or `alloc_ipv6`.
    pub address_mode: String,
    pub address: String,
    pub enable_tag_override: bool,
    #[serde(with = "wire::null_if_empty")]
    pub tags: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub canary_tags: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub checks: Vec<ServiceCheck>,
    /// Consul service mesh; kept as written.
    pub connect: Option<serde_json::Value>,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub canary_meta: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub tagged_addresses: StringMap,
    /// Where it is registered: "default" for Consul, the job's for Nomad.
    pub namespace: String,
    /// `require_healthy`, `ignore_warnings` or `ignore`.
    pub on_update: String,
    /// `consul` or `nomad`.
    pub provider: String,
    pub cluster: String,
    pub kind: String,
    pub identity: Option<WorkloadIdentity>,
    pub weights: Option<ServiceWeights>,
}

/// Weights of a service's instances in Consul's answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceWeights {
    pub passing: i64,
    pub warning: i64,
}

/// A health check of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceCheck {
    pub name: String,
    /// `http`, `tcp`, `grpc` or `script`.
    #[serde(rename = "Type")]
    pub kind: String,
    pub command: String,
    #[serde(with = "wire::null_if_empty")]
    pub args: Vec<String>,
    pub path: String,
    pub protocol: String,
    pub port_label: String,
    pub expose: bool,
    pub address_mode: String,
    pub advertise: String,
    pub interval: Nanos,
    pub timeout: Nanos,
    pub initial_status: String,
    pub notes: String,
    #[serde(rename = "TLSServerName")]
    pub tls_server_name: String,
    #[serde(rename = "TLSSkipVerify")]
    pub tls_skip_verify: bool,
    pub method: String,
    #[serde(with = "wire::null_if_empty")]
    pub header: BTreeMap<String, Vec<String>>,
    pub check_restart: Option<CheckRestart>,
    #[serde(rename = "GRPCService")]
    pub grpc_service: String,
    #[serde(rename = "GRPCUseTLS")]
    pub grpc_use_tls: bool,
    pub task_name: String,
    pub success_before_passing: i64,
    pub failures_before_critical: i64,
    pub failures_before_warning: i64,
    pub body: String,
    pub on_update: String,
}

/// `check_restart`: restart the task when its check keeps failing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckRestart {
    pub limit: i64,
    pub grace: Nanos,
    pub ignore_warnings: bool,
}
