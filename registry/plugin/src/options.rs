//! Options: a table of a config, with the place of every value.

use std::ops::Range;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::{Spanned, de::DeTable};

use crate::check;

/// Bytes of a wrong name beyond which no right one is looked for.
const MAX_COMPARED: usize = 64;

/// A table of options that remembers where in the text everything stands.
pub type Options<'i> = Spanned<DeTable<'i>>;

/// Something wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, in bytes.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Reads options from text.
pub fn parse_options(text: &str) -> Result<Options<'_>, Problem> {
    DeTable::parse(text).map_err(|e| Problem { span: e.span(), message: e.message().to_string(), help: None })
}

/// Turns options into a config type. What its schema does not allow is a problem in the words of users.
pub fn deserialize<T: DeserializeOwned + JsonSchema>(mut options: Options<'_>) -> Result<T, Problem> {
    let mut problems = Vec::new();
    check(options.get_mut(), &schemars::schema_for!(T), &mut problems);
    if let Some(first) = problems.into_iter().next() {
        return Err(first);
    }
    T::deserialize(options.into_deserializer()).map_err(|e| Problem {
        span: e.span(),
        message: e.message().to_string(),
        help: None,
    })
}

/// “available: a, b; did you mean `a`?”
pub fn suggest<'a>(wrong: &str, available: impl IntoIterator<Item = &'a str>) -> String {
    let available: Vec<&str> = available.into_iter().collect();
    if available.is_empty() {
        return "available: none".to_string();
    }
    let mut help = format!("available: {}", available.join(", "));
    if let Some(name) = nearest(wrong, available) {
        help.push_str(&format!("; did you mean `{name}`?"));
    }
    help
}

/// The name that `wrong` was most likely meant to be: one or two letters off, in a long name a third of them.
pub fn nearest<'a>(wrong: &str, available: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison costs the product of both lengths, and nobody mistypes a page.
    if wrong.len() > MAX_COMPARED {
        return None;
    }
    let wrong = wrong.to_lowercase();
    let distances = available.into_iter().map(|name| (strsim::damerau_levenshtein(&wrong, name), name));
    let (distance, name) = distances.min()?;
    let letters = name.chars().count().max(wrong.chars().count());
    let allowed = if letters <= 3 { 1 } else { (letters / 3).max(2) };
    (distance <= allowed).then_some(name)
}
