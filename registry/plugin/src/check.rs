//! Options against their schema: unknown keys, values of another type, numbers out of range, texts and lists that are
//! too long. What serde would say of them is for programmers; this is for who writes a config.

use schemars::Schema;
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Problem, suggest};

/// What one config may have wrong before the rest is only counted: nobody reads more, and each costs work.
pub const MAX_PROBLEMS: usize = 64;
/// Characters of a text whose option has no bound of its own: more than any path, address or key has.
const MAX_TEXT: u64 = 4096;
/// Entries of a list or table whose option has no bound of its own.
const MAX_ENTRIES: u64 = 4096;
/// References in a schema are followed this far.
const MAX_REFERENCES: usize = 8;
/// Characters of a wrong value that are shown.
const SHOWN: usize = 40;

/// Takes what `schema` does not allow out of `options`, tables in it included, and notes a problem for each until
/// there are [`MAX_PROBLEMS`]. What remains deserializes, unless its type knows more than its schema says.
pub fn check(options: &mut DeTable<'_>, schema: &Schema, problems: &mut Vec<Problem>) {
    let root = schema.as_value();
    Check { root, problems }.table(options, resolve(root, root), true, "");
}

struct Check<'a> {
    root: &'a Value,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn note(&mut self, problem: impl FnOnce() -> Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem());
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>, schema: &Value, top: bool, prefix: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        // Options of a plug-in are never open; a map within them is.
        if top || others == Some(&Value::Bool(false)) {
            let unknown: Vec<_> = table
                .keys()
                .filter(|key| !known.is_some_and(|known| known.contains_key(&**key.get_ref())))
                .cloned()
                .collect();
            for key in unknown {
                let name: &str = key.get_ref();
                table.remove(name);
                self.note(|| Problem {
                    span: Some(key.span()),
                    message: format!("unknown key `{}`", shorten(name)),
                    help: Some(suggest(name, known.into_iter().flatten().map(|(name, _)| name.as_str()))),
                });
            }
        }
        let mut wrong = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref().as_ref();
            if let Some(schema) = known.and_then(|known| known.get(name)).or(others) {
                let path = format!("{prefix}{}", shorten(name));
                if !self.value(value, schema, &path) {
                    wrong.push(key.clone());
                }
            }
        }
        for key in wrong {
            table.remove(key.get_ref().as_ref());
        }
    }

    /// Whether the value may stay.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Value, path: &str) -> bool {
        let schema = resolve(schema, self.root);
        let span = value.span();
        if let Some((message, help)) = fault(value.get_ref(), schema, path) {
            self.note(|| Problem { span: Some(span), message, help });
            return false;
        }
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, schema, false, &format!("{path}.")),
            DeValue::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    let mut good = true;
                    for item in items.iter_mut() {
                        good &= self.value(item, schema, &format!("an entry of {path}"));
                    }
                    return good;
                }
            }
            _ => {}
        }
        true
    }
}

/// What is wrong with a value itself, and what to write instead.
fn fault(value: &DeValue<'_>, schema: &Value, path: &str) -> Option<(String, Option<String>)> {
    let words = words(schema);
    if !words.is_empty() {
        let known = value.as_str().is_some_and(|text| words.contains(&text));
        return (!known).then(|| {
            let message = format!("`{path}` is {}; it must be {}", show(value), one_of(&words));
            (message, value.as_str().and_then(|text| nearest_word(text, &words)))
        });
    }
    let types = types(schema);
    if !types.is_empty() && !types.iter().any(|kind| fits(value, kind)) {
        let must: Vec<String> = types.iter().map(|kind| kind_in_words(kind, schema)).collect();
        let message = format!("`{path}` is {}; it must be {}", show(value), must.join(", or "));
        return Some((message, example(value, &types, schema, path)));
    }
    match value {
        DeValue::Integer(number) => {
            let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
            // More than any of our numbers can hold.
            let within = number.is_some_and(|number| within(number as f64, schema));
            (!within).then(|| (out_of_range(value, schema, path), None))
        }
        DeValue::Float(number) => {
            let number: f64 = number.as_str().parse().unwrap_or(f64::NAN);
            (!within(number, schema)).then(|| (out_of_range(value, schema, path), None))
        }
        DeValue::String(text) => {
            let most = bound(schema, "maxLength").unwrap_or(MAX_TEXT);
            too_many(text.chars().count(), most, "characters", path).map(|message| (message, None))
        }
        DeValue::Array(items) => {
            let most = bound(schema, "maxItems").unwrap_or(MAX_ENTRIES);
            too_many(items.len(), most, "entries", path).map(|message| (message, None))
        }
        DeValue::Table(table) => too_many(table.len(), MAX_ENTRIES, "entries", path).map(|message| (message, None)),
        _ => None,
    }
}

