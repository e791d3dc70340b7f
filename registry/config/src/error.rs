//! What is wrong with a config, and where.

use std::{fmt, ops::Range};

use serde::Serialize;
use stackwire_core::{Error, Kind};
use stackwire_plugin::{MAX_PROBLEMS, Problem};

/// Source lines longer than this are not shown.
const MAX_SHOWN: usize = 160;

/// Everything that is wrong with a config: at least one problem, in the order of the text. Where very much is wrong, only
/// [`MAX_PROBLEMS`] of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The problems.
    pub problems: Vec<ConfigProblem>,
}

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigProblem {
    /// Where it begins, from 1. A problem that is nowhere (something is absent) is at the end of the text.
    pub line: usize,
    /// Where in the line it begins, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The bytes it is about; `None` where something is absent. Always within the text, at character boundaries.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
    /// The line it begins in and how many characters of it are wrong, for display.
    #[serde(skip)]
    snippet: Option<(String, usize)>,
}

impl ConfigError {
    pub(crate) fn new(text: &str, mut problems: Vec<Problem>) -> Self {
        // To find the place of each in a long text costs time.
        problems.truncate(MAX_PROBLEMS);
        let mut problems: Vec<_> = problems.into_iter().map(|problem| ConfigProblem::new(text, problem)).collect();
        // Absent things come last.
        problems.sort_by_key(|p| p.span.as_ref().map_or(usize::MAX, |span| span.start));
        Self { problems }
    }
}

impl ConfigProblem {
    fn new(text: &str, problem: Problem) -> Self {
        let span = problem.span.map(|span| {
            let start = boundary(text, span.start);
            start..boundary(text, span.end).max(start)
        });
        let start = span.as_ref().map_or(text.len(), |span| span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let snippet = span.as_ref().and_then(|span| {
            let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
            let source = text[line_start..line_end].trim_end();
            let width = text[start..span.end.min(line_end)].trim_end().chars().count().max(1);
            (!source.is_empty() && source.chars().count() <= MAX_SHOWN).then(|| (source.to_string(), width))
        });
        Self { line, column, message: problem.message, help: problem.help, span, snippet }
    }
}

/// The character boundary at or before `index`, within the text.
fn boundary(text: &str, index: usize) -> usize {
    text.floor_char_boundary(index.min(text.len()))
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.span.is_some() {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        if let Some((source, width)) = &self.snippet {
            let number = self.line.to_string();
            // Tabs stay tabs, so that the caret stands under its character.
            let indent: String =
                source.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n  {number} | {source}")?;
            write!(f, "\n  {:1$} | {indent}{2}", "", number.len(), "^".repeat(*width))?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        if self.problems.len() >= MAX_PROBLEMS {
            write!(f, "\nand perhaps more: it is not read further after {MAX_PROBLEMS} mistakes")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Error::new(Kind::ConfigInvalid, error.to_string())
    }
}
