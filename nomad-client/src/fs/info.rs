//! What is told of a file.

use nomad_core::Timestamp;
use rustix::fs::{FileType, Mode, Stat};
use serde::Serialize;

use nomad_core::wire;

/// A file or directory, in the shape of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileInfo {
    /// Name without directories.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Bytes.
    pub size: i64,
    /// As `ls` shows it.
    pub file_mode: String,
    /// Last change of its content.
    #[serde(with = "wire::rfc3339")]
    pub mod_time: Timestamp,
    /// What the content looks like; only files that were asked for by name have it.
    pub content_type: String,
}

impl FileInfo {
    pub(super) fn of(name: &str, stat: &Stat) -> Self {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let seconds = Timestamp::from_secs(stat.st_mtime);
        Self {
            name: name.to_owned(),
            is_dir: kind == FileType::Directory,
            size: stat.st_size,
            file_mode: mode_text(stat.st_mode),
            mod_time: Timestamp(seconds.0.saturating_add(stat.st_mtime_nsec as i64)),
            content_type: String::new(),
        }
    }
}

/// Type letters, then permissions: `-rw-r--r--`, `drwxrwxrwx`, `dtrwxrwxrwx`.
pub(super) fn mode_text(raw: u32) -> String {
    let mode = Mode::from_raw_mode(raw);
    let mut text = String::with_capacity(12);
    text.push_str(match FileType::from_raw_mode(raw) {
        FileType::Directory => "d",
        FileType::Symlink => "L",
        FileType::BlockDevice => "D",
        FileType::CharacterDevice => "Dc",
        FileType::Fifo => "p",
        FileType::Socket => "S",
        _ => "",
    });
    for (bit, letter) in [(Mode::SUID, 'u'), (Mode::SGID, 'g'), (Mode::SVTX, 't')] {
        if mode.contains(bit) {
            text.push(letter);
        }
    }
    if text.is_empty() {
        text.push('-');
    }
    for shift in (0..9).rev() {
        let letter = [b'x', b'w', b'r'][shift % 3];
        let set = raw >> shift & 1 == 1;
        text.push(if set { char::from(letter) } else { '-' });
    }
    text
}
