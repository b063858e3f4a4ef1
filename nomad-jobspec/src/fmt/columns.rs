//! Columns: `=` of neighbouring lines, and comments behind neighbouring lines.

use super::{Line, spaces};
use crate::source::columns;

/// How wide a cell is; of one with line breaks the last line counts.
fn width(text: &str) -> usize {
    columns(text.rsplit('\n').next().unwrap_or_default())
}

/// Puts assignments and comments into columns.
pub(super) fn align(lines: &mut [Line<'_>]) {
    chains(
        lines,
        |line| !line.assign.is_empty(),
        |line| line.indent + width(&spaces::join(&line.lead)),
        |line, gap| {
            line.assign_gap = gap;
        },
    );
    chains(
        lines,
        |line| line.comment.is_some(),
        |line| {
            let assign = spaces::join(&line.assign);
            if assign.contains('\n') {
                return width(&assign);
            }
            let assign = if assign.is_empty() {
                0
            } else {
                line.assign_gap + width(&assign)
            };
            line.indent + width(&spaces::join(&line.lead)) + assign
        },
        |line, gap| line.comment_gap = gap,
    );
}

/// Gives neighbouring lines that have the cell the gaps that bring it to one column.
fn chains<'t>(
    lines: &mut [Line<'t>],
    has: impl Fn(&Line<'t>) -> bool,
    before: impl Fn(&Line<'t>) -> usize,
    set: impl Fn(&mut Line<'t>, usize),
) {
    let mut start = 0;
    while start < lines.len() {
        if !has(&lines[start]) {
            start += 1;
            continue;
        }
        let end = lines[start..]
            .iter()
            .position(|line| !has(line))
            .map_or(lines.len(), |length| start + length);
        let widest = lines[start..end].iter().map(&before).max().unwrap_or(0);
        for line in &mut lines[start..end] {
            let gap = widest - before(line) + 1;
            set(line, gap);
        }
        start = end;
    }
}
