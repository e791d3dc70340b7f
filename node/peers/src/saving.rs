//! Writing the book down, and reading it again.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use stackwire_core::{
    PeerId, Peers, Result, Store,
    store::{Batch, MAX_BATCH_BYTES, MAX_VALUE, Scan},
};

use crate::{
    book::PeerBook,
    bounds::Bounds,
    stored::{Unread, decode, encode},
};

/// The namespace of the store that the book is kept in.
pub const NAMESPACE: &str = "peers";
/// Peers of a batch: the store's other users get their turn.
const MAX_BATCH: usize = 1024;

/// Entries of a store that were not read. Its `Display` is a message for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// A newer version wrote them. They stay in the store.
    pub newer: usize,
    /// They make no sense. They leave the store when the book is next written down.
    pub damaged: usize,
}

impl Skipped {
    /// Whether all was read.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { newer, damaged } = self;
        write!(f, "entries of the peer book were skipped: {newer} of a newer version, {damaged} that are damaged")
    }
}

impl PeerBook {
    /// The book that was written down in `store`, as far as it can be read. Blocks for the reads. Fails where the store does.
    pub fn open(store: &dyn Store, bounds: Bounds, now: Duration) -> Result<(Self, Skipped)> {
        let book = Self::new(bounds.clone());
        let mut skipped = Skipped::default();
        let mut next = Some(Scan::all());
        while let Some(scan) = next {
            let page = store.scan(&scan)?;
            next = page.next;
            let read = |(key, value): &(bytes::Bytes, bytes::Bytes)| {
                let id = PeerId::from_bytes(key).map_err(|_| (None, Unread::Damaged))?;
                decode(id, value, now, &bounds).map_err(|unread| (Some(id), unread))
            };
            // To verify records takes a while: not under the lock.
            let read: Vec<_> = page.entries.iter().map(read).collect();
            book.change(|pages| {
                for entry in read {
                    match entry {
                        Ok((peer, since, learnt)) => pages.restore(peer, since, learnt, now),
                        Err((_, Unread::Version)) => skipped.newer += 1,
                        Err((id, Unread::Damaged)) => {
                            skipped.damaged += 1;
                            pages.unsaved.extend(id);
                        }
                    }
                }
            });
        }
        book.change(|pages| {
            pages.keep_within_bounds();
            pages.facts.clear();
        });
        Ok((book, skipped))
    }

    /// Writes down what has changed. When it returns `Ok`, everything that was in the book when it was called is as durable as
    /// the store is. On an error it stays to be written. Cancel-safe in that nothing is lost: what was not written for sure is
    /// written next time.
    pub async fn save(&self, store: &dyn Store) -> Result<()> {
        let _one_at_a_time = self.saving.lock().await;
        let mut round = Round { book: self, left: self.pages.lock().take_unsaved() };
        while let Some((batch, written)) = round.batch() {
            store.apply(batch).await?;
            round.left.retain(|id| !written.contains(id));
        }
        Ok(())
    }

    /// Waits until there is something to write down, for one who waits. Cancel-safe.
    pub async fn needs_saving(&self) {
        while self.pages.lock().unsaved.is_empty() {
            self.unsaved.notified().await;
        }
    }

    /// Waits until there is something to write down at once, for one who waits. Cancel-safe.
    pub async fn needs_saving_at_once(&self) {
        while !self.pages.lock().urgent {
            self.urgent.notified().await;
        }
    }
}

/// What was written down in `store`, as far as it can be read: of a node that does not run. Fails where the store does.
pub fn read(store: &dyn Store, now: Duration) -> Result<(Arc<Peers>, Skipped)> {
    let all = usize::MAX;
    let bounds = Bounds { peers: all, bytes: all, per_source: all, bans: all, addresses: 4096, ..Bounds::default() };
    let (book, skipped) = PeerBook::open(store, bounds, now)?;
    Ok((book.snapshot(), skipped))
}

/// Peers that are being written down. Those that were not, for whatever reason, are unsaved again.
struct Round<'a> {
    book: &'a PeerBook,
    left: BTreeSet<PeerId>,
}

impl Round<'_> {
    /// The next changes, and whom they are about. Each peer as it is now.
    fn batch(&self) -> Option<(Batch, BTreeSet<PeerId>)> {
        let (mut batch, mut ids) = (Batch::new(), BTreeSet::new());
        for id in self.left.iter().take(MAX_BATCH) {
            if batch.bytes() + MAX_VALUE + id.to_bytes().len() > MAX_BATCH_BYTES {
                break;
            }
            let page = self.book.pages.lock().page(id);
            match page.and_then(|(peer, since, learnt)| encode(&peer, &since, learnt)) {
                Some(value) => batch.put(id.to_bytes(), value),
                None => batch.remove(id.to_bytes()),
            };
            ids.insert(*id);
        }
        (!ids.is_empty()).then_some((batch, ids))
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if !self.left.is_empty() {
            let left = std::mem::take(&mut self.left);
            self.book.change(|pages| pages.unsaved.extend(left));
        }
    }
}
