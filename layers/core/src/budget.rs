//! How much memory may be held for others: a tree of scopes, such as node, host and connection.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicIsize, Ordering},
    },
};

use crate::{Error, Kind, Multiaddr, Result};

const STEP: isize = 16 * 1024;

/// A scope of bytes that are held: what has arrived and is not read, what was accepted and is not sent. Cheap to clone;
/// clones are the same scope.
///
/// Bytes that are there can't be refused, so that charging never fails. The owner of a scope that is over its limit gives
/// something up: a muxer ends the stream that holds most, a node closes the connection that does.
///
/// A scope tells its parent in steps of [`Budget::STEP`], so that small amounts that come and go touch one counter. A
/// parent misses less than one step of each child and never counts more than there is.
#[derive(Clone, Default)]
pub struct Budget(Option<Arc<Scope>>);

struct Scope {
    limit: &'static str,
    max: usize,
    /// Below zero for a moment where a release overtakes the charge of another thread.
    held: AtomicIsize,
    parent: Budget,
    tell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Budget {
    /// The bytes that a scope tells its parent at once.
    pub const STEP: usize = STEP as usize;

    /// A scope that allows everything and counts nothing.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A scope of its own for `max` bytes. `limit` is the name of that limit, as the config spells it.
    pub fn root(limit: &'static str, max: usize) -> Self {
        Self::unlimited().child(limit, max)
    }

    /// A scope in this one. What it holds, this one holds too. What it still holds when its last clone is dropped, it
    /// gives back.
    #[must_use]
    pub fn child(&self, limit: &'static str, max: usize) -> Self {
        let (held, parent) = (AtomicIsize::new(0), self.clone());
        Self(Some(Arc::new(Scope { limit, max, held, parent, tell: OnceLock::new() })))
    }

    /// Has `tell` called after each charge that reaches this scope and leaves it over its limit. It is called by whoever
    /// charges, under the locks of that: it wakes somebody, and looks at nothing. Only the first call counts.
    pub fn on_excess(&self, tell: impl Fn() + Send + Sync + 'static) {
        if let Some(scope) = &self.0 {
            let _first = scope.tell.set(Box::new(tell));
        }
    }

    /// Holds so many bytes more, if this scope and those above stay within their limits; else fails with `LimitExceeded`.
    /// For memory that is about to be taken, not for bytes that are there already.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation> {
        let reservation = Reservation { scope: self.clone(), bytes };
        self.charge_quietly(bytes);
        // Dropping the reservation gives the bytes back.
        match self.first_over() {
            Some(over) => Err(over.exceeded().while_doing("reserving memory")),
            None => Ok(reservation),
        }
    }

    /// How many bytes more may be held before this scope or one above is over its limit. For what should stop to grow then,
    /// such as windows.
    pub fn room(&self) -> usize {
        self.0.as_ref().map_or(usize::MAX, |scope| scope.max.saturating_sub(scope.held()).min(scope.parent.room()))
    }

    fn charge_quietly(&self, bytes: usize) {
        let Some(scope) = &self.0 else { return };
        let before = scope.held.fetch_add(bytes as isize, Ordering::Relaxed);
        scope.parent.charge_quietly((told(before + bytes as isize) - told(before)) as usize);
    }

    fn first_over(&self) -> Option<&Self> {
        let scope = self.0.as_ref()?;
        if scope.excess() > 0 { Some(self) } else { scope.parent.first_over() }
    }

    /// So many bytes more are held.
    pub fn charge(&self, bytes: usize) {
        self.change(bytes as isize);
    }

    /// So many bytes are held no more. They were charged here before.
    pub fn release(&self, bytes: usize) {
        self.change(-(bytes as isize));
    }

    fn change(&self, bytes: isize) {
        let Some(scope) = &self.0 else { return };
        if bytes == 0 {
            return;
        }
        let before = scope.held.fetch_add(bytes, Ordering::Relaxed);
        let held = before + bytes;
        // Each step is told by the change that crosses it, so that the sum is right whatever the order of changes.
        scope.parent.change(told(held) - told(before));
        if bytes > 0
            && scope.excess() > 0
            && let Some(tell) = scope.tell.get()
        {
            tell();
        }
    }

