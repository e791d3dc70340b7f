//! Tables.

use super::HEAD;

/// Between two columns.
const GAP: usize = 2;
/// The last column is wrapped only where at least this much room is left for it.
const MIN_LAST: usize = 20;

/// A table in columns as wide as they need to be. Cells may carry colour.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|h| format!("{HEAD}{h}{HEAD:#}")).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, each row with its newline; on a terminal the last column is wrapped to fit.
    pub fn render(&self) -> String {
        self.render_in(terminal_width())
    }

    /// As [`Table::render`], wrapped in pipes too: for text that people read wherever it ends up.
    pub fn render_as_page(&self) -> String {
        self.render_in(Some(page_width()))
    }

    fn render_in(&self, room: Option<usize>) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|row| row.get(c)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let last = columns.saturating_sub(1);
        let indent: usize = widths.iter().take(last).map(|wide| wide + GAP).sum();
        if let (Some(room), Some(wide)) = (room, widths.last_mut())
            && room >= indent + MIN_LAST
        {
            *wide = (*wide).min(room - indent);
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (c, (cell, wide)) in row.iter().zip(&widths).enumerate() {
                if c == last && width(cell) > *wide {
                    line.push_str(&wrap(cell, *wide).join(&format!("\n{}", " ".repeat(indent))));
                    continue;
                }
                line.push_str(cell);
                line.push_str(&" ".repeat(wide - width(cell) + GAP));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// How wide a page of text is: as wide as the terminal, in pipes as wide as most terminals.
pub fn page_width() -> usize {
    terminal_width().unwrap_or(80)
}

/// How wide the terminal is that reads us; `None` where it is none.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// `text` in lines of at most `room` characters, unless a single word is longer.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// As [`wrap`], of a text whose line breaks and indents mean something.
pub fn wrap_lines(text: &str, room: usize) -> Vec<String> {
    let lines = text.lines().flat_map(|line| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let wrapped = wrap(line, room.saturating_sub(indent));
        wrapped.into_iter().map(move |part| format!("{:indent$}{part}", ""))
    });
    lines.collect()
}

/// How wide a cell looks: colour takes no room.
fn width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::GOOD;

    fn plain(table: &Table, room: Option<usize>) -> String {
        anstream::adapter::strip_str(&table.render_in(room)).to_string()
    }

    #[test]
    fn columns_are_aligned_and_colour_takes_no_room() {
        let mut table = Table::new(&["a", "b"]);
        table.row([format!("{GOOD}long{GOOD:#}"), "x".to_string()]);
        table.row(["é".to_string(), "y".to_string()]);
        assert_eq!(plain(&table, None), "a     b\nlong  x\né     y\n");
    }

    #[test]
    fn the_last_column_is_wrapped_under_itself() {
        let mut table = Table::new(&["name", "meaning"]);
        table.row(["nodelay".to_string(), "send small writes at once, do not wait".to_string()]);
        let expected = "name     meaning\nnodelay  send small writes at\n         once, do not wait\n";
        assert_eq!(plain(&table, Some(30)), expected);
        assert_eq!(plain(&table, None).lines().count(), 2);
    }

    #[test]
    fn line_breaks_that_mean_something_stay() {
        let lines = wrap_lines("no connection came of it\n  /memory/1: nothing in common", 22);
        assert_eq!(lines, ["no connection came of", "it", "  /memory/1: nothing", "  in common"]);
    }

    #[test]
    fn a_terminal_too_narrow_to_wrap_in_gets_whole_rows() {
        let mut table = Table::new(&["name", "meaning"]);
        table.row(["nodelay".to_string(), "send small writes at once".to_string()]);
        assert_eq!(plain(&table, Some(12)).lines().count(), 2);
    }
}
