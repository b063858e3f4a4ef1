//! When a log file is full: the decision alone, as a pure function.
//!
//! Far from the end of a file, bytes are moved without being looked at. Within [`TAIL_BYTES`] of its end, whole lines are
//! written as long as they fit, so a line is not split across files unless it is longer than that. A file never grows
//! beyond its limit. Source: Nomad's log rotation as described for its log collector.

/// How close to the end of a file lines are looked at, in bytes.
pub(crate) const TAIL_BYTES: u64 = 32 << 10;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Append that many bytes; at least one.
    Write(usize),
    /// Begin the next file.
    Rotate,
    /// The data ends within a line that may still fit: wait for more, or ask again with `flush`.
    Wait,
}

/// How many bytes may be appended without looking at them.
pub(crate) fn blind_budget(size: u64, max_size: u64) -> u64 {
    max_size.saturating_sub(size).saturating_sub(TAIL_BYTES)
}

/// Decides for a file of `size` bytes, given the next bytes of the stream.
///
/// `mid_line`: the file does not end with a newline. `flush`: do not wait for the rest of a line.
pub(crate) fn step(size: u64, max_size: u64, mid_line: bool, next: &[u8], flush: bool) -> Step {
    let room = max_size.saturating_sub(size);
    if room == 0 {
        return Step::Rotate;
    }
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let fitting = &next[..next.len().min(room)];
    if let Some(newline) = fitting.iter().rposition(|b| *b == b'\n') {
        return Step::Write(newline + 1);
    }
    if next.len() > room {
        // The line does not fit here. If it began in this file, or the file is empty, it has to be split.
        return if mid_line || size == 0 {
            Step::Write(room)
        } else {
            Step::Rotate
        };
    }
    if flush && !next.is_empty() {
        Step::Write(next.len())
    } else {
        Step::Wait
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_lines_fill_the_end_of_a_file() {
        assert_eq!(
            step(90, 100, false, b"aaa\nbbb\nccc\n", false),
            Step::Write(8)
        );
        assert_eq!(step(98, 100, false, b"ccc\n", false), Step::Rotate);
        assert_eq!(step(100, 100, false, b"c\n", false), Step::Rotate);
        assert_eq!(step(130, 100, false, b"c\n", false), Step::Rotate);
    }

    #[test]
    fn an_unfinished_line_waits_until_flushed() {
        assert_eq!(step(90, 100, false, b"$ ", false), Step::Wait);
        assert_eq!(step(90, 100, false, b"$ ", true), Step::Write(2));
        assert_eq!(step(90, 100, false, b"", true), Step::Wait);
    }

    #[test]
    fn only_a_line_longer_than_what_is_left_of_its_file_is_split() {
        assert_eq!(step(0, 4, false, b"123456\n", false), Step::Write(4));
        assert_eq!(step(2, 4, true, b"3456\n", false), Step::Write(2));
        assert_eq!(step(2, 4, false, b"3456\n", false), Step::Rotate);
    }

    #[test]
    fn bytes_far_from_the_end_are_not_looked_at() {
        assert_eq!(blind_budget(0, 10 << 20), (10 << 20) - TAIL_BYTES);
        assert_eq!(blind_budget(0, 1000), 0);
        assert_eq!(blind_budget(2000, 1000), 0);
    }

    /// The files that come of pushing the pieces through, always flushing what is left of a piece if asked to.
    fn simulate(pieces: &[(Vec<u8>, bool)], max_size: u64) -> Vec<Vec<u8>> {
        let mut files = vec![Vec::new()];
        let mut waiting: Vec<u8> = Vec::new();
        let last = (Vec::new(), true);
        for (piece, flush) in pieces.iter().chain([&last]) {
            waiting.extend_from_slice(piece);
            while !waiting.is_empty() {
                let file = files.last_mut().expect("there is always a file");
                let size = file.len() as u64;
                let mid_line = file.last().is_some_and(|b| *b != b'\n');
                let blind = blind_budget(size, max_size).min(waiting.len() as u64) as usize;
                let step = if blind > 0 {
                    Step::Write(blind)
                } else {
                    step(size, max_size, mid_line, &waiting, *flush)
                };
                match step {
                    Step::Write(n) => file.extend(waiting.drain(..n)),
                    Step::Rotate => files.push(Vec::new()),
                    Step::Wait => break,
                }
            }
        }
        files
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_file_is_too_large(
            pieces in prop::collection::vec((prop::collection::vec(prop_oneof![4 => Just(b'x'), 1 => Just(b'\n')], 0..60), any::<bool>()), 0..60),
            max_size in 1_u64..90,
        ) {
            let whole: Vec<u8> = pieces.iter().flat_map(|(p, _)| p.clone()).collect();
            let files = simulate(&pieces, max_size);
            prop_assert_eq!(files.concat(), whole);
            prop_assert!(files.iter().all(|f| f.len() as u64 <= max_size));
            prop_assert!(files.iter().rev().skip(1).all(|f| !f.is_empty()), "an empty file was left behind");
        }

        #[test]
        fn lines_that_fit_are_never_split(
            lines in prop::collection::vec(0_usize..200, 1..400),
            max_size in 256_u64..5000,
        ) {
            // Every piece is flushed only at line ends, so no unfinished line is ever forced out.
            let pieces: Vec<_> = lines.iter().map(|n| ([vec![b'y'; *n], vec![b'\n']].concat(), false)).collect();
            for file in simulate(&pieces, max_size) {
                prop_assert!(file.is_empty() || file.ends_with(b"\n"));
            }
        }
    }
}
