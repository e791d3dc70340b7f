//! A plug-in's description of itself.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use stackwire_core::{Layer, Result};

use crate::{Capabilities, FileOption, Finding, Fixture, NamedFile, Options, Parts, Problem, deserialize};

/// A config type that can build its plug-in.
///
/// The type's serde form is what configs may say, its doc comments are the options' documentation, and its `Default`
/// is what a bare `use = "…"` means. Use `#[serde(default, deny_unknown_fields)]`.
pub trait Plugin: DeserializeOwned + JsonSchema + Default + 'static {
    /// What it is.
    const SUMMARY: Summary;

    /// Makes the plug-in's parts, one of them in the layer of [`Plugin::SUMMARY`]. **No side effects**: no file, socket, thread or task; those belong to the plug-in's own
    /// methods. Fails with `ConfigInvalid` where options contradict each other, naming the fix.
    fn build(self) -> Result<Parts>;

    /// The files that the options name. A config's relative paths are made those of its folder by this before the
    /// plug-in is built; a file whose content has changed makes its plug-in a changed one when a config is taken anew.
    fn files(&mut self) -> Vec<FileOption<'_>> {
        Vec::new()
    }

    /// Looks at the files that the options name and says what would fail, or be left out, once they are used. Reads and
    /// changes nothing else. Called only where [`Plugin::files`] names some.
    fn inspect(&self) -> Vec<Finding> {
        Vec::new()
    }
}

/// What a plug-in says about itself, in constants.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Its layer: where its section stands in a config. A plug-in with [more parts](Summary::parts) stands in the layer that
    /// users look for it in.
    pub layer: Layer,
    /// The name configs use, lower case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The ids it answers to on the wire; for transports, the address forms it takes, such as `/tcp`.
    pub ids: &'static [&'static str],
    /// Its parts in other layers, and the ids that they answer to.
    pub parts: &'static [(Layer, &'static [&'static str])],
    /// Its options in TOML, commented, as a user would write them under `use = "…"`.
    pub example: &'static str,
    /// What it can and cannot do.
    pub capabilities: Capabilities,
    /// How tests make it; the first is the default. Empty: by its default config, for transports none.
    pub fixtures: &'static [Fixture],
}

impl Summary {
    /// A summary with defaults for the rest.
    pub const fn new(layer: Layer, name: &'static str, summary: &'static str) -> Self {
        Self {
            layer,
            name,
            summary,
            ids: &[],
            parts: &[],
            example: "",
            capabilities: Capabilities::DEFAULT,
            fixtures: &[],
        }
    }

    /// Sets the wire ids.
    pub const fn ids(mut self, ids: &'static [&'static str]) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the parts in other layers, with their wire ids.
    pub const fn parts(mut self, parts: &'static [(Layer, &'static [&'static str])]) -> Self {
        self.parts = parts;
        self
    }

    /// Every layer that it has a part in, with the ids that it answers to there.
    pub fn all_ids(&self) -> impl Iterator<Item = (Layer, &'static [&'static str])> {
        std::iter::once((self.layer, self.ids)).chain(self.parts.iter().copied())
    }

    /// Sets the example options.
    pub const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// Sets the capabilities.
    pub const fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Sets the fixtures.
    pub const fn fixtures(mut self, fixtures: &'static [Fixture]) -> Self {
        self.fixtures = fixtures;
        self
    }
}

/// What a plug-in is made of, and the files that its options name.
pub type PartsWithFiles = (Parts, Vec<NamedFile>);

/// A registered plug-in.
pub struct Descriptor {
    /// What it says about itself.
    pub summary: Summary,
    /// The package that registered it.
    pub package: &'static str,
    schema: fn() -> schemars::Schema,
    build: fn(Options<'_>, &Path) -> Result<PartsWithFiles, Problem>,
    inspect: fn(toml::Table, &Path) -> Vec<Finding>,
}

inventory::collect!(Descriptor);

impl Descriptor {
    /// Describes `P`, which lives in `package`. Called by [`register!`](crate::register).
    pub const fn of<P: Plugin>(package: &'static str) -> Self {
        Self { summary: P::SUMMARY, package, schema: schema::<P>, build: build::<P>, inspect: inspect::<P> }
    }

    /// The JSON schema of its options.
    pub fn schema(&self) -> schemars::Schema {
        (self.schema)()
    }

    /// Builds it from options. No side effects. The problem says where in the text it lies.
    pub fn build(&self, options: Options<'_>) -> Result<Parts, Problem> {
        Ok(self.build_in(options, Path::new(""))?.0)
    }

    /// As [`Descriptor::build`], with relative paths taken from `folder`; gives the files that the options name, too.
    pub fn build_in(&self, options: Options<'_>, folder: &Path) -> Result<PartsWithFiles, Problem> {
        (self.build)(options, folder)
    }

    /// What is wrong with the files that options name, which it reads. Options that don't build have nothing wrong.
    pub fn inspect(&self, options: &toml::Table, folder: &Path) -> Vec<Finding> {
        (self.inspect)(options.clone(), folder)
    }

    /// Builds it from options as text.
    pub fn build_from(&self, options: &str) -> Result<Parts, Problem> {
        self.build(crate::parse_options(options)?)
    }

    /// The fixtures, or one with the default options where it names none.
    pub fn fixtures(&self) -> Vec<Fixture> {
        match self.summary.fixtures {
            [] if self.summary.layer == Layer::Transport => Vec::new(),
            [] => vec![Fixture { label: self.summary.name, options: "", listen: "" }],
            fixtures => fixtures.to_vec(),
        }
    }
}

fn schema<P: Plugin>() -> schemars::Schema {
    schemars::schema_for!(P)
}

fn build<P: Plugin>(options: Options<'_>, folder: &Path) -> Result<PartsWithFiles, Problem> {
    let span = options.span();
    let mut config: P = deserialize(options)?;
    let files = placed(&mut config, folder);
    let parts = config.build().map_err(|error| Problem { span: Some(span), message: error.to_string(), help: None })?;
    Ok((parts, files))
}

fn inspect<P: Plugin>(options: toml::Table, folder: &Path) -> Vec<Finding> {
    let Ok(mut config) = options.try_into::<P>() else { return Vec::new() };
    placed(&mut config, folder);
    config.inspect()
}

/// Makes the files of a config those of `folder`, and lists them.
fn placed<P: Plugin>(config: &mut P, folder: &Path) -> Vec<NamedFile> {
    let place = |file: FileOption<'_>| {
        *file.path = folder.join(&*file.path);
        NamedFile { option: file.option, path: file.path.clone(), watched: file.watched }
    };
    config.files().into_iter().map(place).collect()
}
