//! How much may be held for others: a tree of scopes, such as node, network, host and connection.

mod allowance;
mod budgets;
mod scope;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Weak},
};

pub use allowance::{Allowance, Resource};
pub use budgets::Budgets;
pub use scope::OnExcess;

use crate::{Error, Result};
use scope::Scope;

const STEP: isize = 16 * 1024;

/// A scope of what is held for others: bytes that have arrived and are not read or were accepted and are not sent, open
/// streams, descriptors. Cheap to clone; clones are the same scope. What it holds, its parent holds too, and the scope that it
/// has [joined](Budget::join).
///
/// **Memory** is charged. Bytes that are there can't be refused, so that charging never fails. The owner of a scope that is
/// over its limit gives something up: a muxer ends the stream that holds most, a node closes the connection that does. A scope
/// tells those above in steps of [`Budget::STEP`], so that small amounts that come and go touch one counter: they miss less
/// than one step of each child, and never count more than there is. What should grow asks for [`Budget::room`] first.
///
/// **Streams and descriptors** are [taken](Budget::take): the one that would be too many is refused.
#[derive(Clone, Default)]
pub struct Budget(Option<Arc<Scope>>);

impl Budget {
    /// The bytes that a scope tells those above at once.
    pub const STEP: usize = STEP as usize;

    /// A scope that allows everything and counts nothing.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A scope of its own for `max` bytes. `limit` is the name of that limit, as the config spells it.
    pub fn root(limit: &'static str, max: usize) -> Self {
        Self::unlimited().child(limit, max)
    }

    /// A scope in this one for `max` bytes, and any number of streams and descriptors.
    #[must_use]
    pub fn child(&self, limit: &'static str, max: usize) -> Self {
        self.scope(Allowance::UNLIMITED.with(Resource::Memory, limit, max))
    }

    /// A scope in this one. The bytes that it still holds when its last clone is dropped, it gives back.
    #[must_use]
    pub fn scope(&self, allowance: Allowance) -> Self {
        Self(Some(Arc::new(Scope::new(allowance, self.clone()))))
    }

    /// Belongs to `other`, too, with all that it holds: a connection to the scope of its peer, once that is known. `false`
    /// if it has joined one already. To be called while nobody takes streams or descriptors of it.
    pub fn join(&self, other: &Self) -> bool {
        self.0.as_ref().is_some_and(|scope| scope.join(other))
    }

    /// Allows so much from now on. What is held stays.
    pub fn allow(&self, allowance: Allowance) {
        if let Some(scope) = &self.0 {
            scope.allow(allowance);
        }
    }

    /// Has `tell` called after each charge that reaches this scope and leaves it over its limit, as long as somebody holds it.
    pub fn on_excess(&self, tell: Weak<OnExcess>) {
        if let Some(scope) = &self.0 {
            scope.on_excess(tell);
        }
    }

    /// Holds so many bytes more, if this scope and those above stay within their limits; else fails with `LimitExceeded`.
    /// For memory that is about to be taken, not for bytes that are there already.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation> {
        let reservation = Reservation { scope: self.clone(), resource: Resource::Memory, amount: bytes };
        self.charge_quietly(bytes);
        // Dropping the reservation gives the bytes back.
        match self.first_over() {
            Some(over) => Err(over.exceeded().while_doing("reserving memory")),
            None => Ok(reservation),
        }
    }

    /// Takes so many of `resource`, if this scope and those above stay within their limits; else fails with `LimitExceeded`,
    /// and nothing is taken anywhere. Of memory it is [`Budget::reserve`].
    pub fn take(&self, resource: Resource, many: usize) -> Result<Reservation> {
        if resource == Resource::Memory {
            return self.reserve(many);
        }
        self.take_here_and_above(resource, many)?;
        Ok(Reservation { scope: self.clone(), resource, amount: many })
    }

    fn take_here_and_above(&self, resource: Resource, many: usize) -> Result<()> {
        let Some(scope) = &self.0 else { return Ok(()) };
        scope.take(resource, many)?;
        let [parent, beside] = scope.above();
        let above = parent.take_here_and_above(resource, many).and_then(|()| {
            beside.take_here_and_above(resource, many).inspect_err(|_| parent.give_back(resource, many))
        });
        above.inspect_err(|_| scope.give_back(resource, many))
    }

    fn give_back(&self, resource: Resource, many: usize) {
        if let Some(scope) = &self.0 {
            scope.give_back(resource, many);
            scope.above().into_iter().for_each(|above| above.give_back(resource, many));
        }
    }

    fn add(&self, resource: Resource, many: usize) {
        if let Some(scope) = &self.0 {
            scope.add(resource, many);
            scope.above().into_iter().for_each(|above| above.add(resource, many));
        }
    }

    /// How many bytes more may be held before this scope or one above is over its limit. For what should stop to grow then,
    /// such as windows.
    pub fn room(&self) -> usize {
        let Some(scope) = &self.0 else { return usize::MAX };
        let own = scope.limit(Resource::Memory).1.saturating_sub(scope.held(Resource::Memory));
        scope.above().into_iter().map(Self::room).fold(own, usize::min)
    }

    fn charge_quietly(&self, bytes: usize) {
        if let Some(scope) = &self.0 {
            scope.parent.charge_quietly(scope.change(bytes as isize) as usize);
        }
    }

    fn first_over(&self) -> Option<&Self> {
        let scope = self.0.as_ref()?;
        if scope.excess() > 0 { Some(self) } else { scope.above().into_iter().find_map(Self::first_over) }
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
        scope.parent.change(scope.change(bytes));
        if bytes > 0 {
            scope.tell_of_excess();
        }
    }

    /// The bytes that are held. 0 where nothing is counted.
    pub fn held(&self) -> usize {
        self.held_of(Resource::Memory)
    }

    /// How much of `resource` is held. 0 where nothing is counted.
    pub fn held_of(&self, resource: Resource) -> usize {
        self.0.as_ref().map_or(0, |scope| scope.held(resource))
    }

    /// The bytes that may be held. `None`: any number.
    pub fn limit(&self) -> Option<usize> {
        self.limit_of(Resource::Memory).map(|(_, max)| max)
    }

    /// The name of the limit of `resource`, and how much may be held. `None`: any amount.
    pub fn limit_of(&self, resource: Resource) -> Option<(&'static str, usize)> {
        self.0.as_ref().map(|scope| scope.limit(resource)).filter(|(_, max)| *max < usize::MAX)
    }

    /// By how many bytes this scope is over its limit. Those above are the business of their owners.
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
        match &self.0 {
            Some(scope) => scope.exceeded(),
            None => Error::new(crate::Kind::LimitExceeded { limit: "", max: u64::MAX }, "holding bytes"),
        }
    }
}

/// What was [reserved](Budget::reserve) or [taken](Budget::take). Dropping it gives it back.
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    scope: Budget,
    resource: Resource,
    amount: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        match self.resource {
            Resource::Memory => self.scope.release(self.amount),
            counted => self.scope.give_back(counted, self.amount),
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} {})", self.amount, self.resource.name())
    }
}

/// What of `held` bytes those above know.
fn told(held: isize) -> isize {
    held.div_euclid(STEP) * STEP
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit_of(Resource::Memory) {
            Some((limit, max)) => write!(f, "Budget({} of {limit} = {max})", self.held()),
            None => write!(f, "Budget({} of any)", self.held()),
        }
    }
}
