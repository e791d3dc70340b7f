//! Reads a config, section by section, and gathers what is wrong with it.

use std::{cell::LazyCell, collections::BTreeMap, ops::Range, path::Path};

use serde::{Deserialize, de::IntoDeserializer};
use stackwire_core::{Layer, ProtocolId};
use stackwire_plugin::{
    Catalogue, Descriptor, MAX_PROBLEMS, Options, Problem, Reach, check, deserialize, parse_options, schemars, shorten,
    suggest,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Plan, PlannedPlugin, Settings, connectivity, keys, listen, networks, plan::Source, trust};

/// The longest config that is read, in bytes. It is some thousand times what a node needs; files beyond it are no
/// configs, and each byte of text costs about thirty bytes of memory while it is read.
pub const MAX_CONFIG: usize = 4 << 20;
/// Sections of one layer: several times what is linked.
const MAX_SECTIONS: usize = 64;

/// The plug-ins of a layer whose sections a config leaves out, where they are linked.
fn implied(layer: Layer) -> &'static [&'static str] {
    match layer {
        Layer::Negotiator => &["multistream"],
        Layer::Routing => &["direct"],
        Layer::Protocol => &["identify", "ping"],
        _ => &[],
    }
}

/// Whether a stack whose transports reach at least `reach` can't do without `layer`.
fn needed(layer: Layer, reach: Reach) -> bool {
    match layer {
        Layer::Transport | Layer::Negotiator => true,
        Layer::Security => reach < Reach::Secured,
        Layer::Muxer => reach < Reach::Multiplexed,
        _ => false,
    }
}

/// The plan of a config, which is that of its first network and has those of the others, or everything that is wrong with it.
pub fn plan(folder: &Path, text: &str, catalogue: &Catalogue) -> Result<Plan, Vec<Problem>> {
    if text.len() > MAX_CONFIG {
        let message = format!("the config has {} bytes; it may have at most {MAX_CONFIG}", text.len());
        return Err(vec![Problem { span: None, message, help: None }]);
    }
    let document = parse_options(text).map_err(|problem| vec![problem])?.into_inner();
    let mut problems = Vec::new();
    let mut networks = Vec::new();
    for (name, sections) in networks::split(document, &mut problems) {
        let (plan, found) = network(folder, text, catalogue, &name, sections);
        problems.extend(found);
        networks.push(plan);
    }
    for other in networks.iter().skip(1) {
        let data_dir = &other.settings.data_dir;
        if data_dir.is_some() && *data_dir != networks[0].settings.data_dir {
            let message = format!("network `{}` has a `data_dir` of its own, and a node has one", other.name);
            let help = format!("write it below network `{}`, the first one", networks[0].name);
            problems.push(Problem { span: None, message, help: Some(help) });
        }
    }
    problems.truncate(MAX_PROBLEMS);
    let mut networks = networks.into_iter();
    match networks.next() {
        Some(first) if problems.is_empty() => Ok(Plan { others: networks.collect(), ..first }),
        _ => Err(problems),
    }
}

/// The plan of one network, and what is wrong with it.
fn network(
    folder: &Path,
    text: &str,
    catalogue: &Catalogue,
    name: &str,
    mut document: DeTable<'_>,
) -> (Plan, Vec<Problem>) {
    let mut reader = Reader { text, folder, catalogue, reach: Reach::Raw, problems: Vec::new() };
    let connectivity = connectivity::written(&document);
    let (identity, trusted_file) =
        (place_in_node(&document, "identity"), place_in_node(&document, "trust.trusted_file"));

    reader.unknown_sections(&document);
    let (mut settings, addresses) = reader.node(document.remove("node"));
    let mut layers = Vec::new();
    let mut addressed_are_good = true;
    for layer in Plan::LAYERS {
        let before = reader.problems.len();
        layers.extend(reader.layer(layer, document.remove(layer.name())));
        if matches!(layer, Layer::Transport | Layer::Negotiator | Layer::Security | Layer::Muxer) {
            addressed_are_good &= reader.problems.len() == before;
        }
        if layer == Layer::Transport {
            reader.reach = layers.iter().map(|plugin| plugin.reaches).min().unwrap_or(Reach::Raw);
        }
    }
    reader.problems.extend(conflicts(&layers));
    let discoveries: Vec<&str> = layers.iter().filter(|it| it.layer == Layer::Discovery).map(|it| it.name).collect();
    reader.problems.extend(connectivity.map(|it| it.problems(&settings, &discoveries)).unwrap_or_default());
    // A plug-in that was misspelt would make the addresses that speak of it look wrong, too.
    if addressed_are_good {
        reader.problems.extend(listen::untaken(&addresses, &layers, catalogue));
        reader.problems.extend(listen::doubles(&addresses, &layers, text));
    }
    let listen = addresses.iter().map(|address| address.span()).collect();
    let source = Source { text: text.into(), folder: folder.into(), identity, trusted_file, listen };
    settings.identity = settings.identity.map(|path| folder.join(path));
    settings.data_dir = settings.data_dir.map(|path| folder.join(path));
    settings.trust.trusted_file = settings.trust.trusted_file.map(|path| folder.join(path));
    settings.listen = addresses.into_iter().map(|address| address.into_inner()).collect();

    (Plan { name: name.into(), settings, layers, source, others: Vec::new() }, reader.problems)
}

