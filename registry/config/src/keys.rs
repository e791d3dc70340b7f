//! Keys of options: those that no schema knows, and those whose value is wrong.

use std::ops::Range;

use schemars::Schema;
use serde_json::Value;
use stackwire_plugin::{Problem, suggest};
use toml::de::{DeTable, DeValue};

/// References in a schema are followed this far.
const MAX_REFERENCES: usize = 8;

/// Takes the keys that `schema` does not know out of `table` and the tables in it; each is a problem.
pub fn take_unknown(table: &mut DeTable<'_>, schema: &Schema) -> Vec<Problem> {
    let root = schema.as_value();
    let mut problems = Vec::new();
    check_table(table, resolve(root, root), root, true, &mut problems);
    problems
}

fn check_table(table: &mut DeTable<'_>, schema: &Value, root: &Value, top: bool, problems: &mut Vec<Problem>) {
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
            problems.push(Problem {
                span: Some(key.span()),
                message: format!("unknown key `{name}`"),
                help: Some(suggest(name, known.into_iter().flatten().map(|(name, _)| name.as_str()))),
            });
        }
    }
    for (key, value) in table.iter_mut() {
        let name: &str = key.get_ref().as_ref();
        if let Some(schema) = known.and_then(|known| known.get(name)).or(others) {
            check(value.get_mut(), schema, root, problems);
        }
    }
}

fn check(value: &mut DeValue<'_>, schema: &Value, root: &Value, problems: &mut Vec<Problem>) {
    let schema = resolve(schema, root);
    match value {
        DeValue::Table(table) => check_table(table, schema, root, false, problems),
        DeValue::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items.iter_mut() {
                    check(item.get_mut(), schema, root, problems);
                }
            }
        }
        _ => {}
    }
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

/// Takes the innermost key whose value lies at `span` out of `table`. Whether there was one.
pub fn take_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && take_at(inner, span)
        {
            return true;
        }
    }
    let key = table.iter().find_map(|(key, value)| {
        let place = value.span();
        (place.start <= span.start && span.end <= place.end && !place.is_empty()).then(|| key.clone())
    });
    key.is_some_and(|key| table.remove(key.get_ref().as_ref()).is_some())
}