fn too_many(count: usize, most: u64, what: &str, path: &str) -> Option<String> {
    (count as u64 > most).then(|| format!("`{path}` has {count} {what}; it may have at most {most}"))
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

/// A comparison that NaN fails, too.
fn within(number: f64, schema: &Value) -> bool {
    let (least, most) = limits(schema);
    least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
        // Without bounds, what is no number is still none.
        && number.is_finite()
}

fn limits(schema: &Value) -> (Option<f64>, Option<f64>) {
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    (limit("minimum"), limit("maximum"))
}

fn out_of_range(value: &DeValue<'_>, schema: &Value, path: &str) -> String {
    let range = range(schema);
    let range = if range.is_empty() { " a number that a machine has room for".to_string() } else { range };
    format!("`{path}` is {}; it must be{range}", show(value))
}

/// “ from 1 to 64”, or nothing where a schema has no bounds.
fn range(schema: &Value) -> String {
    match limits(schema) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" at least {least}"),
        (None, Some(most)) => format!(" at most {most}"),
        (None, None) => String::new(),
    }
}

/// The types that a schema allows; none where it does not say so simply.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => Vec::new(),
    }
}

/// The words that a schema allows; none where it allows anything else.
fn words(schema: &Value) -> Vec<&str> {
    let choices = ["oneOf", "anyOf"].iter().find_map(|of| schema.get(of)?.as_array());
    let mut found: Vec<Option<&str>> = Vec::new();
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        found.extend(list.iter().filter(|word| !word.is_null()).map(Value::as_str));
    }
    for choice in choices.into_iter().flatten().filter(|choice| !is_null(choice)) {
        match choice.get("enum").and_then(Value::as_array) {
            Some(list) => found.extend(list.iter().map(Value::as_str)),
            None => found.push(choice.get("const").and_then(Value::as_str)),
        }
    }
    found.into_iter().collect::<Option<_>>().unwrap_or_default()
}

fn fits(value: &DeValue<'_>, kind: &str) -> bool {
    match kind {
        "boolean" => value.is_bool(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "string" => value.is_str(),
        "array" => value.is_array(),
        "object" => value.is_table(),
        _ => true,
    }
}

/// A type in the words of a user.
fn kind_in_words(kind: &str, schema: &Value) -> String {
    match kind {
        "boolean" => "true or false".to_string(),
        "integer" => format!("a whole number{}", range(schema)),
        "number" => format!("a number{}", range(schema)),
        "string" => "text in quotes".to_string(),
        "array" => "a list in [ ]".to_string(),
        "object" => "a table in { }".to_string(),
        other => other.to_string(),
    }
}

/// “write `nodelay = true`”: the value itself where only its form is wrong, else the default.
fn example(value: &DeValue<'_>, types: &[&str], schema: &Value, path: &str) -> Option<String> {
    let name = path.rsplit('.').next().unwrap_or(path);
    if path.contains(' ') {
        return None;
    }
    let written = show(value);
    let bare = value.as_str().unwrap_or_default();
    let form = types.iter().find_map(|kind| match *kind {
        "boolean" if ["true", "false"].contains(&bare) => Some(bare.to_string()),
        "integer" if bare.parse::<i64>().is_ok() => Some(bare.to_string()),
        "number" if bare.parse::<f64>().is_ok_and(f64::is_finite) => Some(bare.to_string()),
        "string" if value.is_integer() || value.is_float() || value.is_bool() => Some(format!("\"{written}\"")),
        "array" if value.is_str() => Some(format!("[{written}]")),
        _ => None,
    });
    let example = form.or_else(|| match schema.get("default") {
        None | Some(Value::Null) => None,
        Some(default) => Some(default.to_string()).filter(|default| default.chars().count() <= SHOWN),
    })?;
    Some(format!("write it as `{name} = {example}`"))
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

fn nearest_word(text: &str, words: &[&str]) -> Option<String> {
    crate::nearest(text, words.iter().copied()).map(|word| format!("did you mean \"{word}\"?"))
}

/// A value as it was written, shortened.
fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", shorten(text)),
        DeValue::Integer(number) => shorten(&number.to_string()),
        DeValue::Float(number) => shorten(number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(when) => when.to_string(),
        DeValue::Array(_) => "a list".to_string(),
        DeValue::Table(_) => "a table".to_string(),
    }
}

/// Text of a config, shortened.
pub fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The schema itself where `schema` is a reference to it or an optional one of it.
fn resolve<'a>(mut schema: &'a Value, root: &'a Value) -> &'a Value {
    for _ in 0..MAX_REFERENCES {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| root.pointer(to.strip_prefix('#')?));
        let only = ["anyOf", "oneOf", "allOf"].iter().find_map(|of| {
            let mut choices = schema.get(of)?.as_array()?.iter().filter(|choice| !is_null(choice));
            choices.next().filter(|_| choices.next().is_none())
        });
        match target.or(only) {
            Some(inner) => schema = inner,
            None => break,
        }
    }
    schema
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}
