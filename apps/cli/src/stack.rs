//! From flags and a config to a plan.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
};

use stackwire_config::{Catalogue, ConfigError, ConfigProblem, Descriptor, MAX_CONFIG, Plan, Stack};
use stackwire_node::{AddressPart, Error, Kind, Layer, Multiaddr, Result, Transport, address};
use toml::{Table, Value};

use crate::{args::StackArgs, failure::Failure, output::plain};

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
pub fn plan(args: &StackArgs, listen: Option<&[Multiaddr]>) -> Result<Plan, Failure> {
    let catalogue = catalogue()?;
    // Relative paths are those of the file; of flags there are none.
    let folder = args.config.as_deref().map_or(Path::new(""), folder_of);
    let text = match &args.config {
        Some(path) => read_config(path)?,
        None => DEFAULT_CONFIG.to_string(),
    };
    // What is no table can't be changed; the error has its place in the file.
    let in_file = |error: ConfigError| match &args.config {
        Some(path) => Failure::in_config(path, error),
        None => Error::from(error).into(),
    };
    let Ok(mut table) = text.parse::<Table>() else {
        return Plan::parse_in(folder, &text, &catalogue).map_err(in_file);
    };
    apply(first_network(&mut table), args, &catalogue)?;
    match listen {
        None => {
            only_first_network(&mut table);
            set_listen(&mut table, &[]);
        }
        Some([]) if args.config.is_none() && !args.transports.is_empty() => {
            let fitting = default_listen(&table, &catalogue)?;
            set_listen(&mut table, &fitting);
        }
        Some([]) => {}
        Some(addresses) => {
            // What else is wrong is told below.
            if let Ok(transports) = transports(&table, &catalogue) {
                addresses.iter().try_for_each(|address| check_listenable(address, &transports, &catalogue))?;
            }
            set_listen(&mut table, addresses);
        }
    }
    // As it stands where no flag changes it: what turns out wrong later then has its line in the file.
    let unchanged = text.parse::<Table>().is_ok_and(|original| original == table);
    let text_with_flags = if unchanged { text.clone() } else { table.to_string() };
    let plan =
        Plan::parse_in(folder, &text_with_flags, &catalogue).map_err(|error| match Plan::parse(&text, &catalogue) {
            // The mistake is in the file: it has its place there, not in the text the flags have changed.
            Err(error) => in_file(error),
            Ok(_) => without_places(&error),
        });
    let mut plan = plan?;
    if listen.is_none() {
        // A tool is not the node that the config is of, which may be running on its store.
        plan.settings.data_dir = None;
    }
    Ok(plan)
}

/// Fails where no transport of `stack` dials `address`, and says which one would.
pub fn check_dialable(address: &Multiaddr, stack: &Stack) -> Result<(), Failure> {
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
    if bare.is_empty() {
        return Ok(());
    }
    let dials = |transport: &dyn Transport| transport.can_dial(&bare);
    somebody(dials, "dials", address, &stack.parts.transports, &catalogue()?)
}

/// Fails where none of `transports` listens on `address`, and says which one would.
fn check_listenable(
    address: &Multiaddr,
    transports: &[Arc<dyn Transport>],
    catalogue: &Catalogue,
) -> Result<(), Failure> {
    let bare = address::split_peer(&address.without_fixed()).0;
    let listens = |transport: &dyn Transport| transport.can_listen(&bare);
    somebody(listens, "listens on", address, transports, catalogue)
}

/// Fails where none of `transports` does with `address` what it is to do, and says which one would.
fn somebody(
    does: impl Fn(&dyn Transport) -> bool,
    what: &str,
    address: &Multiaddr,
    transports: &[Arc<dyn Transport>],
    catalogue: &Catalogue,
) -> Result<(), Failure> {
    if transports.iter().any(|transport| does(&**transport)) {
        return Ok(());
    }
    let would = |descriptor: &&Descriptor| {
        let fixtures = descriptor.summary.fixtures.iter().map(|fixture| fixture.options);
        let built = std::iter::once("").chain(fixtures).filter_map(|options| descriptor.build_from(options).ok());
        built.flat_map(|parts| parts.transports).any(|transport| does(&*transport))
    };
    let help = match catalogue.layer(Layer::Transport).find(would) {
        Some(other) => format!("add `--transport {}`", other.summary.name),
        None => "nor does any that is linked".to_string(),
    };
    let names = transports.iter().map(|transport| transport.name()).collect::<Vec<_>>().join(", ");
    let message = format!("no transport of this stack {what} {}; it has: {names}; {help}", plain(address));
    Err(Failure::Usage(Error::new(Kind::Unsupported, message)))
}

