//! A config that was read and found good.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use stackwire_core::Layer;
use stackwire_plugin::{Catalogue, Descriptor, NamedFile, Parts, Problem, Reach};

use crate::{
    ConfigError, ConfigProblem, Connectivity, Settings, Stack,
    files::{self, Content},
    networks, read,
};

/// A validated config: what a node would run. Nothing has been opened, bound or started.
#[derive(Clone)]
pub struct Plan {
    /// The network that it is of.
    pub(crate) name: Arc<str>,
    /// The `[node]` section.
    pub settings: Settings,
    /// The plug-ins: layer by layer in the order of [`Plan::LAYERS`], in a layer in order of preference.
    pub layers: Vec<PlannedPlugin>,
    pub(crate) source: Source,
    /// The plans of the other networks that the text has.
    pub(crate) others: Vec<Plan>,
}

/// Where in the text stands what may turn out wrong only when it is run.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub(crate) text: Arc<str>,
    /// What its relative paths are relative to.
    pub(crate) folder: PathBuf,
    pub(crate) identity: Option<Range<usize>>,
    pub(crate) trusted_file: Option<Range<usize>>,
    pub(crate) listen: Vec<Range<usize>>,
}

/// A plug-in of a plan.
#[derive(Clone)]
pub struct PlannedPlugin {
    /// Its layer.
    pub layer: Layer,
    /// Its name.
    pub name: &'static str,
    /// The package it comes from.
    pub package: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// What it answers to on the wire.
    pub ids: &'static [&'static str],
    /// How high it reaches, for transports.
    pub reaches: Reach,
    /// Whether the config left its layer out, so that it is there by default.
    pub implied: bool,
    /// What it is made of.
    pub parts: Parts,
    /// Its options as they were written, to tell whether a new config changes them.
    pub(crate) options: toml::Table,
    /// The files that its options name, with where each option stands.
    pub(crate) files: Vec<(NamedFile, Option<Range<usize>>)>,
    /// What those files held when a node was to run this, to tell whether they have changed.
    pub(crate) content: Vec<Content>,
    pub(crate) descriptor: &'static Descriptor,
}

impl Plan {
    /// The layers that configs have sections for, from the wire up.
    pub const LAYERS: [Layer; 9] = [
        Layer::Transport,
        Layer::Protector,
        Layer::Negotiator,
        Layer::Security,
        Layer::Muxer,
        Layer::Routing,
        Layer::Discovery,
        Layer::Nat,
        Layer::Protocol,
    ];

