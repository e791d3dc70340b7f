//! Keeps what goes to an address that nobody has proven within three times what came from there.
//!
//! QUIC demands it (RFC 9000, section 8.1), and quinn lets a last packet pass whole where any byte is left, which makes
//! up to a third more. So the socket counts, by the ids that a stranger gave itself, and drops what is too much, as a
//! network may. Whoever is there sends more and gets more.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quinn::ConnectionId;
use stackwire_core::Env;

/// First packets that are remembered until their handshake begins. One that is not is answered by a Retry.
const FIRSTS: usize = 256;
/// An id that is shorter may be that of another connection by chance.
const SHORTEST_ID: usize = 4;
/// What may be sent for each byte received.
const FACTOR: usize = 3;
/// How long the packets of a handshake that was given up are still counted: quinn tells the peer, a few times.
const CLOSING: Duration = Duration::from_secs(5);
/// Of so many at most.
const MOST_CLOSING: usize = 1024;
/// QUIC version 1.
const VERSION: [u8; 4] = [0, 0, 0, 1];

/// The addresses of a socket that have proven nothing.
#[derive(Debug)]
pub struct Unproven {
    env: Env,
    /// How many entries there are, so that nobody takes the lock for nothing.
    watched: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    firsts: VecDeque<First>,
    watched: HashMap<SocketAddr, Vec<Watched>>,
    /// Those who were given up, and when they go.
    closing: VecDeque<(Instant, SocketAddr, ConnectionId)>,
}

/// A first packet.
#[derive(Debug)]
struct First {
    remote: SocketAddr,
    ids: Ids,
    len: usize,
}

/// The ids in a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    initial: bool,
    to: ConnectionId,
    from: ConnectionId,
}

#[derive(Debug)]
struct Watched {
    /// The id that packets to the stranger have.
    id: ConnectionId,
    received: usize,
    sent: usize,
}

impl Unproven {
    /// None yet.
    pub fn new(env: Env) -> Self {
        Self { env, watched: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// A datagram has come.
    pub fn received(&self, remote: SocketAddr, datagram: &[u8]) {
        let Some(ids) = Ids::read(datagram) else { return };
        let mut state = self.state.lock();
        let known = state.watched.get_mut(&remote).and_then(|all| all.iter_mut().find(|one| one.id == ids.from));
        if let Some(known) = known {
            known.received += datagram.len();
        } else if ids.initial {
            if state.firsts.len() == FIRSTS {
                state.firsts.pop_front();
            }
            state.firsts.push_back(First { remote, ids, len: datagram.len() });
        }
    }

    /// How much of `datagrams` may go to `remote`, each being `size` bytes long but for the last.
    pub fn allowed(&self, remote: SocketAddr, datagrams: &[u8], size: usize) -> usize {
        if self.watched.load(Ordering::Acquire) == 0 {
            return datagrams.len();
        }
        let mut state = self.state.lock();
        self.forget(&mut state);
        let Some(watched) = state.watched.get_mut(&remote) else { return datagrams.len() };
        let mut allowed = 0;
        for datagram in datagrams.chunks(size.max(1)) {
            if let Some(one) = watched.iter_mut().find(|one| is_to(&one.id, datagram)) {
                if one.sent + datagram.len() > FACTOR * one.received {
                    break;
                }
                one.sent += datagram.len();
            }
            allowed += datagram.len();
        }
        allowed
    }

    /// Begins to count for the handshake whose first packet came from `remote` for `id`. `None` where that packet is not
    /// known any more, or its sender can't be told from others.
    pub fn watch(self: &Arc<Self>, remote: SocketAddr, id: &[u8]) -> Option<Watch> {
        let mut state = self.state.lock();
        self.forget(&mut state);
        let at = state.firsts.iter().rposition(|first| first.remote == remote && *first.ids.to == *id)?;
        let first = state.firsts.remove(at)?;
        let id = first.ids.from;
        let known = state.watched.get(&remote).is_some_and(|all| all.iter().any(|one| one.id == id));
        if id.len() < SHORTEST_ID || known {
            return None;
        }
        state.watched.entry(remote).or_default().push(Watched { id, received: first.len, sent: 0 });
        self.watched.fetch_add(1, Ordering::Release);
        Some(Watch { unproven: self.clone(), remote, id, proven: false })
    }

    fn forget(&self, state: &mut State) {
        while let Some((until, remote, id)) = state.closing.front().copied()
            && until <= self.env.now()
        {
            state.closing.pop_front();
            self.remove(state, remote, id);
        }
    }

    fn remove(&self, state: &mut State, remote: SocketAddr, id: ConnectionId) {
        let Some(watched) = state.watched.get_mut(&remote) else { return };
        let before = watched.len();
        watched.retain(|one| one.id != id);
        self.watched.fetch_sub(before - watched.len(), Ordering::Release);
        if watched.is_empty() {
            state.watched.remove(&remote);
        }
    }
}

/// Whether `datagram` begins with a packet for `id`.
fn is_to(id: &ConnectionId, datagram: &[u8]) -> bool {
    match Ids::read(datagram) {
        Some(ids) => ids.to == *id,
        None => datagram.get(1..).is_some_and(|rest| rest.starts_with(id)),
    }
}

impl Ids {
    /// Reads the beginning of a long header (RFC 9000, section 17.2). `None` for any other packet.
    fn read(datagram: &[u8]) -> Option<Self> {
        let (first, rest) = datagram.split_first()?;
        let rest = rest.strip_prefix(&VERSION).filter(|_| first & 0x80 != 0)?;
        let (to, rest) = id(rest)?;
        let (from, _) = id(rest)?;
        Some(Self { initial: first & 0x30 == 0, to, from })
    }
}

fn id(bytes: &[u8]) -> Option<(ConnectionId, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*len)).filter(|_| *len <= 20)?;
    Some((ConnectionId::new(id), rest))
}