/// Changes the config as the flags say.
fn apply(table: &mut Table, args: &StackArgs, catalogue: &Catalogue) -> Result<(), Failure> {
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
            return Err(Failure::usage(why));
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

/// What is wrong with a text that the user has never seen: it comes of the flags.
fn without_places(error: &ConfigError) -> Failure {
    let say = |problem: &ConfigProblem| match &problem.help {
        Some(help) => format!("{}; {help}", problem.message),
        None => problem.message.clone(),
    };
    Failure::usage(error.problems.iter().map(say).collect::<Vec<_>>().join("\n"))
}

/// The sections of a layer.
fn entries(table: &mut Table, layer: Layer) -> impl Iterator<Item = &mut Table> {
    let list = table.get_mut(layer.name()).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn uses(entry: &Table, name: &str) -> bool {
    entry.get("use").and_then(Value::as_str) == Some(name)
}

/// Makes `names`, unless there are none, the plug-ins of a layer, each once, keeping the options the config has for them.
fn replace(table: &mut Table, layer: Layer, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let old: Vec<Table> = entries(table, layer).map(|entry| entry.clone()).collect();
    let once = names.iter().enumerate().filter(|(i, name)| !names[..*i].contains(name));
    let chosen = once.map(|(_, name)| {
        let kept = old.iter().find(|entry| uses(entry, name)).cloned();
        Value::Table(kept.unwrap_or_else(|| Table::from_iter([("use".to_string(), name.clone().into())])))
    });
    table.insert(layer.name().to_string(), Value::Array(chosen.collect()));
}

/// Those of the embedded default's addresses that the chosen transports listen on.
fn default_listen(table: &Table, catalogue: &Catalogue) -> Result<Vec<Multiaddr>, Failure> {
    let transports = transports(table, catalogue)?;
    let mut defaults = Plan::parse(DEFAULT_CONFIG, catalogue).map_err(Error::from)?.stack().settings.listen;
    defaults.retain(|address| transports.iter().any(|transport| transport.can_listen(address)));
    Ok(defaults)
}

/// The transports of a config, wherever it listens.
fn transports(table: &Table, catalogue: &Catalogue) -> Result<Vec<Arc<dyn Transport>>, Failure> {
    let mut silent = table.clone();
    set_listen(&mut silent, &[]);
    let silent = Plan::parse(&silent.to_string(), catalogue).map_err(|error| without_places(&error))?;
    Ok(silent.stack().parts.transports)
}

/// What flags change: the whole config, or its first network, which is the one that a node is used as.
fn first_network(table: &mut Table) -> &mut Table {
    // Asked twice, as what is lent in one branch is lent in the other, too.
    let has_networks = networks(table).is_some_and(|networks| networks.first().is_some_and(Value::is_table));
    match has_networks {
        true => networks(table).and_then(|networks| networks.first_mut()?.as_table_mut()).expect("it is a table"),
        false => table,
    }
}

/// A tool that dials needs one network.
fn only_first_network(table: &mut Table) {
    if let Some(networks) = networks(table) {
        networks.truncate(1);
    }
}

fn networks(table: &mut Table) -> Option<&mut Vec<Value>> {
    table.get_mut("network")?.as_array_mut()
}

fn set_listen(table: &mut Table, addresses: &[Multiaddr]) {
    let node = first_network(table).entry("node").or_insert_with(|| Value::Table(Table::new()));
    if let Some(node) = node.as_table_mut() {
        node.insert(
            "listen".to_string(),
            Value::Array(addresses.iter().map(|address| address.to_string().into()).collect()),
        );
    }
}
