//! `plugins` and `plugins show NAME`

use std::process::ExitCode;

use serde_json::{Value, json};
use stackwire_config::{Descriptor, suggest};

use crate::{
    args::{Plugins, PluginsCommand},
    failure::Failure,
    output::{DIM, HEAD, Output, Table, page_width, wrap},
    stack,
};

/// Spaces before what an option means.
const INDENT: usize = 4;

pub fn run(args: Plugins, out: &Output) -> ExitCode {
    let result = match args.command {
        None => list(out),
        Some(PluginsCommand::Show { name }) => show(&name, out),
    };
    out.finish(result)
}

fn list(out: &Output) -> Result<Value, Failure> {
    let catalogue = stack::catalogue()?;
    let mut table = Table::new(&["layer", "name", "what it is"]);
    for plugin in catalogue.iter() {
        let s = &plugin.summary;
        let ids = if s.ids.is_empty() { String::new() } else { format!(": {}", s.ids.join(" ")) };
        table.row([s.layer.to_string(), s.name.to_string(), format!("{}{ids}", s.summary)]);
    }
    out.text(table.render_as_page().trim_end());
    Ok(catalogue.iter().map(describe).collect())
}

fn show(name: &str, out: &Output) -> Result<Value, Failure> {
    let catalogue = stack::catalogue()?;
    let found: Vec<&Descriptor> = catalogue.named(name).collect();
    if found.is_empty() {
        let help = suggest(name, catalogue.iter().map(|plugin| plugin.summary.name));
        return Err(Failure::usage(format!("no plug-in `{name}` is linked; {help}")));
    }
    for plugin in &found {
        let s = &plugin.summary;
        out.text(wrap(&format!("{HEAD}{} {}{HEAD:#}: {}", s.layer, s.name, s.summary), page_width()).join("\n"));
        out.text(format!("\npackage       {}", plugin.package));
        out.text(format!("ids           {}", if s.ids.is_empty() { "-".to_string() } else { s.ids.join(" ") }));
        out.text(format!("\n{HEAD}example{HEAD:#}\n[[{}]]\nuse = \"{}\"\n{}", s.layer, s.name, s.example.trim()));
        out.text(format!("\n{HEAD}options{HEAD:#}\n{}", options(plugin)));
        out.text(format!("{HEAD}capabilities{HEAD:#}\n{}", capabilities(plugin)));
    }
    Ok(found.into_iter().map(describe).collect())
}

fn describe(plugin: &Descriptor) -> Value {
    let s = &plugin.summary;
    json!({
        "layer": s.layer, "name": s.name, "summary": s.summary, "ids": s.ids, "package": plugin.package,
        "example": s.example, "schema": plugin.schema(), "capabilities": s.capabilities,
    })
}

/// The options of a plug-in's schema: each as a config has it by default, what else it may be, and what it means.
fn options(plugin: &Descriptor) -> String {
    let schema = plugin.schema();
    let mut text = String::new();
    add_options(&mut text, schema.as_value(), schema.as_value(), "");
    if text.is_empty() { "none\n".to_string() } else { text }
}

/// Adds the options of `schema`, a part of `root`, whose names begin with `prefix`; says whether there are any.
fn add_options(text: &mut String, schema: &Value, root: &Value, prefix: &str) -> bool {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return false;
    };
    for (name, option) in properties {
        let name = format!("{prefix}{name}");
        let part = resolve(option, root);
        if add_options(text, part, root, &format!("{name}.")) {
            continue;
        }
        let written = match option.get("default") {
            None | Some(Value::Null) => name,
            Some(default) => format!("{name} = {default}"),
        };
        text.push_str(&format!("{written}  {DIM}# {}{DIM:#}\n", kind(part)));
        let meaning = option.get("description").or_else(|| part.get("description"));
        for line in wrap(meaning.and_then(Value::as_str).unwrap_or("-"), page_width() - INDENT) {
            text.push_str(&format!("{:INDENT$}{line}\n", ""));
        }
    }
    !properties.is_empty()
}

/// The schema that `schema` refers to, also where it is one of something or nothing.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let some = schema.get("anyOf").and_then(Value::as_array).and_then(|choices| match choices.as_slice() {
        [some, none] if none.get("type").and_then(Value::as_str) == Some("null") => Some(some),
        _ => None,
    });
    let schema = some.unwrap_or(schema);
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// What an option may be, as users write it; that it may be left out shows in its default.
fn kind(option: &Value) -> String {
    if let Some(words) = words(option) {
        return words.join(" or ");
    }
    let kind = match option.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        Some(kind) => kind.as_str(),
        None => None,
    };
    let limit = |name| option.get(name).and_then(Value::as_f64);
    match (kind, limit("minimum"), limit("maximum")) {
        (Some("boolean"), ..) => "true or false".to_string(),
        (Some("integer" | "number"), Some(least), Some(most)) => format!("{least} to {most}"),
        (Some("integer" | "number"), ..) => "a number".to_string(),
        (Some("string"), ..) => "\"text\"".to_string(),
        (Some("array"), ..) => "[list]".to_string(),
        _ => "{ table }".to_string(),
    }
}

/// The words that an option may be, in quotes.
fn words(option: &Value) -> Option<Vec<String>> {
    let quoted = |word: &Value| word.as_str().map(|word| format!("\"{word}\""));
    if let Some(list) = option.get("enum").and_then(Value::as_array) {
        return list.iter().map(quoted).collect();
    }
    let choices = option.get("oneOf").and_then(Value::as_array)?;
    let words = choices.iter().map(|choice| match choice.get("enum").and_then(Value::as_array) {
        Some(list) => list.iter().map(quoted).collect(),
        None => Some(vec![quoted(choice.get("const")?)?]),
    });
    Some(words.collect::<Option<Vec<_>>>()?.concat())
}

fn capabilities(plugin: &Descriptor) -> String {
    let mut text = String::new();
    if let Ok(Value::Object(all)) = serde_json::to_value(plugin.summary.capabilities) {
        for (name, value) in all.iter().filter(|(name, _)| relevant(plugin, name)) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            text.push_str(&format!("{name:24}{value}\n"));
        }
    }
    for note in plugin.summary.capabilities.notes {
        for line in wrap(note, page_width()) {
            text.push_str(&format!("{DIM}{line}{DIM:#}\n"));
        }
    }
    if text.is_empty() { "nothing to declare".to_string() } else { text.trim_end().to_string() }
}

/// Whether a capability says anything about this plug-in's layer.
fn relevant(plugin: &Descriptor, capability: &str) -> bool {
    use stackwire_node::Layer;
    let layer = match capability {
        "in_process" | "reaches" => Layer::Transport,
        "datagrams" if plugin.summary.layer == Layer::Transport => Layer::Transport,
        "insecure" | "muxer_in_handshake" | "x25519_identity" => Layer::Security,
        "notes" => return false,
        _ => Layer::Muxer,
    };
    plugin.summary.layer == layer
}
