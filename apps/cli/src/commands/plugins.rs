//! `plugins` and `plugins show NAME`

use std::process::ExitCode;

use serde_json::{Value, json};
use stackwire_config::{Descriptor, suggest};
use stackwire_node::{Error, Kind, Result};

use crate::{
    args::{Plugins, PluginsCommand},
    output::{DIM, HEAD, Output, Table},
    stack,
};

pub fn run(args: Plugins, out: &Output) -> ExitCode {
    let result = match args.command {
        None => list(out),
        Some(PluginsCommand::Show { name }) => show(&name, out),
    };
    out.finish(result)
}

fn list(out: &Output) -> Result<Value> {
    let catalogue = stack::catalogue()?;
    let mut table = Table::new(&["layer", "name", "ids", "what it is"]);
    for plugin in catalogue.iter() {
        let s = &plugin.summary;
        table.row([s.layer.to_string(), s.name.to_string(), s.ids.join(" "), s.summary.to_string()]);
    }
    out.text(table.render().trim_end());
    Ok(catalogue.iter().map(describe).collect())
}

fn show(name: &str, out: &Output) -> Result<Value> {
    let catalogue = stack::catalogue()?;
    let found: Vec<&Descriptor> = catalogue.named(name).collect();
    if found.is_empty() {
        let help = suggest(name, catalogue.iter().map(|plugin| plugin.summary.name));
        return Err(Error::new(Kind::ConfigInvalid, format!("no plug-in `{name}` is linked; {help}")));
    }
    for plugin in &found {
        let s = &plugin.summary;
        out.text(format!("{HEAD}{} {}{HEAD:#}  {}", s.layer, s.name, s.summary));
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

/// The options of a plug-in's schema, a line each.
fn options(plugin: &Descriptor) -> String {
    let schema = plugin.schema();
    let mut table = Table::new(&["option", "type", "default", "meaning"]);
    if add_options(&mut table, schema.as_value(), schema.as_value(), "") {
        table.render()
    } else {
        "none\n".to_string()
    }
}

/// Adds the options of `schema`, a part of `root`, whose names begin with `prefix`; says whether there are any.
fn add_options(table: &mut Table, schema: &Value, root: &Value, prefix: &str) -> bool {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return false;
    };
    for (name, option) in properties {
        let name = format!("{prefix}{name}");
        let part =
            option.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.trim_start_matches('#')));
        if let Some(part) = part
            && add_options(table, part, root, &format!("{name}."))
        {
            continue;
        }
        let meaning = option.get("description").and_then(Value::as_str).unwrap_or("-").replace('\n', " ");
        let default = match option.get("default") {
            None | Some(Value::Null) => "-".to_string(),
            Some(default) => default.to_string(),
        };
        table.row([name, kind(option).to_string(), default, meaning]);
    }
    !properties.is_empty()
}

/// The type of an option; that it may be left out shows in its default.
fn kind(option: &Value) -> &str {
    match option.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        Some(kind) => kind.as_str(),
        None => None,
    }
    .unwrap_or("table")
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
        text.push_str(&format!("{DIM}{note}{DIM:#}\n"));
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
