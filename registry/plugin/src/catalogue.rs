//! The plug-ins at hand.

use std::collections::BTreeMap;

use stackwire_core::{Error, Kind, Layer, Result};

use crate::{Descriptor, suggest};

/// Plug-ins by layer and name. A value, not a global: tests make their own.
#[derive(Clone, Default)]
pub struct Catalogue {
    plugins: BTreeMap<(Layer, &'static str), &'static Descriptor>,
}

impl Catalogue {
    /// Everything this program is linked with. Fails where two packages claim the same name or wire id in a layer,
    /// naming both.
    pub fn linked() -> Result<Self> {
        Self::of(inventory::iter::<Descriptor>)
    }

    /// A catalogue of just these.
    pub fn of(descriptors: impl IntoIterator<Item = &'static Descriptor>) -> Result<Self> {
        let mut plugins: BTreeMap<(Layer, &'static str), &'static Descriptor> = BTreeMap::new();
        let mut ids: BTreeMap<(Layer, &'static str), &'static Descriptor> = BTreeMap::new();
        for descriptor in descriptors {
            let summary = &descriptor.summary;
            if let Some(other) = plugins.insert((summary.layer, summary.name), descriptor) {
                return Err(clash(summary.layer, "name", summary.name, other, descriptor));
            }
            for (layer, id) in summary.all_ids().flat_map(|(layer, all)| all.iter().map(move |id| (layer, *id))) {
                if let Some(other) = ids.insert((layer, id), descriptor) {
                    return Err(clash(layer, "id", id, other, descriptor));
                }
            }
        }
        Ok(Self { plugins })
    }

    /// All, sorted by layer and name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Descriptor> {
        self.plugins.values().copied()
    }

    /// Those of one layer, sorted by name.
    pub fn layer(&self, layer: Layer) -> impl Iterator<Item = &'static Descriptor> {
        self.iter().filter(move |d| d.summary.layer == layer)
    }

    /// The plug-in `name` of `layer`; otherwise an error that lists what is there.
    pub fn get(&self, layer: Layer, name: &str) -> Result<&'static Descriptor> {
        self.layer(layer).find(|d| d.summary.name == name).ok_or_else(|| {
            let available = suggest(name, self.layer(layer).map(|d| d.summary.name));
            Error::new(Kind::ConfigInvalid, format!("{layer} `{name}` is not linked; {available}"))
        })
    }

    /// The plug-ins called `name`, in whichever layer.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &'static Descriptor> {
        self.iter().filter(move |d| d.summary.name == name)
    }
}

fn clash(layer: Layer, what: &str, value: &str, a: &Descriptor, b: &Descriptor) -> Error {
    let mut packages = [a.package, b.package];
    packages.sort_unstable();
    Error::new(
        Kind::ConfigInvalid,
        format!(
            "the {layer} {what} `{value}` is claimed by two packages, {} and {}: link one of them",
            packages[0], packages[1]
        ),
    )
}
