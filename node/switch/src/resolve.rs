//! Addresses of one dial, from what was named to what can be dialed.
//!
//! All work is bounded: depth 4, 32 look-ups, 16 addresses for each who wants a connection.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stackwire_core::{
    AddressFailure, Env, Error, Kind, Layer, Lookup, Multiaddr, PeerId, Result,
    address::{self, Origin},
};

use crate::{
    lookup::{look_up, unresolved},
    race::Next,
};

#[cfg(test)]
mod tests;

const MAX_DEPTH: usize = 4;
const MAX_LOOKUPS: usize = 32;
/// The most addresses one dial tries, for each who has joined it.
pub(crate) const MAX_ADDRESSES: usize = 16;
/// The most addresses one dial looks at, whoever has joined it.
const MAX_ROOTS: usize = 512;

/// An address of a dial, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) address: Multiaddr,
    pub(crate) origin: Origin,
}

/// An address that can be dialed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Without names, and without `/p2p/…`.
    pub(crate) address: Multiaddr,
    /// Who is to answer, where that is known.
    pub(crate) peer: Option<PeerId>,
    pub(crate) origin: Origin,
}

/// Makes candidates of the addresses of one dial: names are looked up side by side, and each answer is a candidate as
/// soon as it is there. What TLS needs of a name stays as `/sni/<name>`. `peer` picks among the entries of a `/dnsaddr`,
/// which may speak of several peers.
///
/// The filter for where an address may lead stands here, once, behind all names ([`Origin::admits`]).
pub(crate) struct Resolver<'a> {
    lookup: &'a dyn Lookup,
    env: &'a Env,
    /// For one look-up.
    limit: Duration,
    peer: Option<PeerId>,
    /// Where we listen: what answers there is ourselves.
    own: Vec<Multiaddr>,
    ready: VecDeque<Step>,
    failed: VecDeque<AddressFailure>,
    looking: FuturesUnordered<BoxFuture<'a, (Step, Result<Vec<Multiaddr>>)>>,
    roots: Vec<Root>,
    seen: HashSet<(Multiaddr, Option<PeerId>)>,
    lookups: usize,
    /// Candidates that may still be given.
    room: usize,
}

/// An address that was named, and what became of it so far.
struct Root {
    address: Multiaddr,
    /// Whether its candidates come before others.
    first: bool,
    /// Steps that are not done.
    open: usize,
    found: bool,
    failure: Option<Error>,
}

/// One address on the way from a root to its candidates.
struct Step {
    root: usize,
    address: Multiaddr,
    origin: Origin,
    depth: usize,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(env: &'a Env, limit: Duration, peer: Option<PeerId>, own: Vec<Multiaddr>) -> Self {
        Self {
            lookup: env.lookup(),
            env,
            limit,
            peer,
            own,
            ready: VecDeque::new(),
            failed: VecDeque::new(),
            looking: FuturesUnordered::new(),
            roots: Vec::new(),
            seen: HashSet::new(),
            lookups: 0,
            room: MAX_ADDRESSES,
        }
    }

    /// Takes an address in. Literal addresses come out in the order they went in.
    pub(crate) fn add(&mut self, named: Named) {
        self.add_root(named, false);
    }

    /// Takes in what somebody who has just joined has named: its candidates come first.
    pub(crate) fn join(&mut self, named: impl IntoIterator<Item = Named>) {
        self.room = MAX_ADDRESSES;
        named.into_iter().for_each(|named| self.add_root(named, true));
    }

    fn add_root(&mut self, Named { address, origin }: Named, first: bool) {
        let root = self.roots.len();
        // One that only names a peer says nothing about where that is: whoever knows may tell.
        let is_place = !address::split_peer(&address).0.is_empty();
        if root < MAX_ROOTS && is_place {
            self.roots.push(Root { address: address.clone(), first, open: 1, found: false, failure: None });
            self.ready.push_back(Step { root, address, origin, depth: 0 });
        }
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_done(&self) -> bool {
        self.ready.is_empty() && self.failed.is_empty() && self.looking.is_empty()
    }

    /// Waits for the next candidate, or for an address that gives none. `None`: something else has happened. Pends while
    /// nothing is on its way. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Next<Result<Candidate, AddressFailure>>> {
        if let Some(step) = self.ready.pop_front() {
            let first = self.roots[step.root].first;
            let candidate = Ok(self.take(step)?);
            return Some(if first { Next::First(candidate) } else { Next::Last(candidate) });
        }
        if let Some(failure) = self.failed.pop_front() {
            return Some(Next::First(Err(failure)));
        }
        let Some((step, answers)) = self.looking.next().await else { return std::future::pending().await };
        match answers {
            Ok(answers) if step.depth < MAX_DEPTH => {
                self.roots[step.root].open += answers.len();
                let origin = step.origin.resolved();
                for address in answers {
                    self.ready.push_back(Step { root: step.root, address, origin, depth: step.depth + 1 });
                }
            }
            Ok(_) => {}
            Err(error) => self.roots[step.root].failure = Some(error),
        }
        self.done(step.root);
        None
    }

    /// Goes one step: to a candidate, or to a look-up.
    fn take(&mut self, step: Step) -> Option<Candidate> {
        let (bare, named) = address::split_peer(&step.address);
        if self.peer.is_some() && named.is_some() && named != self.peer {
            self.done(step.root);
            return None;
        }
        let peer = named.or(self.peer);
        if address::is_name(&bare) {
            if self.lookups == MAX_LOOKUPS {
                self.done(step.root);
                return None;
            }
            self.lookups += 1;
            let (lookup, env, limit) = (self.lookup, self.env, self.limit);
            let looking = async move {
                let answers = env.timeout(limit, "resolving a name", look_up(lookup, &bare, peer)).await;
                (step, answers)
            };
            self.looking.push(looking.boxed());
            return None;
        }
        let candidate = self.admit(Candidate { address: bare, peer, origin: step.origin });
        let candidate = match candidate {
            Ok(candidate) => {
                self.roots[step.root].found = true;
                let new = self.room > 0 && self.seen.insert((candidate.address.clone(), candidate.peer));
                new.then_some(candidate)
            }
            Err(error) => {
                self.roots[step.root].failure = Some(error);
                None
            }
        };
        self.room -= usize::from(candidate.is_some());
        self.done(step.root);
        candidate
    }

    fn admit(&self, candidate: Candidate) -> Result<Candidate> {
        let Candidate { address, origin, .. } = &candidate;
        let why = match origin {
            _ if self.own.contains(address) => "it is where this node listens itself",
            _ if origin.admits(address) => return Ok(candidate),
            Origin::Peer(_) => "a peer named it, and it leads nearer than that peer is",
            _ => "a name leads there, and only its owner's word stands for it",
        };
        Err(Error::new(Kind::AddressInvalid, format!("{address} is not dialed: {why}")).at(Layer::Node, "dialer"))
    }

    /// One step of a root is done; if it was the last and nothing came of any, that is a failure.
    fn done(&mut self, root: usize) {
        let root = &mut self.roots[root];
        root.open -= 1;
        if root.open == 0 && !root.found {
            let nothing = || unresolved(&root.address.to_string()).caused_by("no usable address in the answers");
            let error = root.failure.take().unwrap_or_else(nothing);
            self.failed.push_back(AddressFailure { address: root.address.clone(), error, reached: false });
        }
    }
}