/// Counts as long as it lives, and a little longer.
#[derive(Debug)]
pub struct Watch {
    unproven: Arc<Unproven>,
    remote: SocketAddr,
    id: ConnectionId,
    proven: bool,
}

impl Watch {
    /// Whoever is there has shown that packets reach it.
    pub fn proven(mut self) {
        self.proven = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (unproven, remote, id) = (&self.unproven, self.remote, self.id);
        let mut state = unproven.state.lock();
        if self.proven {
            unproven.remove(&mut state, remote, id);
        } else {
            if state.closing.len() == MOST_CLOSING
                && let Some((_, remote, id)) = state.closing.pop_front()
            {
                unproven.remove(&mut state, remote, id);
            }
            state.closing.push_back((unproven.env.now() + CLOSING, remote, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn long(kind: u8, to: &[u8], from: &[u8], len: usize) -> Vec<u8> {
        let ids = [&[to.len() as u8], to, &[from.len() as u8], from].concat();
        let mut packet = [&[0xc0 | kind << 4], &VERSION[..], &ids].concat();
        packet.resize(len, 0);
        packet
    }

    fn short(to: &[u8], len: usize) -> Vec<u8> {
        let mut packet = [&[0x40], to].concat();
        packet.resize(len, 0);
        packet
    }

    const ID: [u8; 8] = [7; 8];

    fn watched(unproven: &Arc<Unproven>) -> Watch {
        unproven.received(remote(1), &long(0, &[1; 20], &ID, 1200));
        unproven.watch(remote(1), &[1; 20]).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn three_times_what_came_may_go_and_not_a_byte_more() {
        let unproven = Arc::new(Unproven::new(stackwire_conformance::env()));
        let watch = watched(&unproven);
        let flight = [long(0, &ID, &[9; 8], 1200), long(2, &ID, &[9; 8], 1200), short(&ID, 300)].concat();
        assert_eq!(unproven.allowed(remote(1), &flight, 1200), 2700);
        assert_eq!(unproven.allowed(remote(1), &flight, 1200), 0, "900 are left");
        assert_eq!(unproven.allowed(remote(1), &short(&ID, 900), 900), 900);
        assert_eq!(unproven.allowed(remote(1), &short(&ID, 9), 9), 0);
        assert_eq!(unproven.allowed(remote(1), &short(&[8; 8], 5000), 1000), 5000, "another connection of the address");
        assert_eq!(unproven.allowed(remote(2), &flight, 1200), flight.len(), "another address");
        unproven.received(remote(1), &long(0, &[9; 8], &ID, 1200));
        assert_eq!(unproven.allowed(remote(1), &flight, 1200), 2700);
        watch.proven();
        assert_eq!(unproven.allowed(remote(1), &flight.repeat(9), 1200), flight.len() * 9);
        assert_eq!(unproven.watched.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_given_up_is_counted_until_the_close_is_over() {
        let unproven = Arc::new(Unproven::new(stackwire_conformance::env()));
        drop(watched(&unproven));
        assert_eq!(unproven.allowed(remote(1), &short(&ID, 4000), 4000), 0);
        tokio::time::advance(CLOSING).await;
        assert_eq!(unproven.allowed(remote(1), &short(&ID, 4000), 4000), 4000);
        assert!(unproven.state.lock().watched.is_empty());
    }

    #[test]
    fn who_is_not_known_or_can_not_be_told_from_others_is_not_watched() {
        let unproven = Arc::new(Unproven::new(stackwire_conformance::env()));
        let watch = |port, to: &[u8]| unproven.watch(remote(port), to);
        assert!(watch(1, &[1; 20]).is_none());
        unproven.received(remote(1), &long(0, &[1; 20], &[], 1200));
        unproven.received(remote(1), &long(2, &[2; 20], &ID, 1200));
        assert!(watch(1, &[1; 20]).is_none(), "no id");
        assert!(watch(1, &[2; 20]).is_none(), "no first packet");
        for n in 0..2000_u16 {
            unproven.received(remote(n), &long(0, &n.to_be_bytes().repeat(8), &ID, 1200));
        }
        assert_eq!(unproven.state.lock().firsts.len(), FIRSTS);
        assert!(watch(0, &[0; 16]).is_none() && watch(1999, &1999_u16.to_be_bytes().repeat(8)).is_some());
    }

    proptest! {
        #[test]
        fn any_datagrams_are_survived(datagrams: Vec<(bool, Vec<u8>)>, size: usize) {
            let unproven = Arc::new(Unproven::new(stackwire_conformance::env()));
            let _watch = watched(&unproven);
            for (comes, datagram) in datagrams {
                let datagram = [&[0xc0], &VERSION[..], &datagram].concat();
                match comes {
                    true => unproven.received(remote(1), &datagram),
                    false => prop_assert!(unproven.allowed(remote(1), &datagram, size) <= datagram.len()),
                }
            }
        }
    }
}
