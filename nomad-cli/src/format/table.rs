//! Tables and lists of keys and values.

/// Rows in columns two blanks apart. Cells are trimmed; an empty one is `<none>`; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    columns(rows, "<none>")
}

/// As [`table`], with empty cells left empty.
pub fn table_with_blanks(rows: &[Vec<String>]) -> String {
    columns(rows, "")
}

fn columns(rows: &[Vec<String>], empty: &str) -> String {
    let cells: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| match cell.trim() {
                    "" => empty,
                    cell => cell,
                })
                .collect()
        })
        .collect();
    let count = cells.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|at| {
            cells
                .iter()
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let lines = cells.iter().map(|row| {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if at + 1 < row.len() {
                let gap = widths[at] - cell.chars().count() + 2;
                line.extend(std::iter::repeat_n(' ', gap));
            }
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `Key = value` lines whose signs stand under each other; an empty value is `<none>`.
pub fn kv<K: AsRef<str>>(pairs: &[(K, String)]) -> String {
    let width = pairs
        .iter()
        .map(|(key, _)| key.as_ref().chars().count())
        .max()
        .unwrap_or(0);
    let lines = pairs.iter().map(|(key, value)| {
        let value = match value.trim() {
            "" => "<none>",
            value => value,
        };
        format!("{:width$} = {value}", key.as_ref())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect()
    }

    #[test]
    fn columns_line_up_by_characters() {
        let text = table(&rows(&[
            &["Name", "State"],
            &["größer", ""],
            &["x", " run "],
        ]));
        assert_eq!(text, "Name    State\ngrößer  <none>\nx       run");
        let text = table_with_blanks(&rows(&[&["A", "B", "C"], &["1", "", ""]]));
        assert_eq!(text, "A  B  C\n1     ");
    }

    #[test]
    fn keys_line_up() {
        let text = kv(&[("ID", "a".to_owned()), ("Node Pool", String::new())]);
        assert_eq!(text, "ID        = a\nNode Pool = <none>");
    }
}
