//! Whom a node trusts: accounts and peers with their keys, in a set that can be replaced while connections are made.

mod account;
mod file;
mod options;
mod set;

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Env, Error, Kind, PublicKey, Result};
use stackwire_plugin::Finding;

pub use account::AccountId;
pub use options::TrustedConfig;
pub(crate) use set::TrustedSet;
pub use set::{TrustedPeer, TrustedPeers};

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

/// The trusted set of a plug-in, and where it comes from.
pub(crate) struct Trust {
    peers: TrustedPeers,
    pub authentication: Authentication,
    file: Option<TrustedFile>,
}

impl Trust {
    /// The set of these entries and of the file, which is first read at the first handshake. Fails with `ConfigInvalid`
    /// where an entry is malformed.
    pub fn new(
        listed: &[TrustedConfig],
        file: Option<PathBuf>,
        authentication: Authentication,
        known_by: KnownBy,
    ) -> Result<Self> {
        let listed: Vec<TrustedPeer> = listed.iter().map(|entry| entry.parse(known_by)).collect::<Result<_>>()?;
        let peers = TrustedPeers::new(listed.clone());
        let file = file.map(|path| TrustedFile::new(path, listed, known_by));
        Ok(Self { peers, authentication, file })
    }

    /// The handle by which code replaces the set.
    pub fn peers(&self) -> &TrustedPeers {
        &self.peers
    }

    /// The set as it is now, with what the file says. Fails with `ConfigInvalid` as long as the file could never be
    /// read; later a file that is broken changes nothing.
    pub fn current(&self, env: &Env) -> Result<Arc<TrustedSet>> {
        if let Some(file) = &self.file {
            file.refresh(&self.peers, env)?;
        }
        Ok(self.peers.current())
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
