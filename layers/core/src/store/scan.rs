//! Looking at many entries, a page at a time.

use std::ops::{Bound, RangeBounds};

use bytes::Bytes;

use super::{MAX_PAGE, MAX_PAGE_BYTES};
use crate::Result;

/// The first and the last key of a scan.
pub type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Which entries to look at, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    from: Bound<Bytes>,
    to: Bound<Bytes>,
    limit: usize,
}

impl Scan {
    /// All entries.
    pub fn all() -> Self {
        Self { from: Bound::Unbounded, to: Bound::Unbounded, limit: MAX_PAGE }
    }

    /// Entries whose keys begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        // The first key behind them is the prefix with its last byte raised. A byte of 0xff can't be raised, so the one
        // before it is.
        let kept = prefix.iter().rposition(|byte| *byte != u8::MAX);
        let to = kept.map(|last| {
            let mut to = prefix[..=last].to_vec();
            to[last] += 1;
            Bytes::from(to)
        });
        let from = Bound::Included(Bytes::copy_from_slice(prefix));
        Self { from, to: to.map_or(Bound::Unbounded, Bound::Excluded), ..Self::all() }
    }

    /// Entries whose keys are in `range`.
    pub fn range<'a>(range: impl RangeBounds<&'a [u8]>) -> Self {
        let owned = |bound: Bound<&&[u8]>| bound.map(|key| Bytes::copy_from_slice(key));
        Self { from: owned(range.start_bound()), to: owned(range.end_bound()), ..Self::all() }
    }

    /// At most so many entries in each page; 1 to [`MAX_PAGE`], and taken as the nearest of these.
    #[must_use]
    pub fn limit(mut self, entries: usize) -> Self {
        self.limit = entries.clamp(1, MAX_PAGE);
        self
    }

    /// The bounds of the keys; `None` where no key can be within them. For implementations.
    pub fn bounds(&self) -> Option<KeyBounds<'_>> {
        use Bound::{Excluded, Included, Unbounded};
        let holds = match (&self.from, &self.to) {
            (Unbounded, _) | (_, Unbounded) => true,
            (Included(from), Included(to)) => from <= to,
            (Included(from) | Excluded(from), Included(to) | Excluded(to)) => from < to,
        };
        let bounds = (self.from.as_ref().map(|key| &key[..]), self.to.as_ref().map(|key| &key[..]));
        holds.then_some(bounds)
    }

    /// The page that `entries` begin with: those within [`Scan::bounds`], in order. For implementations.
    pub fn page(&self, entries: impl Iterator<Item = Result<(Bytes, Bytes)>>) -> Result<Page> {
        let (mut page, mut bytes) = (Page::default(), 0);
        for entry in entries {
            let (key, value) = entry?;
            if page.entries.len() == self.limit || bytes >= MAX_PAGE_BYTES {
                let after = page.entries.last().map(|(key, _)| Bound::Excluded(key.clone()));
                page.next = after.map(|from| Self { from, ..self.clone() });
                break;
            }
            bytes += key.len() + value.len();
            page.entries.push((key, value));
        }
        Ok(page)
    }
}

/// A part of a scan's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, in the order of the keys.
    pub entries: Vec<(Bytes, Bytes)>,
    /// The scan that goes on behind them; `None`: there were no more.
    pub next: Option<Scan>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(scan: &Scan, key: &[u8]) -> bool {
        scan.bounds().is_some_and(|bounds| <KeyBounds<'_> as RangeBounds<[u8]>>::contains(&bounds, key))
    }

    proptest! {
        #[test]
        fn a_prefix_holds_what_begins_with_it(
            prefix in proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(254), Just(255_u8)], 0..4),
            key in proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(254), Just(255_u8)], 0..5),
        ) {
            prop_assert_eq!(holds(&Scan::prefix(&prefix), &key), key.starts_with(&prefix));
        }
    }

    #[test]
    fn a_range_that_is_turned_round_holds_nothing() {
        let (a, b) = (&b"a"[..], &b"b"[..]);
        assert_eq!(Scan::range(b..a).bounds(), None);
        assert_eq!(Scan::range(a..a).bounds(), None);
        assert!(holds(&Scan::range(a..=a), a) && holds(&Scan::range(a..b), a) && !holds(&Scan::range(a..b), b));
        let between = Scan::range((Bound::Excluded(a), Bound::Excluded(b)));
        assert!(holds(&between, b"a\0") && !holds(&between, a));
    }
}