    /// Reads and validates a config, and builds its plug-ins. No I/O. The error holds **all** problems. Relative paths in
    /// it are relative to the working folder.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, ConfigError> {
        Self::parse_in(Path::new(""), text, catalogue)
    }

    /// As [`Plan::parse`], with relative paths relative to `folder`: for a config file, the folder that it is in.
    pub fn parse_in(folder: &Path, text: &str, catalogue: &Catalogue) -> Result<Self, ConfigError> {
        read::plan(folder, text, catalogue).map_err(|problems| ConfigError::new(text, problems))
    }

    /// The name of its network: `default` unless the text has `[[network]]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plans of all networks that the text has, this one first.
    pub fn networks(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(self).chain(&self.others)
    }

    /// What its relative paths are relative to; empty: the working folder.
    pub fn folder(&self) -> &Path {
        &self.source.folder
    }

    /// Looks at the files that the config names, and gives what will be left out; the error holds all that would keep a
    /// node from working, such as a key that others can read. Reads files, and changes none. A key file of the node that
    /// is not there yet is made when the node starts.
    pub fn inspect(&self) -> Result<Vec<ConfigProblem>, ConfigError> {
        let mut left_out = self.inspect_one()?;
        for other in &self.others {
            left_out.extend(other.inspect_one()?);
        }
        Ok(left_out)
    }

    fn inspect_one(&self) -> Result<Vec<ConfigProblem>, ConfigError> {
        let identity = files::inspect_identity(self.settings.identity.as_deref());
        let identity = identity.map(|message| (message, self.source.identity.clone()));
        let own = identity.into_iter().chain(self.inspect_trust());
        files::report(&self.source.text, &self.layers, self.folder(), own)
    }

    /// What is wrong with the file of trusted peers, if there is one.
    fn inspect_trust(&self) -> Option<(String, Option<Range<usize>>)> {
        let wrong = self.settings.trust.file().and_then(|file| file.map(|file| file.read()).transpose()).err()?;
        Some((wrong.to_string(), self.source.trusted_file.clone()))
    }

    /// As [`Plan::inspect`], of the plug-ins that a node which runs `old` would not go on with; the identity stays.
    pub fn inspect_after(&self, old: &Stack) -> Result<Vec<ConfigProblem>, ConfigError> {
        let new = self.layers.iter().filter(|plugin| plugin.unchanged_in(old, &files::read(plugin)).is_none());
        let same_file = self.settings.trust.trusted_file == old.settings.trust.trusted_file;
        let own = if same_file { None } else { self.inspect_trust() };
        files::report(&self.source.text, new, self.folder(), own)
    }

    /// The plug-ins of one layer, most wanted first.
    pub fn layer(&self, layer: Layer) -> impl Iterator<Item = &PlannedPlugin> {
        self.layers.iter().filter(move |plugin| plugin.layer == layer)
    }

    /// What a node runs. Notes what the files hold that the options name.
    pub fn stack(mut self) -> Stack {
        for plugin in &mut self.layers {
            plugin.content = files::read(plugin);
        }
        self.into_stack()
    }

    fn into_stack(self) -> Stack {
        let mut stack = Stack { settings: self.settings.clone(), ..Stack::default() };
        for plugin in &self.layers {
            stack.parts.append(plugin.parts.clone());
        }
        stack.plan = Some(Arc::new(self));
        stack
    }

    /// As [`Plan::stack`], with the plug-ins of `old` wherever nothing about them was changed, in the text or in the files
    /// that it names: they keep what they know. What code had added to `old` is added again; see [`Stack::add`].
    pub fn stack_after(mut self, old: &Stack) -> Stack {
        for plugin in &mut self.layers {
            plugin.content = files::read(plugin);
            if let Some(same) = plugin.unchanged_in(old, &plugin.content) {
                plugin.parts = same.clone();
            }
        }
        let mut stack = self.into_stack();
        stack.add(old.code());
        stack
    }

    /// What is wrong with `identity`, with its place.
    pub fn identity_problem(&self, message: String) -> ConfigError {
        self.problem(self.source.identity.clone(), message)
    }

    /// What is wrong with the listen address number `index`, with its place.
    pub fn listen_problem(&self, index: usize, message: String) -> ConfigError {
        self.problem(self.source.listen.get(index).cloned(), message)
    }

    fn problem(&self, span: Option<Range<usize>>, message: String) -> ConfigError {
        ConfigError::new(&self.source.text, vec![Problem { span, message, help: None }])
    }
}

impl PlannedPlugin {
    /// The plug-in in `old` that this one, with files that hold `content`, would only repeat.
    fn unchanged_in<'a>(&self, old: &'a Stack, content: &[Content]) -> Option<&'a Parts> {
        let same = |other: &&PlannedPlugin| {
            (other.layer, other.name, &other.options) == (self.layer, self.name, &self.options)
                && other.files.iter().map(|(file, _)| file).eq(self.files.iter().map(|(file, _)| file))
                && other.content == content
        };
        old.plan.iter().flat_map(|plan| &plan.layers).find(same).map(|other| &other.parts)
    }

    pub(crate) fn new(descriptor: &'static Descriptor, parts: Parts, implied: bool) -> Self {
        let summary = &descriptor.summary;
        Self {
            layer: summary.layer,
            name: summary.name,
            package: descriptor.package,
            summary: summary.summary,
            ids: summary.ids,
            reaches: summary.capabilities.reaches,
            implied,
            parts,
            options: toml::Table::new(),
            files: Vec::new(),
            content: Vec::new(),
            descriptor,
        }
    }
}

