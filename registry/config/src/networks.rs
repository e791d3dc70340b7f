//! `[[network]]`: several networks of one node, each with a config of its own.

use stackwire_plugin::{Problem, shorten};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The name of a network that has none.
pub const DEFAULT_NETWORK: &str = "default";
/// Networks of one node.
const MAX_NETWORKS: usize = 16;
/// Characters of a name.
const MAX_NAME: usize = 32;

/// The networks of a config with their sections: those of `[[network]]`, or the whole config as one. What is wrong is noted.
pub(crate) fn split<'a>(mut document: DeTable<'a>, problems: &mut Vec<Problem>) -> Vec<(String, DeTable<'a>)> {
    let Some(list) = document.remove("network") else { return vec![(DEFAULT_NETWORK.to_string(), document)] };
    let mut problem = |span, message: String, help: &str| {
        problems.push(Problem { span: Some(span), message, help: Some(help.to_string()) });
    };
    for (section, _) in document.iter() {
        let name = shorten(section.get_ref());
        problem(
            section.span(),
            format!("`{name}` beside `[[network]]` belongs to none of the networks"),
            "write it below its network, as `[network.node]` or `[[network.transport]]`",
        );
    }
    let span = list.span();
    let DeValue::Array(sections) = list.into_inner() else {
        problem(span, "`network` is not a list of sections".into(), "write `[[network]]` with `name = \"…\"`");
        return Vec::new();
    };
    if sections.is_empty() || sections.len() > MAX_NETWORKS {
        let message = format!("{} networks; there may be 1 to {MAX_NETWORKS}", sections.len());
        problem(span, message, "leave `[[network]]` out to have one");
        return Vec::new();
    }
    let mut networks: Vec<(String, DeTable<'a>)> = Vec::new();
    for section in sections {
        let span = section.span();
        let DeValue::Table(mut sections) = section.into_inner() else {
            problem(span, "not a section of `network`".into(), "write `[[network]]`");
            continue;
        };
        // One without a good name is read all the same, so that everything that is wrong with it is told.
        let name = match name(sections.remove("name"), span) {
            Ok(name) => {
                if networks.iter().any(|(other, _)| *other == *name.get_ref()) {
                    let message = format!("two networks are called `{}`", name.get_ref());
                    problem(name.span(), message, "give each a name of its own");
                }
                name.into_inner()
            }
            Err((span, message)) => {
                problem(span, message, "write `name = \"validator\"`, for example");
                String::new()
            }
        };
        networks.push((name, sections));
    }
    networks
}

type Span = std::ops::Range<usize>;

fn name(value: Option<Spanned<DeValue<'_>>>, section: Span) -> Result<Spanned<String>, (Span, String)> {
    let Some(value) = value else { return Err((section, "a network without a name".into())) };
    let span = value.span();
    let DeValue::String(name) = value.get_ref() else {
        return Err((span, "the name of a network is text in quotes".into()));
    };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        let message = "the name of a network has 1 to 32 characters: small letters, digits, `-` and `_`";
        return Err((span, message.into()));
    }
    Ok(Spanned::new(span, name.to_string()))
}
