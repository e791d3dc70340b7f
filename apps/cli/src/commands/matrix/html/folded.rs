//! Mixes that make no sense: a line that says how many and why, which opens to name them.

use super::{
    super::{Cell, skipped},
    escape, words,
};

/// Those among `cells`; nothing where there are none.
pub(super) fn of(cells: &[&Cell]) -> String {
    let all = skipped(cells);
    if all.is_empty() {
        return String::new();
    }
    let count: usize = all.iter().map(|(_, alike)| alike.len()).sum();
    let (mixes, are) = if count == 1 { ("mix", "is") } else { ("mixes", "are") };
    let why = all.iter().map(|(reason, _)| *reason).collect::<Vec<_>>().join("; ");
    let lists: String = all
        .iter()
        .map(|(reason, alike)| {
            let item = |cell: &&Cell| format!("<li data-text=\"{}\">{}</li>\n", words(cell), escape(&cell.name()));
            let items: String = alike.iter().map(item).collect();
            // The line above it has said so where there is only one.
            let why = if all.len() == 1 { String::new() } else { format!("<p>{}:</p>\n", escape(reason)) };
            format!("{why}<ul>\n{items}</ul>\n")
        })
        .collect();
    format!(
        "<details class=\"folded\"><summary>– {count} {mixes} {are} left out: {}</summary>\n{lists}</details>\n",
        escape(&why)
    )
}
