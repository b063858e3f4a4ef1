//! What a task needs of its node.

use super::constraint::{Affinity, Constraint};
use super::json::{StringList, api_struct};
use super::network::NetworkResource;

api_struct! {
    /// CPU, memory, devices of one task.
    pub struct Resources {
        /// MHz.
        pub cpu: Option<i64> = "CPU",
        pub cores: Option<i64> = "Cores",
        pub devices: Option<Vec<RequestedDevice>> = "Devices",
        /// Read and dropped.
        pub disk_mb: Option<i64> = "DiskMB",
        /// Read; only a warning comes of it.
        pub iops: Option<i64> = "IOPS",
        pub memory_mb: Option<i64> = "MemoryMB",
        /// 0: unset, -1: no limit.
        pub memory_max_mb: Option<i64> = "MemoryMaxMB",
        pub numa: Option<Numa> = "NUMA",
        pub networks: Option<Vec<NetworkResource>> = "Networks",
        pub secrets_mb: Option<i64> = "SecretsMB",
    }
}

api_struct! {
    /// Devices of one kind.
    pub struct RequestedDevice {
        pub affinities: Option<Vec<Affinity>> = "Affinities",
        pub constraints: Option<Vec<Constraint>> = "Constraints",
        pub count: Option<u64> = "Count",
        /// `type`, `vendor/type` or `vendor/type/model`.
        pub name: String = "Name",
    }
}

api_struct! {
    /// Wishes about memory locality.
    pub struct Numa {
        /// `none`, `prefer` or `require`.
        pub affinity: String = "Affinity",
        pub devices: StringList = "Devices",
    }
}
