//! A list of trusted peers as a text of its own.

use serde::Deserialize;
use stackwire_core::{
    Error, Kind, Result,
    trust::{Roles, TrustedPeer},
};
use toml::Spanned;

use crate::{KnownBy, TrustedConfig};

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// TOML: `[[trusted]]` tables with the keys of [`TrustedConfig`]. No table at all is nobody.
    Toml,
    /// The same, or JSON: a list of objects, or an object with the list as `trusted`. A text that lists nothing is an error
    /// unless it says `trusted = []`: nobody wants an empty answer to mean that nobody is trusted.
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    trusted: Option<Vec<Spanned<TrustedConfig>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    List(Vec<TrustedConfig>),
    Object { trusted: Vec<TrustedConfig> },
}

/// Reads a list. Fails with `ConfigInvalid`, naming the line or the entry; `lenient`: roles that nobody knows are `known`.
pub fn read_list(text: &str, form: Form, known_by: KnownBy, roles: Option<&Roles>) -> Result<Vec<TrustedPeer>> {
    let parse = |entry: &TrustedConfig| match roles {
        Some(roles) => entry.parse(known_by, roles),
        None => entry.parse_leniently(known_by),
    };
    if form == Form::Any && is_json(text) {
        let wrong = |why: String| Error::new(Kind::ConfigInvalid, why);
        let read: Json = serde_json::from_str(text).map_err(|e| wrong(format!("as JSON: {e}")))?;
        let (Json::List(list) | Json::Object { trusted: list }) = read;
        let one = |(index, entry)| parse(entry).map_err(|e| wrong(format!("entry {}: {}", index + 1, e.during())));
        return list.iter().enumerate().map(one).collect();
    }
    let at = |offset: Option<usize>, why: &str| {
        let before = text.get(..offset.unwrap_or(0)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Error::new(Kind::ConfigInvalid, format!("line {line}: {why}"))
    };
    let read: Toml = toml::from_str(text).map_err(|e| at(e.span().map(|span| span.start), e.message()))?;
    let list = match read.trusted {
        None if form == Form::Any => return Err(at(None, "it lists nobody: to trust nobody, write `trusted = []`")),
        list => list.unwrap_or_default(),
    };
    let one =
        |entry: &Spanned<TrustedConfig>| parse(entry.get_ref()).map_err(|e| at(Some(entry.span().start), e.during()));
    list.iter().map(one).collect()
}

/// A TOML text may begin with `[[trusted]]`, and a JSON list is no list of lists.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') || text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['{', ']']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<TrustedPeer>> {
        read_list(text, Form::Any, KnownBy::Identity, Some(&Roles::default()))
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let key = "0a".repeat(32);
        let toml = format!("# the validators\n[[trusted]]\nkey = \"{key}\"\nrole = \"validator\"\n");
        let list = format!(" [ {{ \"key\": \"{key}\", \"role\": \"validator\" }} ]");
        let object = format!("{{ \"trusted\": {list} }}");
        let all = [&toml, &list, &object].map(|text| read(text).unwrap_or_else(|e| panic!("{text}: {e}")));
        assert!(all[0].len() == 1 && all[1] == all[0] && all[2] == all[0]);
        assert!(["trusted = []", "[]", "{\"trusted\": []}"].iter().all(|text| read(text).unwrap().is_empty()));
        for (text, wrong) in [
            ("", "it lists nobody"),
            ("# nothing\n", "it lists nobody"),
            ("<html>", "line 1"),
            ("[{\"kee\": 1}]", "as JSON"),
            ("{}", "as JSON"),
            ("[[trusted]]\nkey = \"0a\"\n", "line 1: the trusted peer “0a”"),
            ("[{\"key\": \"0a\"}]", "entry 1: the trusted peer “0a”"),
            (&toml.replace("validator\"", "validtor\""), "line 2"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.kind() == &Kind::ConfigInvalid && error.to_string().contains(wrong), "{text}: {error}");
        }
        assert!(read_list("", Form::Toml, KnownBy::Identity, None).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_an_error(text in ".{0,200}", start in prop_oneof!["\\[\\[trusted\\]\\]\n", "\\[\\{", "\\{\"trusted\":", ""]) {
            let _ = read(&format!("{start}{text}"));
        }
    }
}
