//! From flags and a config to a plan.

use stackwire_config::{Catalogue, ConfigError, ConfigProblem, Plan};
use stackwire_node::{Error, Kind, Layer, Result};
use toml::{Table, Value};

use crate::args::StackArgs;

/// What runs without a config. Only this machine can reach it.
pub const DEFAULT_CONFIG: &str = r#"[node]
listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"]

[[transport]]
use = "tcp"
[[transport]]
use = "websocket"

[[security]]
use = "tls"
[[security]]
use = "noise"

[[muxer]]
use = "priority"
[[muxer]]
use = "yamux"
[[muxer]]
use = "mplex"

[[routing]]
use = "direct"

[[protocol]]
use = "identify"
[[protocol]]
use = "ping"
[[protocol]]
use = "perf"
[[protocol]]
use = "echo"
"#;

/// The catalogue of this program.
pub fn catalogue() -> Result<Catalogue> {
    Catalogue::linked()
}

/// Reads a config file; the error names it.
pub fn read_config(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::new(Kind::ConfigInvalid, format!("the config {} can't be read", path.display())).caused_by(e)
    })
}

/// The plan of these flags. `listen`: `None` does not listen, `Some` of none listens where the config says.
pub fn plan(args: &StackArgs, listen: Option<&[String]>) -> Result<Plan> {
    let catalogue = catalogue()?;
    let text = match &args.config {
        Some(path) => read_config(path)?,
        None => DEFAULT_CONFIG.to_string(),
    };
    // What is no table can't be changed; the error has its place in the file.
    let Ok(mut table) = text.parse::<Table>() else {
        return Ok(Plan::parse(&text, &catalogue)?);
    };
    apply(&mut table, args, &catalogue)?;
    match listen {
        None => set_listen(&mut table, Vec::new()),
        Some([]) if args.config.is_none() && !args.transports.is_empty() => {
            let fitting = default_listen(&table, &catalogue)?;
            set_listen(&mut table, fitting);
        }
        Some([]) => {}
        Some(addresses) => set_listen(&mut table, addresses.to_vec()),
    }
    // As it stands where no flag changes it: what turns out wrong later then has its line in the file.
    let unchanged = text.parse::<Table>().is_ok_and(|original| original == table);
    let text_with_flags = if unchanged { text.clone() } else { table.to_string() };
    Plan::parse(&text_with_flags, &catalogue).map_err(|error| match Plan::parse(&text, &catalogue) {
        // The mistake is in the file: it has its place there, not in the text the flags have changed.
        Err(in_file) => in_file.into(),
        Ok(_) => without_places(&error),
    })
}

/// Changes the config as the flags say.
fn apply(table: &mut Table, args: &StackArgs, catalogue: &Catalogue) -> Result<()> {
    let flags =
        [(Layer::Transport, &args.transports), (Layer::Security, &args.securities), (Layer::Muxer, &args.muxers)];
    for (layer, names) in flags {
        replace(table, layer, names);
    }
    for entry in entries(table, Layer::Security) {
        let name = entry.get("use").and_then(Value::as_str).unwrap_or_default().to_string();
        if !catalogue.get(Layer::Security, &name).is_ok_and(|d| d.summary.capabilities.insecure) {
            continue;
        }
        if args.insecure {
            entry.insert("insecure".to_string(), true.into());
        } else if args.securities.contains(&name) && !entry.contains_key("insecure") {
            let why = format!("security `{name}` proves and hides nothing; add `--insecure` to use it all the same");
            return Err(Error::new(Kind::ConfigInvalid, why));
        }
    }
    if args.no_verify {
        for entry in entries(table, Layer::Transport).filter(|entry| uses(entry, "websocket")) {
            let tls = entry.entry("tls").or_insert_with(|| Value::Table(Table::new()));
            if let Some(tls) = tls.as_table_mut() {
                tls.insert("verify".to_string(), false.into());
            }
        }
    }
    Ok(())
}

/// What is wrong with a text that the user has never seen.
fn without_places(error: &ConfigError) -> Error {
    let say = |problem: &ConfigProblem| match &problem.help {
        Some(help) => format!("{}; {help}", problem.message),
        None => problem.message.clone(),
    };
    Error::new(Kind::ConfigInvalid, error.problems.iter().map(say).collect::<Vec<_>>().join("\n"))
}

/// The sections of a layer.
fn entries(table: &mut Table, layer: Layer) -> impl Iterator<Item = &mut Table> {
    let list = table.get_mut(layer.name()).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn uses(entry: &Table, name: &str) -> bool {
    entry.get("use").and_then(Value::as_str) == Some(name)
}

/// Makes `names`, unless there are none, the plug-ins of a layer, keeping the options the config has for them.
fn replace(table: &mut Table, layer: Layer, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let old: Vec<Table> = entries(table, layer).map(|entry| entry.clone()).collect();
    let chosen = names.iter().map(|name| {
        let kept = old.iter().find(|entry| uses(entry, name)).cloned();
        Value::Table(kept.unwrap_or_else(|| Table::from_iter([("use".to_string(), name.clone().into())])))
    });
    table.insert(layer.name().to_string(), Value::Array(chosen.collect()));
}

/// Those of the embedded default's addresses that the chosen transports listen on.
fn default_listen(table: &Table, catalogue: &Catalogue) -> Result<Vec<String>> {
    let mut silent = table.clone();
    set_listen(&mut silent, Vec::new());
    let silent = Plan::parse(&silent.to_string(), catalogue).map_err(|error| without_places(&error))?;
    let transports = silent.stack().transports;
    let defaults = Plan::parse(DEFAULT_CONFIG, catalogue)?.stack().settings.listen;
    let fitting = defaults.iter().filter(|address| transports.iter().any(|t| t.can_listen(address)));
    Ok(fitting.map(ToString::to_string).collect())
}

fn set_listen(table: &mut Table, addresses: Vec<String>) {
    let node = table.entry("node").or_insert_with(|| Value::Table(Table::new()));
    if let Some(node) = node.as_table_mut() {
        node.insert("listen".to_string(), Value::Array(addresses.into_iter().map(Value::String).collect()));
    }
}
