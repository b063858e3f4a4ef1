//! What a task uses to prove who it is and to get secrets.

use super::json::{AnyMap, StringList, StringMap, api_struct};
use crate::time::Nanos;

api_struct! {
    /// A Vault token for the task.
    pub struct Vault {
        pub allow_token_expiration: Option<bool> = "AllowTokenExpiration",
        /// `noop`, `restart` or `signal`.
        pub change_mode: Option<String> = "ChangeMode",
        pub change_signal: Option<String> = "ChangeSignal",
        pub cluster: String = "Cluster",
        pub disable_file: Option<bool> = "DisableFile",
        pub env: Option<bool> = "Env",
        pub namespace: Option<String> = "Namespace",
        /// Read and dropped.
        pub policies: StringList = "Policies",
        pub role: String = "Role",
    }
}

api_struct! {
    /// A signed token that names the workload.
    pub struct WorkloadIdentity {
        pub audience: StringList = "Audience",
        pub change_mode: String = "ChangeMode",
        pub change_signal: String = "ChangeSignal",
        pub env: bool = "Env",
        pub extra_claims: StringMap = "ExtraClaims",
        pub file: bool = "File",
        pub filepath: String = "Filepath",
        pub name: String = "Name",
        pub service_name: String = "ServiceName",
        pub ttl: Nanos = "TTL",
    }
}

api_struct! {
    /// A secret that a provider fetches for the task.
    pub struct Secret {
        pub config: AnyMap = "Config",
        pub env: StringMap = "Env",
        pub name: String = "Name",
        pub path: String = "Path",
        pub provider: String = "Provider",
    }
}