    /// The bytes that are held. 0 where nothing is counted.
    pub fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |scope| scope.held())
    }

    /// The bytes that may be held. `None`: any number.
    pub fn limit(&self) -> Option<usize> {
        self.0.as_ref().map(|scope| scope.max)
    }

    /// By how much this scope is over its limit. Those above are the business of their owners.
    pub fn excess(&self) -> usize {
        self.0.as_ref().map_or(0, |scope| scope.excess())
    }

    /// Who has to go of those that this scope's bytes are held for: the one that holds most. `None` where the scope is
    /// within its limit, or will be once those have gone that are going. Each holder is its key, its bytes, and whether
    /// it is going.
    pub fn greediest<K>(&self, holders: impl IntoIterator<Item = (K, usize, bool)>) -> Option<K> {
        let excess = self.excess();
        if excess == 0 {
            return None;
        }
        let (mut going, mut most) = (0, None);
        for (key, held, goes) in holders {
            if goes {
                going += held;
            } else if held > most.as_ref().map_or(0, |(_, held)| *held) {
                most = Some((key, held));
            }
        }
        most.filter(|_| excess > going).map(|(key, _)| key)
    }

    /// The error of what is given up because this scope is over its limit.
    pub fn exceeded(&self) -> Error {
        let (limit, max) = self.0.as_ref().map_or(("", usize::MAX), |scope| (scope.limit, scope.max));
        Error::new(Kind::LimitExceeded { limit, max: max as u64 }, "holding bytes that wait to be sent or read")
    }
}

/// Bytes that were [reserved](Budget::reserve). Dropping it gives them back.
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    scope: Budget,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.scope.release(self.bytes);
    }
}

/// What of `held` bytes a parent knows.
fn told(held: isize) -> isize {
    held.div_euclid(STEP) * STEP
}

impl Scope {
    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed).max(0) as usize
    }

    fn excess(&self) -> usize {
        self.held().saturating_sub(self.max)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.parent.change(-told(*self.held.get_mut()));
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Budget(unlimited)"),
            Some(scope) => write!(f, "Budget({} of {} = {})", self.held(), scope.limit, scope.max),
        }
    }
}

/// Makes the scopes of connections that arrive, by where each comes from: for a listener whose transport brings streams
/// along and so has to know the scope before anybody has seen the connection.
#[derive(Clone)]
pub struct Budgets(Arc<dyn Fn(&Multiaddr) -> Budget + Send + Sync>);

