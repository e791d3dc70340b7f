//! One scope: its counts, and the scopes that it belongs to.

use std::sync::{
    OnceLock, Weak,
    atomic::{AtomicIsize, AtomicUsize, Ordering, fence},
};

use parking_lot::RwLock;

use super::{Allowance, Budget, Resource, told};
use crate::{Error, Kind};

/// Is told that a scope is over its limit. It is called by whoever charges, under the locks of that: it wakes somebody, and
/// looks at nothing.
pub type OnExcess = dyn Fn() + Send + Sync;

pub(super) struct Scope {
    counts: [Count; 3],
    pub(super) parent: Budget,
    /// A second scope that it belongs to, once that is known, and the bytes that this one knows of.
    beside: OnceLock<(Budget, AtomicIsize)>,
    tell: RwLock<Vec<Weak<OnExcess>>>,
}

struct Count {
    limit: &'static str,
    max: AtomicUsize,
    /// Below zero for a moment where a release overtakes the charge of another thread.
    held: AtomicIsize,
}

impl Count {
    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed).max(0) as usize
    }

    fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    fn exceeded(&self, during: &'static str) -> Error {
        Error::new(Kind::LimitExceeded { limit: self.limit, max: self.max() as u64 }, during)
    }
}

impl Scope {
    pub(super) fn new(allowance: Allowance, parent: Budget) -> Self {
        let count = |resource| {
            let (limit, max) = allowance.of(resource);
            Count { limit, max: AtomicUsize::new(max), held: AtomicIsize::new(0) }
        };
        Self { counts: Resource::ALL.map(count), parent, beside: OnceLock::new(), tell: RwLock::default() }
    }

    fn count(&self, resource: Resource) -> &Count {
        &self.counts[resource as usize]
    }

    fn memory(&self) -> &Count {
        self.count(Resource::Memory)
    }

    pub(super) fn allow(&self, allowance: Allowance) {
        for resource in Resource::ALL {
            self.count(resource).max.store(allowance.of(resource).1, Ordering::Relaxed);
        }
    }

    pub(super) fn held(&self, resource: Resource) -> usize {
        self.count(resource).held()
    }

    pub(super) fn limit(&self, resource: Resource) -> (&'static str, usize) {
        let count = self.count(resource);
        (count.limit, count.max())
    }

    /// By how many bytes this scope is over its limit.
    pub(super) fn excess(&self) -> usize {
        self.memory().held().saturating_sub(self.memory().max())
    }

    pub(super) fn exceeded(&self) -> Error {
        self.memory().exceeded("holding bytes that wait to be sent or read")
    }

    /// The scopes that this one belongs to.
    pub(super) fn above(&self) -> [&Budget; 2] {
        static NONE: Budget = Budget(None);
        [&self.parent, self.beside.get().map_or(&NONE, |(beside, _)| beside)]
    }

    /// Belongs to `other`, too, with all that it holds. `false` if it has a second scope already.
    pub(super) fn join(&self, other: &Budget) -> bool {
        // What is counted one by one is taken there first. Reservations of before are given back there as well.
        let joined = self.beside.set((other.clone(), AtomicIsize::new(0))).is_ok();
        if joined {
            for resource in [Resource::Streams, Resource::Descriptors] {
                other.add(resource, self.held(resource));
            }
            self.tell_beside();
        }
        joined
    }

    /// Holds so many bytes more, or fewer. The bytes that the parents are to be told of.
    pub(super) fn change(&self, bytes: isize) -> isize {
        let before = self.memory().held.fetch_add(bytes, Ordering::Relaxed);
        // Each step is told by the change that crosses it, so that the sum is right whatever the order of changes.
        let step = told(before + bytes) - told(before);
        if step != 0 {
            self.tell_beside();
        }
        step
    }

    /// Has the second scope know what this one holds. Whoever comes last sees the newest: it looks again after it has told.
    fn tell_beside(&self) {
        fence(Ordering::SeqCst);
        let Some((beside, known)) = self.beside.get() else { return };
        loop {
            let held = told(self.memory().held.load(Ordering::SeqCst));
            let before = known.swap(held, Ordering::SeqCst);
            beside.change(held - before);
            if told(self.memory().held.load(Ordering::SeqCst)) == held {
                return;
            }
        }
    }

    /// Takes so many of `resource`, if that leaves this scope within its limit. Those above are asked by the caller.
    pub(super) fn take(&self, resource: Resource, many: usize) -> Result<(), Error> {
        let count = self.count(resource);
        let max = isize::try_from(count.max()).unwrap_or(isize::MAX);
        let more = |held: isize| held.checked_add_unsigned(many).filter(|after| *after <= max);
        match count.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(count.exceeded("taking what is limited")),
        }
    }

    pub(super) fn add(&self, resource: Resource, many: usize) {
        self.count(resource).held.fetch_add(many as isize, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, resource: Resource, many: usize) {
        self.count(resource).held.fetch_sub(many as isize, Ordering::Relaxed);
    }

    pub(super) fn on_excess(&self, tell: Weak<OnExcess>) {
        let mut all = self.tell.write();
        all.retain(|known| known.strong_count() > 0);
        all.push(tell);
    }

    pub(super) fn tell_of_excess(&self) {
        if self.excess() > 0 {
            self.tell.read().iter().filter_map(Weak::upgrade).for_each(|tell| tell());
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.parent.change(-told(self.memory().held.load(Ordering::Relaxed)));
        if let Some((beside, known)) = self.beside.take() {
            beside.change(-known.load(Ordering::Relaxed));
        }
    }
}