/// Where an option of `[node]` stands.
fn place_in_node(document: &DeTable<'_>, option: &str) -> Option<Range<usize>> {
    match document.get("node")?.get_ref() {
        DeValue::Table(node) => keys::place_of(node, option),
        _ => None,
    }
}

/// Plug-ins that can't be in one stack.
fn conflicts(layers: &[PlannedPlugin]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem =
        |message, help: &str| problems.push(Problem { span: None, message, help: Some(help.to_string()) });
    let mut ids: BTreeMap<(Layer, ProtocolId), &str> = BTreeMap::new();
    for plugin in layers {
        let securities = plugin.parts.securities.iter().map(|security| (Layer::Security, security.id()));
        let muxers = plugin.parts.muxers.iter().map(|muxer| (Layer::Muxer, muxer.id()));
        for (layer, id) in securities.chain(muxers) {
            if let Some(other) = ids.insert((layer, id.clone()), plugin.name) {
                let message = format!("{layer} `{other}` and {layer} `{}` both answer to {id}", plugin.name);
                problem(message, "keep one of them");
            }
        }
    }
    if let Some(protector) = layers.iter().find(|plugin| plugin.layer == Layer::Protector) {
        for transport in layers.iter().filter(|p| p.layer == Layer::Transport && p.reaches > Reach::Raw) {
            let message = format!(
                "transport `{}` brings its own security, so protector `{}` can't hide it",
                transport.name, protector.name
            );
            problem(message, "leave the transport out of a private network");
        }
    }
    let mut negotiators = layers.iter().flat_map(|plugin| &plugin.parts.negotiators).peekable();
    if negotiators.peek().is_some() && !negotiators.any(|negotiator| negotiator.chooses()) {
        let message = "no negotiator of this config can choose the protocols of streams".to_string();
        problem(message, "add `[[negotiator]]` with `use = \"multistream\"`");
    }
    problems
}

