//! Networks and ports.

use super::json::{StringList, StringMap, api_struct};

api_struct! {
    /// One network of a group or (deprecated) a task.
    pub struct NetworkResource {
        pub cidr: String = "CIDR",
        pub cni: Option<CniConfig> = "CNI",
        pub dns: Option<DnsConfig> = "DNS",
        pub device: String = "Device",
        pub dynamic_ports: Option<Vec<Port>> = "DynamicPorts",
        pub hostname: String = "Hostname",
        pub ip: String = "IP",
        pub mbits: Option<i64> = "MBits",
        pub mode: String = "Mode",
        pub reserved_ports: Option<Vec<Port>> = "ReservedPorts",
    }
}

api_struct! {
    /// A port that is asked for by its label.
    pub struct Port {
        pub host_network: String = "HostNetwork",
        pub ignore_collision: bool = "IgnoreCollision",
        pub label: String = "Label",
        /// The port inside the network namespace; -1: the same as outside, 0: not mapped.
        pub to: i64 = "To",
        pub value: i64 = "Value",
    }
}

api_struct! {
    /// Name resolution inside the allocation.
    pub struct DnsConfig {
        pub options: StringList = "Options",
        pub searches: StringList = "Searches",
        pub servers: StringList = "Servers",
    }
}

api_struct! {
    /// Arguments for CNI plugins.
    pub struct CniConfig {
        pub args: StringMap = "Args",
    }
}
