//! `resources` and its devices.

use nomad_core::spec::{Numa, RequestedDevice, Resources};

use super::body::Reader;
use super::constraint::{affinities, constraints};
use super::network::networks;
use super::{labelled, one};

pub(super) fn resources(reader: Reader<'_>) -> Resources {
    let resources = Resources {
        cpu: reader.int("cpu"),
        cores: reader.int("cores"),
        memory_mb: reader.int("memory"),
        memory_max_mb: reader.int("memory_max"),
        disk_mb: reader.int("disk"),
        iops: reader.int("iops"),
        secrets_mb: reader.int("secrets"),
        networks: networks(&reader),
        devices: labelled(&reader, "device", device),
        numa: one(&reader, "numa", numa),
    };
    reader.finish();
    resources
}

fn device(reader: Reader<'_>) -> RequestedDevice {
    let device = RequestedDevice {
        name: reader.label(0).to_owned(),
        count: reader.bounded("count"),
        constraints: constraints(&reader),
        affinities: affinities(&reader),
    };
    reader.finish();
    device
}

fn numa(reader: Reader<'_>) -> Numa {
    let numa = Numa {
        affinity: reader.text("affinity"),
        devices: reader.strings("devices"),
    };
    reader.finish();
    numa
}
