//! `listen` and `external` of `[node]`: addresses, and which transport takes each.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    ops::Range,
};

use stackwire_core::{AddressPart, Layer, Multiaddr, address};
use stackwire_plugin::{Catalogue, Descriptor, Parts, Problem};
use toml::{Spanned, de::DeValue};

use crate::PlannedPlugin;

/// Addresses that one node may listen on.
const MAX_ADDRESSES: usize = 256;
/// Bytes of one of them.
const MAX_ADDRESS: usize = 1024;

/// An option that lists addresses.
pub struct AddressList {
    /// The option.
    pub name: &'static str,
    /// What one of its entries is called.
    one: &'static str,
    /// How many it may have.
    most: usize,
    example: &'static str,
    /// Whether an address may stand for any of the machine's.
    any: bool,
}

/// Where the node listens.
pub const LISTEN: AddressList = AddressList {
    name: "listen",
    one: "a listen address",
    most: MAX_ADDRESSES,
    example: "/ip4/0.0.0.0/tcp/4001",
    any: true,
};
/// Where others reach it. Half of what may be advertised: the rest is for plug-ins and for what peers see.
pub const EXTERNAL: AddressList = AddressList {
    name: "external",
    one: "an external address",
    most: 32,
    example: "/ip4/203.0.113.7/tcp/4001",
    any: false,
};

/// Reads such a list; what is wrong with an address is noted with its place.
pub fn read(option: &AddressList, list: Spanned<DeValue<'_>>, problems: &mut Vec<Problem>) -> Vec<Spanned<Multiaddr>> {
    let (span, name) = (list.span(), option.name);
    let DeValue::Array(items) = list.into_inner() else {
        problems.push(Problem {
            span: Some(span),
            message: format!("`{name}` is not a list"),
            help: Some(format!("write it as `{name} = [\"{}\"]`", option.example)),
        });
        return Vec::new();
    };
    if items.len() > option.most {
        let message = format!("`{name}` has {} addresses; it may have at most {}", items.len(), option.most);
        problems.push(Problem { span: Some(span), message, help: None });
        return Vec::new();
    }
    let mut addresses = Vec::new();
    for item in items {
        let span = item.span();
        match read_one(option, item.get_ref()) {
            Ok(address) => addresses.push(Spanned::new(span, address)),
            Err((message, help)) => problems.push(Problem { span: Some(span), message, help }),
        }
    }
    addresses
}

fn read_one(option: &AddressList, item: &DeValue<'_>) -> Result<Multiaddr, (String, Option<String>)> {
    let one = option.one;
    let DeValue::String(text) = item else {
        return Err((format!("{one} is not text in quotes"), None));
    };
    if text.len() > MAX_ADDRESS {
        return Err((format!("{one} has {} bytes; it may have at most {MAX_ADDRESS}", text.len()), None));
    }
    let address = address::parse(text).map_err(|error| (error.to_string(), None))?;
    let (address, peer) = address::split_peer(&address);
    if peer.is_some() {
        return Err((format!("{one} names a peer"), Some(format!("write `{address}`"))));
    }
    let no_port = || address::split_socket(&address).is_some_and(|(socket, ..)| socket.port() == 0);
    let nowhere = || address::ip_of(&address).is_some_and(|ip| ip.is_unspecified() || ip.is_multicast());
    if !option.any && (nowhere() || no_port()) {
        let help = format!("write the address and the port that others dial, such as `{}`", option.example);
        return Err((format!("{one}, {address}, leads nobody here"), Some(help)));
    }
    Ok(address)
}

/// The addresses that no transport of the plan listens on, as problems.
pub fn untaken(addresses: &[Spanned<Multiaddr>], plugins: &[PlannedPlugin], catalogue: &Catalogue) -> Vec<Problem> {
    let takes =
        |parts: &Parts, address: &Multiaddr| parts.transports.iter().any(|transport| transport.can_listen(address));
    let transports: Vec<_> = plugins.iter().filter(|plugin| plugin.layer == Layer::Transport).collect();
    let names = transports.iter().map(|plugin| plugin.name).collect::<Vec<_>>().join(", ");
    let mut problems = Vec::new();
    for address in addresses {
        let place = address.span();
        let address = address.get_ref();
        if let Some(problem) = misfixed(address, plugins) {
            problems.push(Problem { span: Some(place), ..problem });
            continue;
        }
        let bare = address.without_fixed();
        let address = &bare;
        if transports.iter().any(|plugin| takes(&plugin.parts, address)) {
            continue;
        }
        let other = catalogue.layer(Layer::Transport).find(|d| makes(d).any(|parts| takes(&parts, address)));
        let help = match other.map(|descriptor| descriptor.summary.name) {
            Some(name) if transports.iter().any(|plugin| plugin.name == name) => {
                format!("transport `{name}` takes it, but not with these options")
            }
            Some(name) => format!("transport `{name}` takes it: add `[[transport]]` with `use = \"{name}\"`"),
            None => {
                let linked: Vec<_> = catalogue.layer(Layer::Transport).map(|d| d.summary.name).collect();
                format!("nor does any that is linked: {}", linked.join(", "))
            }
        };
        problems.push(Problem {
            span: Some(place),
            message: format!("no transport of this config listens on {address} (it has: {names})"),
            help: Some(help),
        });
    }
    problems
}

