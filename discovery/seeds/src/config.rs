//! Options of `seeds`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{FileOption, Finding, Parts, Plugin, Summary};

use crate::{Seeds, file, list};

pub(crate) const NAME: &str = "seeds";

/// Options of `seeds`. Without `peers` and `file` it volunteers nobody.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SeedsConfig {
    /// Addresses, with or without `/p2p/<peer>` at the end.
    pub peers: Vec<String>,
    /// A file with one address a line; `#` begins a comment. It need not exist yet. At most 1 MiB.
    pub file: Option<PathBuf>,
    /// Seconds between two looks at the file, at least 1.
    #[schemars(range(min = 1, max = 86400))]
    pub interval_secs: u64,
    /// Seconds until everything is volunteered again, so that lost seeds are tried again; 0: never.
    #[schemars(range(min = 0, max = 2_592_000))]
    pub reannounce_secs: u64,
}

impl Default for SeedsConfig {
    fn default() -> Self {
        Self { peers: Vec::new(), file: None, interval_secs: 5, reannounce_secs: 60 }
    }
}

impl Plugin for SeedsConfig {
    const SUMMARY: Summary = Summary::new(Layer::Discovery, NAME, "candidates from a list and from a watched file")
        .example(
            "peers = []             # such as \"/dns4/seed.example/tcp/4001/p2p/12D3Koo…\"\n\
             # file = \"seeds.txt\"  # one address a line; watched\n\
             interval_secs = 5      # between two looks at the file\n\
             reannounce_secs = 60   # until everything is volunteered again; 0: never\n",
        );

    fn build(self) -> Result<Parts> {
        if self.interval_secs == 0 {
            return Err(invalid("interval_secs = 0 would never stop looking at the file: say 1 or more"));
        }
        let parse =
            |entry: &String| list::parse(entry).map_err(|e| invalid(format!("an entry of peers: {}", e.during())));
        Ok(Parts::new().discovery(Arc::new(Seeds {
            list: self.peers.iter().map(parse).collect::<Result<_>>()?,
            file: self.file,
            interval: Duration::from_secs(self.interval_secs),
            reannounce: (self.reannounce_secs > 0).then(|| Duration::from_secs(self.reannounce_secs)),
        })))
    }

    fn files(&mut self) -> Vec<FileOption<'_>> {
        Vec::from_iter(FileOption::watched("file", &mut self.file))
    }

    fn inspect(&self) -> Vec<Finding> {
        let Some(path) = &self.file else { return Vec::new() };
        let shown = path.display();
        match file::inspect(path) {
            Ok(wrong) if wrong.count == 0 => Vec::new(),
            Ok(wrong) => vec![Finding::warning("file", format!("seeds of {shown} are left out: {wrong}"))],
            Err(error) => vec![Finding::error("file", format!("the file of seeds {shown} can't be used: {error}"))],
        }
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::ConfigInvalid, message).at(Layer::Discovery, NAME)
}
