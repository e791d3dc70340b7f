//! Options: a table of a config, with the place of every value.

use std::{collections::BTreeSet, ops::Range};

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::{Spanned, de::DeTable};

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

/// Turns options into a config type. An unknown key is a problem that lists the known ones; so is a wrong type.
pub fn deserialize<T: DeserializeOwned + JsonSchema>(options: Options<'_>) -> Result<T, Problem> {
    let known = keys_of::<T>();
    for key in options.get_ref().keys() {
        if !known.contains(key.get_ref().as_ref()) {
            let name = key.get_ref();
            return Err(Problem {
                span: Some(key.span()),
                message: format!("unknown key `{name}`"),
                help: Some(suggest(name, known.iter().map(String::as_str))),
            });
        }
    }
    T::deserialize(options.into_deserializer()).map_err(|e| Problem {
        span: e.span(),
        message: e.message().to_string(),
        help: None,
    })
}

fn keys_of<T: JsonSchema>() -> BTreeSet<String> {
    let schema = schemars::schema_for!(T);
    schema
        .get("properties")
        .and_then(|p| p.as_object())
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// “available: a, b; did you mean `a`?”
pub fn suggest<'a>(wrong: &str, available: impl IntoIterator<Item = &'a str>) -> String {
    let available: Vec<&str> = available.into_iter().collect();
    if available.is_empty() {
        return "available: none".to_string();
    }
    let nearest = available
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong.to_lowercase(), name), *name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len().max(wrong.len()) / 3).max(1));
    let mut help = format!("available: {}", available.join(", "));
    if let Some((_, name)) = nearest {
        help.push_str(&format!("; did you mean `{name}`?"));
    }
    help
}
