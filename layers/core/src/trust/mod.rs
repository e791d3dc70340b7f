//! Whom a node trusts: peers with their keys and roles, fed by several sources and swapped at once.

mod account;
mod own_role;
mod peers;
mod role;
mod roles;

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use account::AccountId;
pub use own_role::OwnRole;
pub use peers::{TrustedPeer, TrustedPeers};
pub use role::PeerRole;
pub use roles::Roles;

use crate::{Error, Kind, Result};

/// Sources that one handle takes.
const MAX_SOURCES: usize = 16;
/// Peers that all sources may list together.
const MAX_PEERS: usize = 100_000;
/// Keys that one entry may have.
const MAX_KEYS: usize = 64;

/// The trusted peers of a node or of a plug-in: a handle that is cheap to clone, on one state that all clones share.
///
/// Each source (a config, a file, a chain's validator set) replaces its own part; the state is what all sources list
/// together, see [`TrustedPeers`]. Handshakes take the state as it is when they check it. Connections that exist are not
/// looked at again: whoever minds waits for [`Trust::changed`].
///
/// ```
/// use stackwire_core::trust::{PeerRole, Trust, TrustedPeer};
///
/// let trust = Trust::default();
/// let validator = TrustedPeer { keys: [[9; 32]].into(), role: PeerRole::Validator, ..TrustedPeer::default() };
/// trust.replace("chain", [validator]).unwrap();
/// assert_eq!(trust.current().holders(&[9; 32]).next().unwrap().role, PeerRole::Validator);
/// ```
#[derive(Clone, Default)]
pub struct Trust(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// What each source lists, in the order in which sources came.
    sources: Mutex<Vec<(String, Vec<TrustedPeer>)>>,
    current: watch::Sender<Arc<TrustedPeers>>,
}

impl Trust {
    /// Replaces what `source` lists, at once; nothing that other sources list changes. An empty list removes the source.
    ///
    /// Fails with `LimitExceeded`, and changes nothing, beyond 16 sources, 100 000 peers of all sources, or 64 keys of one
    /// entry.
    pub fn replace(&self, source: &str, peers: impl IntoIterator<Item = TrustedPeer>) -> Result<()> {
        // One more than there can be shows that it is too many. Not under the lock, as the iterator is somebody else's.
        let peers: Vec<TrustedPeer> = peers.into_iter().take(MAX_PEERS + 1).collect();
        let mut sources = self.0.sources.lock();
        let others: usize = sources.iter().filter(|(name, _)| name != source).map(|(_, peers)| peers.len()).sum();
        check("trusted peers", peers.len() + others, MAX_PEERS)?;
        for peer in &peers {
            check("keys of a trusted peer", peer.keys.len(), MAX_KEYS)?;
        }
        match sources.iter().position(|(name, _)| name == source) {
            Some(index) if peers.is_empty() => drop(sources.remove(index)),
            Some(index) => sources[index].1 = peers,
            None if peers.is_empty() => return Ok(()),
            None => {
                check("sources of trusted peers", sources.len() + 1, MAX_SOURCES)?;
                sources.push((source.to_owned(), peers));
            }
        }
        // Under the lock, so that two sources do not overwrite each other's part.
        let revision = self.0.current.borrow().revision() + 1;
        let all = TrustedPeers::new(revision, sources.iter().flat_map(|(_, peers)| peers));
        self.0.current.send_replace(Arc::new(all));
        Ok(())
    }

    /// The state as it is now. Whoever has it keeps it.
    pub fn current(&self) -> Arc<TrustedPeers> {
        self.0.current.borrow().clone()
    }

    /// Waits for a state that is newer than the one of revision `seen`, and returns the newest. States in between may be
    /// skipped. Cancel-safe.
    pub async fn changed(&self, seen: u64) -> Arc<TrustedPeers> {
        let mut states = self.0.current.subscribe();
        match states.wait_for(|state| state.revision() > seen).await {
            Ok(state) => state.clone(),
            // The sender is in our own hands, so it does not end.
            Err(_) => self.current(),
        }
    }
}

fn check(limit: &'static str, is: usize, max: usize) -> Result<()> {
    match is <= max {
        true => Ok(()),
        false => Err(Error::new(Kind::LimitExceeded { limit, max: max as u64 }, "replacing a trusted set")),
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}
