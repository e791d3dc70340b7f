//! Whom a node trusts: accounts and peers with their keys, in a set that can be replaced while connections are made.

mod set;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{
    Error, Kind, Result, SecurityContext,
    trust::{Trust, TrustedPeer},
};
use stackwire_plugin::Finding;

pub(crate) use set::TrustedSet;
pub use stackwire_trust::TrustedConfig;
pub(crate) use stackwire_trust::{KnownBy, account};

use stackwire_trust::TrustedFile;

/// Who must be in the trusted set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// Everyone: whoever dials us and whoever we dial, each with a key of its own.
    Mutual,
    /// Not those who dial us. (`noise-ix`, `noise-ik`: an account that is in the set must have a key of it, and one that
    /// is not must follow from its key.)
    #[default]
    ServerOnly,
}

/// The source of what the option `trusted` lists.
const CONFIG: &str = "config";

/// The trusted set of a plug-in's config, and where it comes from.
pub(crate) struct Configured {
    trust: Trust,
    pub authentication: Authentication,
    file: Option<TrustedFile>,
}

impl Configured {
    /// The set of these entries and of the file, which is first read at the first handshake. Fails with `ConfigInvalid`
    /// where an entry is malformed, `LimitExceeded` where there are too many.
    pub fn new(
        listed: &[TrustedConfig],
        file: Option<PathBuf>,
        authentication: Authentication,
        known_by: KnownBy,
    ) -> Result<Self> {
        let listed: Vec<TrustedPeer> =
            listed.iter().map(|entry| entry.parse_leniently(known_by)).collect::<Result<_>>()?;
        let trust = Trust::default();
        trust.replace(CONFIG, listed)?;
        Ok(Self { trust, authentication, file: file.map(|path| TrustedFile::new(path, known_by)) })
    }

    /// The handle by which code adds to the set.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The set as it is now, with what the file says and what the node trusts. Fails with `ConfigInvalid` as long as the
    /// file could never be read; later a file that is broken changes nothing.
    pub fn current(&self, context: &SecurityContext<'_>) -> Result<TrustedSet> {
        if let Some(file) = &self.file {
            file.refresh(&self.trust, context.env)?;
        }
        Ok(TrustedSet::new(self.trust.current(), context.trust))
    }
}

/// What is wrong with the file of a trusted set.
pub(crate) fn inspect(file: Option<&PathBuf>, known_by: KnownBy) -> Vec<Finding> {
    let wrong = file.and_then(|path| TrustedFile::new(path.clone(), known_by).read().err());
    Vec::from_iter(wrong.map(|error| Finding::error("trusted_file", error)))
}

/// Somebody is not in the set.
fn refused(why: String) -> Error {
    Error::new(Kind::AuthenticationFailed, why)
}
