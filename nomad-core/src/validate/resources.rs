//! Rules for a task's resources and logs.

use super::constraint::{affinity, constraint};
use super::errors::Messages;
use crate::spec::{LogConfig, Resources};

const MIN_CPU: i64 = 1;
const MIN_MEMORY_MB: i64 = 10;

pub(super) fn errors(resources: &Resources) -> Messages {
    let mut errors = Messages::new();
    let (cpu, cores) = (
        resources.cpu.unwrap_or_default(),
        resources.cores.unwrap_or_default(),
    );
    let memory = resources.memory_mb.unwrap_or_default();
    let memory_max = resources.memory_max_mb.unwrap_or_default();
    errors.require(cores >= 0, || {
        format!("cores value must not be negative; got {cores}")
    });
    errors.require(cores == 0 || cpu == 0, || {
        "Task can only ask for 'cpu' or 'cores' resource, not both.".to_owned()
    });

    let mut least = Messages::new();
    if cores == 0 {
        least.require(cpu >= MIN_CPU, || {
            format!("minimum CPU value is {MIN_CPU}; got {cpu}")
        });
    }
    least.require(memory >= MIN_MEMORY_MB, || {
        format!("minimum MemoryMB value is {MIN_MEMORY_MB}; got {memory}")
    });
    let mut nested = Messages::new();
    nested.nest("", &least);
    errors.append(nested);

    errors.require(
        memory_max == 0 || memory_max == -1 || memory_max >= memory,
        || {
            format!(
                "MemoryMaxMB value ({memory_max}) should be larger than MemoryMB value ({memory})"
            )
        },
    );
    let secrets = resources.secrets_mb.unwrap_or_default();
    errors.require(secrets >= 0, || {
        format!("SecretsMB value ({secrets}) must not be negative")
    });
    errors.require(secrets <= memory, || {
        format!("SecretsMB value ({secrets}) cannot be larger than MemoryMB value ({memory})")
    });
    errors.append(devices(resources));
    errors
}

fn devices(resources: &Resources) -> Messages {
    let mut errors = Messages::new();
    for (at, device) in resources.devices.iter().flatten().enumerate() {
        let mut inner = Messages::new();
        inner.require(!device.name.is_empty(), || "device name must be given as one of the following: type, vendor/type, or vendor/type/name".to_owned());
        for (index, item) in device.constraints.iter().flatten().enumerate() {
            inner.nest(
                &format!("Constraint {} validation failed", index + 1),
                &constraint(item),
            );
            inner.require(!item.operand.starts_with("distinct_"), || {
                format!(
                    "Constraint {} has disallowed type: {}",
                    index + 1,
                    item.operand
                )
            });
        }
        for (index, item) in device.affinities.iter().flatten().enumerate() {
            inner.nest(
                &format!("Affinity {} validation failed", index + 1),
                &affinity(item),
            );
        }
        errors.nest(&format!("device {} validation failed", at + 1), &inner);
    }
    if let Some(numa) = &resources.numa {
        errors.require(
            matches!(numa.affinity.as_str(), "none" | "prefer" | "require"),
            || {
                format!(
                    "numa affinity must be one of none, prefer, or require; got {:?}",
                    numa.affinity
                )
            },
        );
        let requested = |name: &String| {
            resources
                .devices
                .iter()
                .flatten()
                .any(|device| device.name == *name)
        };
        for name in numa.devices.iter().flatten() {
            errors.require(requested(name), || {
                format!("numa device {name:?} not requested as task resource")
            });
        }
    }
    errors
}

/// Logs must fit into the ephemeral disk, whether they are kept or not.
pub(super) fn logs(logs: Option<&LogConfig>, disk_mb: Option<i64>) -> Messages {
    let mut errors = Messages::new();
    let Some(logs) = logs else {
        errors.add("Missing Log Config");
        return errors;
    };
    let (files, size) = (
        logs.max_files.unwrap_or_default(),
        logs.max_file_size_mb.unwrap_or_default(),
    );
    errors.require(files >= 1, || {
        format!("minimum number of files is 1; got {files}")
    });
    errors.require(size >= 1, || {
        format!("minimum file size is 1MB; got {size}")
    });
    if let Some(disk) = disk_mb {
        let used = files.saturating_mul(size);
        errors.require(used < disk, || {
            format!("log storage ({used} MB) must be less than requested disk capacity ({disk} MB)")
        });
    }
    errors
}
