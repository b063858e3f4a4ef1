//! Disk under the allocation directories.

use std::path::Path;

use nomad_core::node::Node;
use rustix::fs::{StatVfs, statvfs};

use super::{Host, read_small, set};

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let dir = &host.config.alloc_dir;
    let Ok(info) = statvfs(existing(dir)) else {
        tracing::warn!(path = %dir.display(), "the disk of the allocation directory cannot be measured");
        return;
    };
    let total = info.f_blocks.saturating_mul(info.f_frsize);
    if let Some(device) = device_of(existing(dir)) {
        set(node, "unique.storage.volume", device);
    }
    set(node, "unique.storage.bytestotal", total);
    node.node_resources.disk.disk_mb = if host.config.disk_total_mb > 0 {
        host.config.disk_total_mb
    } else {
        i64::try_from(total >> 20).unwrap_or(i64::MAX)
    };
}

/// The directory or the nearest parent that exists.
fn existing(dir: &Path) -> &Path {
    dir.ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"))
}

/// Device or source of the mount that a path lies on.
fn device_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    mounts()
        .into_iter()
        .filter(|mount| path.starts_with(&mount.point))
        // Of mounts over one another the last is seen.
        .max_by_key(|mount| mount.point.len())
        .map(|mount| mount.source)
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: String,
    pub(crate) kind: String,
    pub(crate) source: String,
}

/// The mounts that this process sees.
pub(crate) fn mounts() -> Vec<Mount> {
    read_small(Path::new("/proc/self/mountinfo"))
        .lines()
        .filter_map(parse_mount)
        .collect()
}

/// `36 35 98:0 /root /mount/point opts - type source opts`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    Some(Mount {
        point: unescape(left.split(' ').nth(4)?),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
    })
}

/// Spaces and such stand as `\040`.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\')
            .then(|| text.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Use of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct DiskUsage {
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes.
    pub(crate) used: u64,
    /// Bytes that an ordinary user can still write.
    pub(crate) available: u64,
    /// Of what ordinary users see.
    pub(crate) used_percent: f64,
    pub(crate) inodes_used_percent: f64,
}

/// Use of the file system that a path lies on.
pub(crate) fn disk_usage(path: &Path) -> Option<DiskUsage> {
    statvfs(path).ok().map(usage)
}

fn usage(info: StatVfs) -> DiskUsage {
    let size = info.f_blocks.saturating_mul(info.f_frsize);
    let free = info.f_bfree.saturating_mul(info.f_frsize);
    let available = info.f_bavail.saturating_mul(info.f_frsize);
    let used = size.saturating_sub(free);
    let percent = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64 * 100.0
        }
    };
    DiskUsage {
        size,
        used,
        available,
        used_percent: percent(used, used.saturating_add(available)),
        inodes_used_percent: percent(info.f_files.saturating_sub(info.f_ffree), info.f_files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_with_spaces_and_options() {
        let line = r"36 35 98:0 /x /mnt/my\040disk rw,noatime shared:1 - ext4 /dev/vda rw";
        assert_eq!(
            parse_mount(line),
            Some(Mount {
                point: "/mnt/my disk".to_owned(),
                kind: "ext4".to_owned(),
                source: "/dev/vda".to_owned()
            })
        );
        assert_eq!(parse_mount("nonsense"), None);
        assert_eq!(unescape(r"a\04"), r"a\04");
    }
}
