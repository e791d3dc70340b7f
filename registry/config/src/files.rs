//! The files that a config names: what they hold, and what is wrong with them.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    ops::Range,
    path::Path,
};

use stackwire_plugin::{Finding, Problem};

use crate::{ConfigError, ConfigProblem, PlannedPlugin};

/// Of a file that is longer, a change is told by its size.
const MAX_READ: u64 = 16 << 20;

/// What a file held, in few bytes; `None` where it could not be read.
pub type Content = Option<u64>;

/// What the files hold that the options of a plug-in name, but those that it watches itself.
pub fn read(plugin: &PlannedPlugin) -> Vec<Content> {
    plugin.files.iter().filter(|(file, _)| !file.watched).map(|(file, _)| content(&file.path)).collect()
}

fn content(path: &Path) -> Content {
    let mut hash = DefaultHasher::new();
    match stackwire_files::read(path, MAX_READ) {
        Ok(bytes) => bytes.hash(&mut hash),
        Err(_) => std::fs::metadata(path).ok()?.len().hash(&mut hash),
    }
    Some(hash.finish())
}

/// What is wrong with the key file of a node, if there is one.
pub fn inspect_identity(path: Option<&Path>) -> Option<String> {
    let path = path?;
    match path.try_exists() {
        Ok(false) => None,
        _ => stackwire_files::load_key_file(path).err().map(|error| error.to_string()),
    }
}

/// What the plug-ins have to tell of their files, and what is wrong with those of the node's `own` options, with its place.
pub fn report<'a>(
    text: &str,
    plugins: impl IntoIterator<Item = &'a PlannedPlugin>,
    folder: &Path,
    own: impl IntoIterator<Item = (String, Option<Range<usize>>)>,
) -> Result<Vec<ConfigProblem>, ConfigError> {
    let problem = |message, span| Problem { span, message, help: None };
    let mut fatal: Vec<Problem> = own.into_iter().map(|(message, span)| problem(message, span)).collect();
    let mut warnings = Vec::new();
    for plugin in plugins {
        if plugin.files.is_empty() {
            continue;
        }
        for Finding { option, message, fatal: is_fatal } in plugin.descriptor.inspect(&plugin.options, folder) {
            let place =
                plugin.files.iter().find(|(file, _)| file.option == option).and_then(|(_, place)| place.clone());
            let list = if is_fatal { &mut fatal } else { &mut warnings };
            list.push(problem(message, place));
        }
    }
    match fatal.is_empty() {
        true => Ok(ConfigError::new(text, warnings).problems),
        false => Err(ConfigError::new(text, fatal)),
    }
}