/// The addresses that need a socket which an earlier one has, as problems. An address whose transport runs over another
/// one's channel shares the socket of a listed address of that one.
pub fn doubles(addresses: &[Spanned<Multiaddr>], plugins: &[PlannedPlugin], text: &str) -> Vec<Problem> {
    let needs = |address: &Spanned<Multiaddr>| {
        let bare = address.get_ref().without_fixed();
        let mut transports = plugins.iter().flat_map(|plugin| &plugin.parts.transports);
        let transport = transports.find(|transport| transport.can_listen(&bare));
        (transport.and_then(|transport| transport.carrier(&bare)), bare)
    };
    let needs: Vec<(Option<Multiaddr>, Multiaddr)> = addresses.iter().map(needs).collect();
    let hosts: HashSet<&Multiaddr> =
        needs.iter().filter(|(carrier, _)| carrier.is_none()).map(|(_, bare)| bare).collect();
    let mut sockets = Sockets::default();
    let mut guests: HashMap<&Multiaddr, Range<usize>> = HashMap::new();
    let mut problems = Vec::new();
    for (address, (carrier, bare)) in addresses.iter().zip(&needs) {
        let span = address.span();
        let taken = match carrier {
            Some(carrier) if hosts.contains(carrier) => guests.insert(bare, span.clone()),
            carrier => sockets.take(carrier.as_ref().unwrap_or(bare), span.clone()),
        };
        if let Some(first) = taken {
            let line = text.get(..first.start).unwrap_or_default().matches('\n').count() + 1;
            let first = text.get(first).unwrap_or_default();
            problems.push(Problem {
                span: Some(span),
                message: format!("{} needs the socket of {first} on line {line}", address.get_ref()),
                help: Some("keep one of them, or give one another port".into()),
            });
        }
    }
    problems
}

/// The sockets that are spoken for, each with the place of the address that needs it.
#[derive(Default)]
struct Sockets {
    /// By family, whether it is TCP, and port.
    ip: HashMap<(bool, bool, u16), Port>,
    other: HashMap<Multiaddr, Range<usize>>,
}

#[derive(Default)]
struct Port {
    any: Option<Range<usize>>,
    wildcard: Option<Range<usize>>,
    ips: HashMap<IpAddr, Range<usize>>,
}

impl Sockets {
    /// Takes a socket; gives the place of what has it already.
    fn take(&mut self, address: &Multiaddr, place: Range<usize>) -> Option<Range<usize>> {
        let Some((socket, transport, _)) = address::split_socket(address) else {
            // Port 0 and `/memory/0` ask for whatever is free.
            let free = matches!(address.iter().next(), Some(AddressPart::Memory(0)));
            return if free { None } else { self.other.insert(address.clone(), place) };
        };
        if socket.port() == 0 {
            return None;
        }
        let tcp = transport == address::Transport::Tcp;
        let port = self.ip.entry((socket.is_ipv6(), tcp, socket.port())).or_default();
        let taken = match socket.ip().is_unspecified() {
            true => port.any.clone(),
            false => port.wildcard.clone().or_else(|| port.ips.get(&socket.ip()).cloned()),
        };
        port.any.get_or_insert_with(|| place.clone());
        match socket.ip().is_unspecified() {
            true => port.wildcard = Some(place),
            false => _ = port.ips.insert(socket.ip(), place),
        }
        taken
    }
}

/// The plug-in that an address fixes and that the plan does not have, as a problem.
fn misfixed(address: &Multiaddr, plugins: &[PlannedPlugin]) -> Option<Problem> {
    let fixed = address.fixed();
    let fixes =
        [(Layer::Security, fixed.security()), (Layer::Muxer, fixed.muxer()), (Layer::Negotiator, fixed.negotiator())];
    fixes.into_iter().filter_map(|(layer, name)| Some((layer, name?))).find_map(|(layer, name)| {
        let have: Vec<_> = plugins.iter().filter(|plugin| plugin.layer == layer).map(|plugin| plugin.name).collect();
        (!have.contains(&name)).then(|| Problem {
            span: None,
            message: format!("{address} fixes {layer} `{name}`, which this config does not use"),
            help: Some(format!("add `[[{layer}]]` with `use = \"{name}\"`; this config has: {}", have.join(", "))),
        })
    })
}

/// The plug-in as its own defaults and fixtures make it.
fn makes(descriptor: &Descriptor) -> impl Iterator<Item = Parts> {
    let fixtures = descriptor.summary.fixtures.iter().map(|fixture| fixture.options);
    std::iter::once("").chain(fixtures).filter_map(|options| descriptor.build_from(options).ok())
}
