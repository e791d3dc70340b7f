//! Reports as pages: each one file that needs nothing else, in light and dark, on large screens and small ones.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::Path,
};

use stackwire_node::{Error, Kind, Result};

/// What all pages look like.
const STYLE: &str = include_str!("base.css");

/// A page.
pub struct Page {
    /// What the browser's tab says.
    pub title: &'static str,
    /// Attributes of the whole document, each with a space before it; mostly none.
    pub attributes: String,
    /// Its own style, beside that of all pages.
    pub style: &'static str,
    /// The content, as HTML.
    pub body: String,
    /// Its script. It may load nothing.
    pub script: &'static str,
}

impl Page {
    /// The page as HTML.
    pub fn html(&self) -> String {
        let Self { title, attributes, style, body, script } = self;
        format!(
            r#"<!doctype html>
<html lang="en"{attributes}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
{STYLE}{style}</style>
</head>
<body>
{body}<script>
{script}</script>
</body>
</html>
"#
        )
    }

    /// Writes the page to `file`.
    pub fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.html()).map_err(|error| unwritable(file, error))
    }
}

/// Fails where a page could not be written to `file` at the end, which is better known before a long run.
pub fn check(file: &Path) -> Result<()> {
    let tried = match file.exists() {
        true => File::options().append(true).open(file).map(|_| ()),
        false => tempfile::tempfile_in(stackwire_files::folder_of(file)).map(|_| ()),
    };
    tried.map_err(|error| unwritable(file, error))
}

/// Terms and what they are, as a list.
pub fn terms(class: &str, lines: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let line = |(what, is): (&str, String)| format!("<div><dt>{what}</dt><dd>{}</dd></div>\n", escape(&is));
    let lines: String = lines.into_iter().map(line).collect();
    format!("<dl class=\"{class}\">\n{lines}</dl>\n")
}

/// Text as HTML, in content and in attributes.
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

fn unwritable(file: &Path, error: io::Error) -> Error {
    let help = match error.kind() {
        ErrorKind::NotFound => ": its folder is not there, make it first",
        ErrorKind::IsADirectory => ": it is a folder, name a file in it",
        _ => "",
    };
    Error::new(Kind::Io, format!("the page {} can't be written{help}", file.display())).caused_by(error)
}
