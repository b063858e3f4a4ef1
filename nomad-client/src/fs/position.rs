//! Where reading a rotated log begins.

/// From which end an offset counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// From the first byte.
    #[default]
    Start,
    /// Backwards from the last.
    End,
}

impl Origin {
    /// Reads the API's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "start" => Some(Self::Start),
            "end" => Some(Self::End),
            _ => None,
        }
    }
}

/// A file of a rotated log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogFile {
    pub(super) index: u64,
    pub(super) size: u64,
}

/// The number of a log file, if `name` is one: `<task>.<kind>.<number>`.
pub(super) fn index_of(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let plain = digits == "0" || !digits.starts_with('0');
    if plain && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// The file, and the place in it, at which reading begins. `files` are sorted; `None` when there are none.
pub(super) fn begin(files: &[LogFile], origin: Origin, offset: u64) -> Option<(u64, u64)> {
    let mut left = offset;
    match origin {
        Origin::Start => {
            let last = files.last()?;
            for file in files {
                if left <= file.size {
                    return Some((file.index, left));
                }
                left -= file.size;
            }
            Some((last.index, last.size))
        }
        Origin::End => {
            let first = files.first()?;
            for file in files.iter().rev() {
                if left <= file.size {
                    return Some((file.index, file.size - left));
                }
                left -= file.size;
            }
            Some((first.index, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [LogFile; 3] = [
        LogFile { index: 3, size: 10 },
        LogFile { index: 4, size: 20 },
        LogFile { index: 7, size: 5 },
    ];

    #[test]
    fn offsets_span_files_from_either_end() {
        for (origin, offset, wanted) in [
            (Origin::Start, 0, (3, 0)),
            (Origin::Start, 10, (3, 10)),
            (Origin::Start, 11, (4, 1)),
            (Origin::Start, 33, (7, 3)),
            (Origin::Start, 1000, (7, 5)),
            (Origin::End, 0, (7, 5)),
            (Origin::End, 5, (7, 0)),
            (Origin::End, 6, (4, 19)),
            (Origin::End, 35, (3, 0)),
            (Origin::End, 1000, (3, 0)),
        ] {
            assert_eq!(begin(&FILES, origin, offset), Some(wanted));
        }
        assert_eq!(begin(&[], Origin::Start, 0), None);
    }

    #[test]
    fn only_plain_numbers_are_log_files() {
        assert_eq!(index_of("web.stdout.0", "web.stdout."), Some(0));
        assert_eq!(index_of("web.stdout.12", "web.stdout."), Some(12));
        for name in [
            "web.stdout.",
            "web.stdout.01",
            "web.stdout.1.gz",
            "web.stdout.-1",
            "webx.stdout.1",
            "web.stdout.99999999999999999999999",
        ] {
            assert_eq!(index_of(name, "web.stdout."), None, "{name}");
        }
    }
}