impl Budgets {
    /// Scopes that `make` makes. It is called once a connection.
    pub fn new(make: impl Fn(&Multiaddr) -> Budget + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// No limits.
    pub fn unlimited() -> Self {
        Self::new(|_| Budget::unlimited())
    }

    /// The scope of a connection from `remote`.
    pub fn of(&self, remote: &Multiaddr) -> Budget {
        (self.0)(remote)
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::unlimited()
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Budgets")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_scope_holds_what_its_children_do(
            changes in prop::collection::vec((0usize..4, 0usize..100_000, any::<bool>()), 0..200),
        ) {
            let node = Budget::root("node", usize::MAX);
            let hosts = [node.child("host", usize::MAX), node.child("host", usize::MAX)];
            let mut connections: Vec<Budget> = (0..4).map(|n| hosts[n % 2].child("connection", usize::MAX)).collect();
            let mut held = [0; 4];
            for (n, bytes, more) in changes {
                match more {
                    true => (connections[n].charge(bytes), held[n] += bytes),
                    false => (connections[n].release(bytes.min(held[n])), held[n] -= bytes.min(held[n])),
                };
                let steps = |n: usize| held[n] / Budget::STEP * Budget::STEP;
                prop_assert_eq!(connections[n].held(), held[n]);
                prop_assert_eq!(hosts[0].held(), steps(0) + steps(2));
                prop_assert_eq!(hosts[1].held(), steps(1) + steps(3));
                prop_assert_eq!(node.held(), hosts[0].held() + hosts[1].held());
            }
            connections.remove(0);
            prop_assert_eq!(hosts[0].held(), held[2] / Budget::STEP * Budget::STEP);
            drop(connections);
            prop_assert_eq!((hosts[0].held(), hosts[1].held(), node.held()), (0, 0, 0));
        }
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let node = Budget::root("node", usize::MAX);
        let connection = node.child("connection", usize::MAX);
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let connection = &connection;
                scope.spawn(move || {
                    for bytes in 0..10_000 {
                        connection.charge(bytes * thread);
                        connection.release(bytes * thread);
                    }
                    connection.charge(thread * Budget::STEP);
                });
            }
        });
        assert_eq!((connection.held(), node.held()), (10 * Budget::STEP, 10 * Budget::STEP));
    }

    #[test]
    fn steps_are_told_and_crumbs_are_not() {
        let node = Budget::root("node", usize::MAX);
        let connection = node.child("connection", usize::MAX);
        connection.charge(Budget::STEP - 1);
        assert_eq!((connection.held(), node.held()), (Budget::STEP - 1, 0));
        connection.charge(2);
        assert_eq!((connection.held(), node.held()), (Budget::STEP + 1, Budget::STEP));
        connection.release(2);
        assert_eq!(node.held(), 0);
        connection.charge(10 * Budget::STEP);
        let clone = connection.clone();
        drop(connection);
        assert_eq!(node.held(), 10 * Budget::STEP);
        drop(clone);
        assert_eq!(node.held(), 0, "a scope that is gone holds nothing");
    }

    #[test]
    fn the_owner_is_told_of_each_charge_over_the_limit() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let host = Budget::root("limits.max_buffered_per_host", 2 * Budget::STEP);
        host.on_excess(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let (a, b) = (host.child("a", 10), host.child("b", 10));
        a.charge(2 * Budget::STEP);
        assert_eq!((host.excess(), told.load(Ordering::Relaxed)), (0, 0), "at the limit is not over it");
        assert_eq!(a.excess(), 2 * Budget::STEP - 10);
        b.charge(Budget::STEP);
        assert_eq!((host.excess(), told.load(Ordering::Relaxed)), (Budget::STEP, 1));
        b.charge(3 * Budget::STEP);
        assert_eq!(told.load(Ordering::Relaxed), 2);
        a.release(2 * Budget::STEP);
        b.release(2 * Budget::STEP);
        assert_eq!((host.excess(), told.load(Ordering::Relaxed)), (0, 2));
        let error = host.exceeded();
        assert!(error.to_string().contains("limits.max_buffered_per_host = 32768"), "{error}");
    }

    #[test]
    fn the_greediest_goes_unless_enough_is_going() {
        let scope = Budget::root("limit", 10);
        scope.charge(10);
        assert_eq!(scope.greediest([("a", 10, false)]), None, "at the limit is not over it");
        scope.charge(5);
        assert_eq!(scope.greediest([("a", 4, false), ("b", 7, false), ("c", 4, true)]), Some("b"));
        assert_eq!(scope.greediest([("a", 4, false), ("b", 6, false), ("c", 5, true)]), None);
        assert_eq!(scope.greediest([("a", 0, false), ("c", 4, true)]), None, "who holds nothing has nothing to give");
        assert_eq!(Budget::unlimited().greediest([("a", 9, false)]), None);
    }

    #[test]
    fn what_is_reserved_fits_every_scope_above() {
        let node = Budget::root("node", 4 * Budget::STEP);
        let (a, b) = (node.child("a", usize::MAX), node.child("b", 3 * Budget::STEP));
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        node.on_excess(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let first = a.reserve(3 * Budget::STEP).expect("there is room");
        let error = b.reserve(2 * Budget::STEP).err().expect("the node has not so much");
        assert!(error.to_string().contains("node = 65536"), "{error}");
        assert_eq!((b.held(), node.held()), (0, 3 * Budget::STEP), "a refusal leaves nothing behind");
        assert_eq!(told.load(Ordering::Relaxed), 0, "and is nobody's excess");
        drop(first);
        let whole = b.reserve(3 * Budget::STEP).expect("there is room now");
        assert!(b.reserve(1).is_err(), "its own limit counts, too");
        assert_eq!((a.room(), b.room()), (Budget::STEP, 0));
        drop(whole);
        assert_eq!((node.held(), a.room(), Budget::unlimited().room()), (0, 4 * Budget::STEP, usize::MAX));
        let _any = Budget::unlimited().reserve(usize::MAX / 4).expect("it counts nothing");
    }

    #[test]
    fn what_is_unlimited_counts_nothing_and_its_children_count() {
        let unlimited = Budget::unlimited();
        unlimited.charge(1000);
        assert_eq!((unlimited.held(), unlimited.excess(), unlimited.limit()), (0, 0, None));
        let child = unlimited.child("child", 10);
        child.charge(11);
        assert_eq!((child.held(), child.excess(), child.limit()), (11, 1, Some(10)));
    }
}