struct Reader<'a> {
    text: &'a str,
    /// What relative paths are relative to.
    folder: &'a Path,
    catalogue: &'a Catalogue,
    /// How high all transports reach.
    reach: Reach,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, span: Option<Range<usize>>, message: String, help: impl Into<Option<String>>) {
        if !self.is_full() {
            self.problems.push(Problem { span, message, help: help.into() });
        }
    }

    /// Enough is wrong: more is not looked for.
    fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    fn unknown_sections(&mut self, document: &DeTable<'_>) {
        let known: Vec<&str> = std::iter::once("node").chain(Plan::LAYERS.map(Layer::name)).collect();
        // Made for a mistake only: it costs more than all the rest of reading a config.
        let schema = LazyCell::new(|| schemars::schema_for!(Settings));
        let of_node = |name: &str| schema.pointer("/properties").is_some_and(|all| all.get(name).is_some());
        for (section, value) in document.iter() {
            let name = section.get_ref().as_ref();
            if !known.contains(&name) && !self.is_full() {
                let help = match value.get_ref() {
                    DeValue::Table(_) if of_node(name) => format!("write it as `[node.{name}]`"),
                    _ if of_node(name) => "put it under `[node]`".to_string(),
                    _ => suggest(name, known.iter().copied()),
                };
                self.problem(Some(section.span()), format!("unknown section `{}`", shorten(name)), help);
            }
        }
    }

    fn node(&mut self, section: Option<Spanned<DeValue<'_>>>) -> (Settings, Vec<Spanned<stackwire_core::Multiaddr>>) {
        let Some(section) = section else { return Default::default() };
        let span = section.span();
        let DeValue::Table(mut table) = section.into_inner() else {
            self.problem(Some(span), "`node` is not a section".into(), "write `[node]`".to_string());
            return Default::default();
        };
        let mut addresses = |list: &listen::AddressList| {
            table.remove(list.name).map(|value| listen::read(list, value, &mut self.problems)).unwrap_or_default()
        };
        let (listen, external) = (addresses(&listen::LISTEN), addresses(&listen::EXTERNAL));
        let schema = schemars::schema_for!(Settings);
        let written = table.clone();
        let settings = self.build(Spanned::new(span, table), &schema, deserialize::<Settings>);
        if let Some(settings) = &settings {
            trust::check(&written, &settings.trust, &mut self.problems);
        }
        let mut settings = settings.unwrap_or_default();
        settings.external = external.into_iter().map(Spanned::into_inner).collect();
        (settings, listen)
    }

    fn layer(&mut self, layer: Layer, sections: Option<Spanned<DeValue<'_>>>) -> Vec<PlannedPlugin> {
        let Some(sections) = sections else { return self.omitted(layer) };
        let span = sections.span();
        let DeValue::Array(sections) = sections.into_inner() else {
            let help = format!("write `[[{layer}]]`, once for each plug-in, the most wanted first");
            self.problem(Some(span), format!("`{layer}` is not a list of sections"), help);
            return Vec::new();
        };
        if sections.is_empty() && needed(layer, self.reach) {
            self.missing(layer, Some(span.clone()));
        }
        if sections.len() > MAX_SECTIONS {
            let message = format!("{} sections of `{layer}`; there may be at most {MAX_SECTIONS}", sections.len());
            self.problem(Some(span), message, None);
            return Vec::new();
        }
        let mut seen = BTreeMap::new();
        sections.into_iter().filter_map(|section| self.section(layer, section, &mut seen)).collect()
    }

    fn omitted(&mut self, layer: Layer) -> Vec<PlannedPlugin> {
        if needed(layer, self.reach) && implied(layer).is_empty() {
            self.missing(layer, None);
        }
        let mut plugins = Vec::new();
        for name in implied(layer) {
            let Some(descriptor) = self.find(layer, name) else { continue };
            match descriptor.build_from("") {
                Ok(parts) => plugins.push(PlannedPlugin::new(descriptor, parts, true)),
                Err(problem) => self.problem(None, format!("{layer} `{name}`, used by default: {problem}"), None),
            }
        }
        plugins
    }

    fn missing(&mut self, layer: Layer, span: Option<Range<usize>>) {
        let help = format!("add `[[{layer}]]` with `use = \"…\"`; {}", self.available("", layer));
        self.problem(span, format!("no {layer}: a stack needs at least one"), help);
    }

    /// One `[[layer]]` section.
    fn section(
        &mut self,
        layer: Layer,
        section: Spanned<DeValue<'_>>,
        seen: &mut BTreeMap<&'static str, usize>,
    ) -> Option<PlannedPlugin> {
        let span = section.span();
        let DeValue::Table(mut options) = section.into_inner() else {
            self.problem(Some(span), format!("not a section of `{layer}`"), format!("write `[[{layer}]]`"));
            return None;
        };
        let Some(name) = options.remove("use") else {
            let help = format!("add `use = \"…\"`; {}", self.available("", layer));
            self.problem(Some(span), format!("`[[{layer}]]` does not say which"), help);
            return None;
        };
        let DeValue::String(text) = name.get_ref() else {
            let help = format!("write `use = \"…\"`; {}", self.available("", layer));
            self.problem(Some(name.span()), "`use` is not a name in quotes".into(), help);
            return None;
        };
        let Some(descriptor) = self.find(layer, text) else {
            let help = match self.catalogue.named(text).next() {
                Some(other) => format!("it is a {0}: write it under `[[{0}]]`", other.summary.layer),
                None => self.available(text, layer),
            };
            self.problem(Some(name.span()), format!("{layer} `{}` is not linked", shorten(text)), help);
            return None;
        };
        let line = self.text.get(..name.span().start).unwrap_or_default().matches('\n').count() + 1;
        if let Some(first) = seen.insert(descriptor.summary.name, line) {
            let help = format!("it is already used on line {first}");
            self.problem(Some(name.span()), format!("{layer} `{text}` is used twice"), help);
        }
        let options = Spanned::new(span, options);
        let written = options.clone();
        let folder = self.folder;
        let (parts, files) = self.build(options, &descriptor.schema(), |o| descriptor.build_in(o, folder))?;
        let mut plugin = PlannedPlugin::new(descriptor, parts, false);
        let place = |option: &str| keys::place_of(written.get_ref(), option);
        let placed = files.into_iter().map(|file| {
            let place = place(file.option);
            (file, place)
        });
        plugin.files = placed.collect();
        plugin.options = toml::Table::deserialize(written.into_deserializer()).unwrap_or_default();
        Some(plugin)
    }

    /// Makes something of options, or notes everything that is wrong with them.
    fn build<T>(
        &mut self,
        mut options: Options<'_>,
        schema: &schemars::Schema,
        make: impl Fn(Options<'_>) -> Result<T, Problem>,
    ) -> Option<T> {
        let before = self.problems.len();
        check(options.get_mut(), schema, &mut self.problems);
        loop {
            if self.is_full() {
                return None;
            }
            let problem = match make(options.clone()) {
                Ok(made) => return (self.problems.len() == before).then_some(made),
                Err(problem) => problem,
            };
            // A wrong value hides those behind it: take it out and look again.
            let taken = problem.span.as_ref().is_some_and(|span| keys::take_at(options.get_mut(), span));
            // What is wrong with the options as a whole may come of one that was taken out.
            if taken || self.problems.len() == before {
                self.problems.push(problem);
            }
            if !taken {
                return None;
            }
        }
    }

    fn find(&self, layer: Layer, name: &str) -> Option<&'static Descriptor> {
        self.catalogue.layer(layer).find(|descriptor| descriptor.summary.name == name)
    }

    fn available(&self, wrong: &str, layer: Layer) -> String {
        suggest(wrong, self.catalogue.layer(layer).map(|descriptor| descriptor.summary.name))
    }
}
