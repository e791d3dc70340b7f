//! Whom a node trusts: accounts and peers with their keys, in a set that can be replaced while connections are made.

mod file;
mod options;
mod set;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{
    Error, Kind, PublicKey, Result, SecurityContext,
    trust::{Trust, TrustedPeer},
};
use stackwire_plugin::Finding;

pub use options::TrustedConfig;
pub(crate) use options::account;
pub(crate) use set::TrustedSet;

use file::TrustedFile;

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

/// What trusted peers are known by, which decides what an entry must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBy {
    /// Identity keys: XX.
    Identity,
    /// Static keys: IX.
    Key,
    /// Static keys and account ids of so many bytes: IK.
    Account(usize),
}

impl KnownBy {
    fn check(self, peer: &TrustedPeer) -> Result<()> {
        let wrong = |why: &str| Err(Error::new(Kind::ConfigInvalid, format!("the trusted peer {peer}: {why}")));
        if self == KnownBy::Identity {
            return match peer.peer.is_none() && peer.keys.is_empty() {
                true => wrong("nothing tells it from others: give its libp2p peer id or `keys`"),
                false => Ok(()),
            };
        }
        if peer.keys.is_empty() {
            return wrong("it has no X25519 key: list its `keys`");
        }
        if peer.peer.as_ref().is_some_and(|peer| PublicKey::of_peer(peer).is_none()) {
            return wrong("its peer id is the hash of a key, and the key must be in it: leave the peer id out");
        }
        match (self, &peer.account) {
            (KnownBy::Account(width), Some(account)) if account.as_bytes().len() != width => {
                wrong(&format!("accounts have {width} bytes here, by the option `peer_id`"))
            }
            _ => Ok(()),
        }
    }
}

/// The source of what the option `trusted` lists.
const CONFIG: &str = "config";
/// The source of what the file lists.
const FILE: &str = "file";

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
        let listed: Vec<TrustedPeer> = listed.iter().map(|entry| entry.parse(known_by)).collect::<Result<_>>()?;
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
    let wrong = file.and_then(|path| TrustedFile::inspect(path.clone(), known_by).err());
    Vec::from_iter(wrong.map(|error| Finding::error("trusted_file", error)))
}

/// Somebody is not in the set.
fn refused(why: String) -> Error {
    Error::new(Kind::AuthenticationFailed, why)
}
