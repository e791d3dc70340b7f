//! Tables of text.

/// Between two columns.
const GAP: usize = 2;

/// Rows in columns as wide as they need to be; cells may carry colour. Columns named in `right` are set to the right.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let room = " ".repeat(wide[column] - width(cell));
            match right.contains(&column) {
                true => line.extend([&room, cell.as_str()]),
                false => line.extend([cell.as_str(), &room]),
            }
            line.push_str(&" ".repeat(GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How wide a cell looks: colour takes no room.
fn width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_colour_takes_no_room() {
        let bold = anstyle::Style::new().bold();
        let rows = [vec![format!("{bold}a{bold:#}"), "1×".into(), "x".into()], vec!["bcd".into(), "10×".into()]];
        let text = table(&rows, &[1]);
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "a     1×  x\nbcd  10×\n");
    }
}
