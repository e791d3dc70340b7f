//! Counts the round trips that a connection has waited for, by cause and effect.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Round trips of one connection that are told apart.
const MAX_TRIPS: usize = 64;
/// Connections that are remembered, the latest.
const MAX_CONNECTIONS: usize = 4096;

/// Which end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who dialed.
    Client,
    /// Who was dialed.
    Server,
}

/// The round trips of one connection.
///
/// Bytes carry a depth: the client's begin at 0, an answer is one deeper than the deepest bytes that had reached the
/// server when it was sent, and what the client sends next is as deep as the deepest answer that had reached it. So the
/// depth of what reaches the client is the number of round trips in the longest chain of causes before it.
#[derive(Debug)]
pub struct Trips {
    begin: Instant,
    before: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: u32,
    server: u32,
    /// When each round trip was over for the client.
    reached: Vec<Duration>,
}

impl Trips {
    /// Of a connection that begins at `begin`, with those that its transport makes before anybody may speak.
    pub fn begin(begin: Instant, before: &[Duration]) -> Self {
        Self { begin, before: before.len(), state: Mutex::new(State { reached: before.to_vec(), ..State::default() }) }
    }

    /// How deep bytes are that `end` sends now.
    pub fn sent(&self, end: End) -> u32 {
        let state = self.state.lock();
        if end == End::Client { state.client } else { state.server }
    }

    /// Bytes of that depth have reached `end`.
    pub fn arrived(&self, end: End, depth: u32) {
        let mut state = self.state.lock();
        match end {
            End::Server => state.server = state.server.max(depth + 1),
            End::Client => {
                state.client = state.client.max(depth);
                if state.reached.len() < (self.before + depth as usize).min(MAX_TRIPS) {
                    let now = self.begin.elapsed();
                    state.reached.push(now);
                }
            }
        }
    }

    /// When, in milliseconds from the beginning, each round trip was over for the client.
    pub fn reached_ms(&self) -> Vec<f64> {
        self.state.lock().reached.iter().map(|at| at.as_secs_f64() * 1e3).collect()
    }
}

/// The trips of the latest connections, oldest first.
#[derive(Default)]
pub struct Ledger(Mutex<std::collections::VecDeque<Arc<Trips>>>);

impl Ledger {
    /// Opens an account for a connection; see [`Trips::begin`].
    pub fn begin(&self, at: Instant, before: &[Duration]) -> Arc<Trips> {
        let trips = Arc::new(Trips::begin(at, before));
        let mut all = self.0.lock();
        if all.len() == MAX_CONNECTIONS {
            all.pop_front();
        }
        all.push_back(trips.clone());
        trips
    }

    /// For each connection what [`Trips::reached_ms`] says.
    pub fn reached_ms(&self) -> Vec<Vec<f64>> {
        self.0.lock().iter().map(|trips| trips.reached_ms()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that reach the other end at once.
    fn pass(trips: &Trips, from: End) {
        let depth = trips.sent(from);
        trips.arrived(if from == End::Client { End::Server } else { End::Client }, depth);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_an_answer_is_one_deeper() {
        let trips = Trips::begin(Instant::now(), &[]);
        for expected in 1..=3 {
            pass(&trips, End::Client);
            tokio::time::advance(Duration::from_millis(10)).await;
            pass(&trips, End::Server);
            assert_eq!(trips.reached_ms().len(), expected);
        }
        assert_eq!(trips.reached_ms(), [10.0, 20.0, 30.0]);
    }

    #[tokio::test]
    async fn what_nobody_waited_for_is_no_round_trip() {
        let trips = Trips::begin(Instant::now(), &[]);
        pass(&trips, End::Server);
        assert!(trips.reached_ms().is_empty(), "the server spoke first");
        for _ in 0..3 {
            pass(&trips, End::Client);
        }
        pass(&trips, End::Server);
        pass(&trips, End::Server);
        assert_eq!(trips.reached_ms().len(), 1, "several writes each way are one");
        let client = trips.sent(End::Client);
        let server = trips.sent(End::Server);
        trips.arrived(End::Server, client);
        trips.arrived(End::Client, server);
        assert_eq!(trips.reached_ms().len(), 1, "they crossed on their way");
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let ledger = Ledger::default();
        let first = ledger.begin(Instant::now(), &[]);
        for _ in 0..MAX_TRIPS + 10 {
            pass(&first, End::Client);
            pass(&first, End::Server);
        }
        assert_eq!(first.reached_ms().len(), MAX_TRIPS);
        for _ in 0..MAX_CONNECTIONS {
            ledger.begin(Instant::now(), &[]);
        }
        assert_eq!(ledger.reached_ms().len(), MAX_CONNECTIONS);
    }
}
