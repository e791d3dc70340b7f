//! Where the peer book begins, and how much it keeps.

use std::sync::Arc;

use stackwire_config::{Book, Settings};
use stackwire_core::{Env, Result, Store};
use stackwire_peers::{Bounds, NAMESPACE, PeerBook};

use crate::stores::Stores;

/// The book of the last run, and where it is written down, if that outlives the process. What can't be read is told in the log.
/// Fails where the store does.
pub(crate) fn open(settings: &Settings, stores: &Stores, env: &Env) -> Result<(PeerBook, Option<Arc<dyn Store>>)> {
    let bounds = bounds(&settings.book);
    let store = stores(NAMESPACE, bounds.of_store())?;
    if !store.is_durable() {
        return Ok((PeerBook::new(bounds), None));
    }
    let (book, skipped) = PeerBook::open(&*store, bounds, env.unix_time())?;
    if !skipped.is_none() {
        tracing::warn!("{skipped}");
    }
    Ok((book, Some(store)))
}

/// How much the config says that the book keeps.
pub(crate) fn bounds(book: &Book) -> Bounds {
    Bounds {
        peers: book.max_peers,
        addresses: book.max_addresses,
        bytes: usize::try_from(book.max_bytes).unwrap_or(usize::MAX),
        per_source: book.max_per_source,
        bans: book.max_bans,
        told: book.told,
        left: book.left,
        ban: book.ban,
    }
}
