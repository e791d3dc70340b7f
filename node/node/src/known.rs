//! Whom a node knew that does not run.

use std::{path::Path, sync::Arc};

use stackwire_core::{Env, Error, Kind, Layer, Peers, Result};
use stackwire_peers::{Bounds, NAMESPACE, Skipped};
use stackwire_store::Storage;

/// Whom the network called `network` of a node knew that keeps what survives in `folder`, and what of that can't be read.
/// Changes nothing. Blocks while it reads.
///
/// Fails with `ConfigInvalid` where there is no such store or network, or a node runs on it, and with `Io` where the store is
/// damaged or can't be read.
pub fn known_peers(folder: &Path, network: &str, env: &Env) -> Result<(Arc<Peers>, Skipped)> {
    let storage = Storage::open_existing(folder)?;
    let namespace = format!("{network}/{NAMESPACE}");
    let there = storage.namespaces();
    if !there.contains(&namespace) {
        let suffix = format!("/{NAMESPACE}");
        let others: Vec<&str> = there.iter().filter_map(|name| name.strip_suffix(&suffix)).collect();
        if others.is_empty() {
            // A node that never knew anybody.
            return Ok(Default::default());
        }
        let words = format!(
            "the store in {} has no peers of network `{network}`; it has: {}",
            folder.display(),
            others.join(", ")
        );
        return Err(Error::new(Kind::ConfigInvalid, words).at(Layer::Node, "peers"));
    }
    let store = storage.namespace(&namespace, Bounds::default().of_store())?;
    stackwire_peers::read(&*store, env.unix_time())
}
