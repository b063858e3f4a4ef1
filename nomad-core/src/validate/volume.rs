//! Rules for volumes that groups ask for.

use super::errors::Messages;
use crate::spec::{TaskGroup, VolumeRequest};

pub(super) fn errors(group: &TaskGroup, kind: &str) -> Messages {
    let mut errors = Messages::new();
    let canaries = group
        .update
        .as_ref()
        .and_then(|update| update.canary)
        .unwrap_or_default();
    let count = group.count.unwrap_or_default();
    for (name, request) in group.volumes.iter().flatten() {
        // Volumes of other types are dropped before anything looks at them.
        if !matches!(request.volume_type.as_str(), "host" | "csi") {
            continue;
        }
        errors.nest(
            &format!("Task group volume validation for {name} failed"),
            &volume(request, kind, count, canaries),
        );
    }
    errors
}

fn volume(request: &VolumeRequest, kind: &str, count: i64, canaries: i64) -> Messages {
    let mut errors = Messages::new();
    errors.require(!request.source.is_empty(), || {
        "volume has an empty source".to_owned()
    });
    if request.per_alloc {
        errors.require(!matches!(kind, "system" | "sysbatch"), || {
            "volume cannot be per_alloc for system or sysbatch jobs".to_owned()
        });
        errors.require(canaries == 0, || {
            "volume cannot be per_alloc when canaries are in use".to_owned()
        });
        errors.require(!request.sticky, || {
            "volume cannot be per_alloc and sticky at the same time".to_owned()
        });
    }
    match request.volume_type.as_str() {
        "host" => errors.append(host(request)),
        _ => errors.append(csi(request, count)),
    }
    errors
}

fn host(request: &VolumeRequest) -> Messages {
    let mut errors = Messages::new();
    errors.require(request.mount_options.is_none(), || {
        "host volumes cannot have a mount_options block".to_owned()
    });
    match request.access_mode.as_str() {
        "" | "single-node-writer" | "single-node-single-writer" | "single-node-multi-writer" => {}
        "single-node-reader-only" => {
            errors.require(request.read_only, || {
                format!("{} volumes must be read-only", request.access_mode)
            });
        }
        other => errors.add(format!(
            "host volumes cannot be mounted with {other} access mode"
        )),
    }
    errors
}

fn csi(request: &VolumeRequest, count: i64) -> Messages {
    let mut errors = Messages::new();
    match request.attachment_mode.as_str() {
        "" => errors.add("CSI volumes must have an attachment mode"),
        "block-device" => {
            errors.require(request.mount_options.is_none(), || {
                "block devices cannot have mount options".to_owned()
            });
        }
        _ => {}
    }
    let mode = request.access_mode.as_str();
    let shared = count > 1 && !request.per_alloc;
    let read_only = |errors: &mut Messages| {
        errors.require(request.read_only, || {
            format!("{mode} volumes must be read-only")
        });
    };
    let single = |errors: &mut Messages| {
        errors.require(!shared, || {
            format!("volume with {mode} access mode allows only one claim: a group with count {count} needs per_alloc")
        });
    };
    match mode {
        "single-node-reader-only" => {
            read_only(&mut errors);
            single(&mut errors);
        }
        "single-node-writer" => single(&mut errors),
        "multi-node-reader-only" => read_only(&mut errors),
        "multi-node-single-writer" if !request.read_only => single(&mut errors),
        "multi-node-single-writer" | "multi-node-multi-writer" => {}
        "" => errors.add("CSI volumes must have an access mode"),
        other => errors.add(format!(
            "CSI volumes cannot be mounted with {other} access mode"
        )),
    }
    errors
}
