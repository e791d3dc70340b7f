//! From flags and a config to a plan.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

use stackwire_config::{Built, Catalogue, ConfigError, ConfigProblem, Descriptor, MAX_CONFIG, Plan, Stack};
use stackwire_node::{AddressPart, Error, Kind, Layer, Multiaddr, Result, address};
use toml::{Table, Value};

use crate::{args::StackArgs, output::plain};

/// What runs without a config. Only this machine can reach it.
pub const DEFAULT_CONFIG: &str = r#"# What `stackwire` runs without `--config`. Only this machine can reach it: to be reached by others, listen on
# /ip4/0.0.0.0/tcp/4001 and the like. `stackwire plugins show NAME` tells what may stand in each section.

[node]
# identity = "node.key"  # without it a fresh key at every start
listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/quic-v1"]

[[transport]]
use = "tcp"
[[transport]]
use = "websocket"
[[transport]]
use = "quic"

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

/// Reads a config file; the error names it. What is no regular file is an error, never a wait.
pub fn read_config(path: &Path) -> Result<String> {
    let read = || {
        let found = fs::metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "name a regular file"));
        }
        let mut text = String::new();
        File::open(path)?.take(MAX_CONFIG as u64 + 1).read_to_string(&mut text)?;
        if text.len() > MAX_CONFIG {
            return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {MAX_CONFIG} bytes")));
        }
        Ok(text)
    };
    read().map_err(|e| {
        Error::new(Kind::ConfigInvalid, format!("the config {} can't be read", path.display())).caused_by(e)
    })
}

/// The folder that a config's relative paths are relative to.
pub fn folder_of(config: &Path) -> &Path {
    config.parent().unwrap_or(Path::new(""))
}

/// The plan of these flags. `listen`: `None` does not listen, `Some` of none listens where the config says.
pub fn plan(args: &StackArgs, listen: Option<&[String]>) -> Result<Plan> {
    let catalogue = catalogue()?;
    // Relative paths are those of the file; of flags there are none.
    let folder = args.config.as_deref().map_or(Path::new(""), folder_of);
    let text = match &args.config {
        Some(path) => read_config(path)?,
        None => DEFAULT_CONFIG.to_string(),
    };
    // What is no table can't be changed; the error has its place in the file.
    let in_file = |error: ConfigError| match &args.config {
        Some(path) => not_a_stack(path, &error),
        None => error.into(),
    };
    let Ok(mut table) = text.parse::<Table>() else {
        return Plan::parse_in(folder, &text, &catalogue).map_err(in_file);
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
    Plan::parse_in(folder, &text_with_flags, &catalogue).map_err(|error| match Plan::parse(&text, &catalogue) {
        // The mistake is in the file: it has its place there, not in the text the flags have changed.
        Err(error) => in_file(error),
        Ok(_) => without_places(&error),
    })
}

/// What is wrong with a config, with its name.
pub fn not_a_stack(path: &Path, error: &ConfigError) -> Error {
    Error::new(Kind::ConfigInvalid, format!("{} does not describe a stack:\n{error}", path.display()))
}

/// Fails where no transport of `stack` dials `address`, and says which one would.
pub fn check_dialable(address: &Multiaddr, stack: &Stack) -> Result<()> {
    let mut bare = Multiaddr::empty();
    for part in &address::split_peer(&address.without_fixed()).0 {
        bare.push(match part {
            // What it resolves to is of the same form.
            AddressPart::Dns(_) | AddressPart::Dns4(_) => AddressPart::Ip4(Ipv4Addr::LOCALHOST),
            AddressPart::Dns6(_) => AddressPart::Ip6(Ipv6Addr::LOCALHOST),
            // Nobody knows yet where that leads.
            AddressPart::Dnsaddr(_) => return Ok(()),
            part => part,
        });
    }
    if bare.is_empty() || stack.transports.iter().any(|transport| transport.can_dial(&bare)) {
        return Ok(());
    }
    let takes = |descriptor: &&Descriptor| {
        let fixtures = descriptor.summary.fixtures.iter().map(|fixture| fixture.options);
        let built = std::iter::once("").chain(fixtures).filter_map(|options| descriptor.build_from(options).ok());
        built.into_iter().any(|built| matches!(built, Built::Transport(transport) if transport.can_dial(&bare)))
    };
    let catalogue = catalogue()?;
    let help = match catalogue.layer(Layer::Transport).find(takes) {
        Some(other) => format!("add `--transport {}`", other.summary.name),
        None => "nor does any that is linked".to_string(),
    };
    let names = stack.transports.iter().map(|transport| transport.name()).collect::<Vec<_>>().join(", ");
    let message = format!("no transport of this stack dials {}; it has: {names}; {help}", plain(address));
    Err(Error::new(Kind::Unsupported, message))
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