/// The resolved stack as a listing.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            identity,
            data_dir,
            listen,
            external,
            agent,
            trust,
            limits,
            rates,
            gate,
            timeouts,
            book,
            connectivity,
        } = &self.settings;
        match &*self.name == networks::DEFAULT_NETWORK {
            true => writeln!(f, "node")?,
            false => writeln!(f, "network {}", self.name)?,
        }
        match identity {
            Some(path) => writeln!(f, "  identity    {}", path.display())?,
            None => writeln!(f, "  identity    a fresh key at every start")?,
        }
        match data_dir {
            Some(path) => writeln!(f, "  data        {}", path.display())?,
            None => writeln!(f, "  data        in memory")?,
        }
        match listen.as_slice() {
            [] => writeln!(f, "  listen      nowhere, dials only")?,
            addresses => {
                for address in addresses {
                    writeln!(f, "  listen      {address}")?;
                }
            }
        }
        external.iter().try_for_each(|address| writeln!(f, "  external    {address}"))?;
        writeln!(f, "  agent       {agent}")?;
        writeln!(f, "  trust       {}", trust.authentication.name())?;
        writeln!(
            f,
            "  limits      {} connections ({} per peer, {} per host, {} per subnet), {} streams each ({} per peer, {} per protocol, {} in all), {} arriving ({} per host), {} dials",
            limits.max_connections,
            limits.max_connections_per_peer,
            limits.max_connections_per_host,
            limits.max_connections_per_subnet,
            limits.max_streams_per_connection,
            limits.max_streams_per_peer,
            limits.max_streams_per_protocol,
            limits.max_streams,
            limits.max_pending_incoming,
            limits.max_pending_incoming_per_host,
            limits.max_pending_dials
        )?;
        let mib = |bytes: u64| format!("{} MiB", bytes as f64 / f64::from(1 << 20));
        let all = limits.max_memory.map_or_else(|| "a quarter of the machine's, at most 512 MiB".into(), mib);
        writeln!(
            f,
            "  memory      {} per connection, {} per peer, {} per host, {all} in all",
            mib(limits.max_memory_per_connection),
            mib(limits.max_memory_per_peer),
            mib(limits.max_memory_per_host)
        )?;
        writeln!(f, "  rates       {rates}")?;
        if !gate.is_open() {
            writeln!(f, "  gate        {gate}")?;
        }
        writeln!(
            f,
            "  peers       {} known ({} addresses each), {}, {} banned",
            book.max_peers,
            book.max_addresses,
            mib(book.max_bytes),
            book.max_bans
        )?;
        write!(
            f,
            "  timeouts    dial {:?}, handshake {:?}, negotiation {:?}, drain {:?}, stalled write {:?}, shutdown {:?}, next address after {:?}, ",
            timeouts.dial,
            timeouts.handshake,
            timeouts.negotiation,
            timeouts.drain,
            timeouts.write_stall,
            timeouts.shutdown,
            timeouts.dial_attempt_delay
        )?;
        match timeouts.idle {
            Some(idle) => writeln!(f, "idle {idle:?}")?,
            None => writeln!(f, "idle connections are kept")?,
        }
        if *connectivity != Connectivity::default() {
            writeln!(f, "  connects    {connectivity}")?;
        }
        for layer in Self::LAYERS {
            let mut plugins = self.layer(layer).enumerate().peekable();
            if plugins.peek().is_none() {
                continue;
            }
            writeln!(f, "{layer}")?;
            for (i, plugin) in plugins {
                let implied = if plugin.implied { "  (by default)" } else { "" };
                writeln!(f, "  {}. {:<12} {}{implied}", i + 1, plugin.name, plugin.summary)?;
            }
        }
        self.others.iter().try_for_each(|other| write!(f, "\n{other}"))
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Plan");
        shown.field("name", &self.name).field("settings", &self.settings).field("layers", &self.layers);
        shown.field("others", &self.others).finish()
    }
}

impl fmt::Debug for PlannedPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.layer, self.name, self.package)
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("Plan", 4)?;
        s.serialize_field("name", &self.name)?;
        s.serialize_field("settings", &self.settings)?;
        s.serialize_field("layers", &self.layers)?;
        match self.others.is_empty() {
            true => s.skip_field("networks")?,
            false => s.serialize_field("networks", &self.others)?,
        }
        s.end()
    }
}

impl Serialize for PlannedPlugin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("PlannedPlugin", 6)?;
        s.serialize_field("layer", &self.layer)?;
        s.serialize_field("name", self.name)?;
        s.serialize_field("package", self.package)?;
        s.serialize_field("summary", self.summary)?;
        s.serialize_field("ids", self.ids)?;
        s.serialize_field("implied", &self.implied)?;
        s.end()
    }
}
