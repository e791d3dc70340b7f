//! From flags and a config to a plan.

use stackwire_config::{Catalogue, Plan};
use stackwire_node::{Error, Kind, Layer, Multiaddr, Result};
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
pub fn plan(args: &StackArgs, listen: Option<&[Multiaddr]>) -> Result<Plan> {
    let catalogue = catalogue()?;
    let text = match &args.config {
        Some(path) => read_config(path)?,
        None => DEFAULT_CONFIG.to_string(),
    };
    // A mistake in the file is reported by its place in the file, before any flag changes the text.
    let mut table: Table = match text.parse() {
        Ok(table) => table,
        Err(_) => return Ok(Plan::parse(&text, &catalogue)?),
    };
    let mut changed = false;
    for (layer, names) in
        [(Layer::Transport, &args.transports), (Layer::Security, &args.securities), (Layer::Muxer, &args.muxers)]
    {
        changed |= replace(&mut table, layer, names);
    }
    if args.insecure {
        changed |= allow_insecure(&mut table, &catalogue);
    }
    changed |= match listen {
        None => set_listen(&mut table, Vec::new()),
        Some([]) if args.config.is_none() && !args.transports.is_empty() => {
            let fitting = default_listen(&table, &catalogue)?;
            set_listen(&mut table, fitting)
        }
        Some([]) => false,
        Some(addresses) => set_listen(&mut table, addresses.iter().map(ToString::to_string).collect()),
    };
    if !changed {
        return Ok(Plan::parse(&text, &catalogue)?);
    }
    if args.config.is_some() {
        Plan::parse(&text, &catalogue)?;
    }
    Ok(Plan::parse(&table.to_string(), &catalogue)?)
}

/// Makes `names` the plug-ins of a layer, keeping the options the config has for them.
fn replace(table: &mut Table, layer: Layer, names: &[String]) -> bool {
    if names.is_empty() {
        return false;
    }
    let old = table.get(layer.name()).and_then(Value::as_array).cloned().unwrap_or_default();
    let entries = names.iter().map(|name| {
        let kept = old.iter().find(|entry| entry.get("use").and_then(Value::as_str) == Some(name));
        kept.cloned().unwrap_or_else(|| Value::Table(Table::from_iter([("use".to_string(), name.clone().into())])))
    });
    table.insert(layer.name().to_string(), Value::Array(entries.collect()));
    true
}

fn allow_insecure(table: &mut Table, catalogue: &Catalogue) -> bool {
    let Some(Value::Array(entries)) = table.get_mut(Layer::Security.name()) else { return false };
    for entry in entries.iter_mut().filter_map(Value::as_table_mut) {
        let name = entry.get("use").and_then(Value::as_str).unwrap_or_default();
        if catalogue.get(Layer::Security, name).is_ok_and(|d| d.summary.capabilities.insecure) {
            entry.insert("insecure".to_string(), true.into());
        }
    }
    true
}

/// Those of the embedded default's addresses that the chosen transports listen on.
fn default_listen(table: &Table, catalogue: &Catalogue) -> Result<Vec<String>> {
    let mut silent = table.clone();
    set_listen(&mut silent, Vec::new());
    let transports = Plan::parse(&silent.to_string(), catalogue)?.stack().transports;
    let defaults = Plan::parse(DEFAULT_CONFIG, catalogue)?.stack().settings.listen;
    let fitting = defaults.iter().filter(|address| transports.iter().any(|t| t.can_listen(address)));
    Ok(fitting.map(ToString::to_string).collect())
}

fn set_listen(table: &mut Table, addresses: Vec<String>) -> bool {
    let node = table.entry("node").or_insert_with(|| Value::Table(Table::new()));
    if let Some(node) = node.as_table_mut() {
        node.insert("listen".to_string(), Value::Array(addresses.into_iter().map(Value::String).collect()));
    }
    true
}
