//! A node's side of discovery: what a source vouches for, as the contract of `CandidateSink` has it.

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_core::{Candidate, CandidateSink, Multiaddr, PeerId};
use tokio::sync::Notify;

use crate::in_time;

/// Takes candidates in and remembers which of them their source vouches for. Time does not pass here: nothing expires.
#[derive(Default)]
pub struct FakeSink {
    state: Mutex<State>,
    changed: Notify,
    /// Takes nothing: every call waits, as while a node is busy.
    busy: bool,
}

#[derive(Default)]
struct State {
    vouched: Vec<Candidate>,
    calls: usize,
    strays: Vec<Multiaddr>,
}

impl FakeSink {
    /// A sink that takes everything at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink of a node that is always busy.
    pub fn busy() -> Self {
        Self { busy: true, ..Self::default() }
    }

    /// What the source vouches for now, in the order in which it was first offered.
    pub fn vouched(&self) -> Vec<Candidate> {
        self.state.lock().vouched.clone()
    }

    /// How many calls it took.
    pub fn calls(&self) -> usize {
        self.state.lock().calls
    }

    /// What was withdrawn and had not been offered.
    pub fn strays(&self) -> Vec<Multiaddr> {
        self.state.lock().strays.clone()
    }

    /// Until it has taken so many calls.
    pub async fn called(&self, calls: usize) {
        in_time("a call of the sink", async {
            loop {
                let changed = self.changed.notified();
                if self.calls() >= calls {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    async fn take(&self, change: impl FnOnce(&mut State) + Send) {
        if self.busy {
            std::future::pending::<()>().await;
        }
        {
            let mut state = self.state.lock();
            change(&mut state);
            state.calls += 1;
        }
        self.changed.notify_waiters();
    }
}

impl State {
    fn position(&self, peer: Option<PeerId>, address: &Multiaddr) -> Option<usize> {
        self.vouched.iter().position(|known| known.peer == peer && known.address == *address)
    }

    fn offer(&mut self, candidate: Candidate) {
        match self.position(candidate.peer, &candidate.address) {
            Some(at) => self.vouched[at] = candidate,
            None => self.vouched.push(candidate),
        }
    }
}

#[async_trait]
impl CandidateSink for FakeSink {
    async fn offer(&self, candidate: Candidate) {
        self.take(|state| state.offer(candidate)).await;
    }

    async fn withdraw(&self, peer: Option<PeerId>, address: &Multiaddr) {
        self.take(|state| match state.position(peer, address) {
            Some(at) => drop(state.vouched.remove(at)),
            None => state.strays.push(address.clone()),
        })
        .await;
    }

    async fn replace(&self, candidates: Vec<Candidate>) {
        self.take(|state| {
            let stays =
                |known: &Candidate| candidates.iter().any(|new| new.peer == known.peer && new.address == known.address);
            state.vouched.retain(stays);
            candidates.into_iter().for_each(|candidate| state.offer(candidate));
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use stackwire_core::address::Origin;

    use super::*;

    fn candidate(port: u16) -> Candidate {
        let address = format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("an address");
        Candidate { peer: None, address, source: "test", origin: Origin::Operator, expires_in: None }
    }

    fn ports(sink: &FakeSink) -> Vec<String> {
        sink.vouched().iter().map(|it| it.address.to_string().rsplit('/').next().unwrap_or_default().into()).collect()
    }

    #[tokio::test]
    async fn a_set_is_offered_withdrawn_and_replaced() {
        let sink = FakeSink::new();
        sink.offer(candidate(1)).await;
        sink.offer(candidate(2)).await;
        sink.offer(candidate(1)).await;
        assert_eq!(ports(&sink), ["1", "2"], "to offer again is to renew");
        sink.replace(vec![candidate(3), candidate(2)]).await;
        assert_eq!(ports(&sink), ["2", "3"]);
        sink.withdraw(None, &candidate(2).address).await;
        assert_eq!(ports(&sink), ["3"]);
        assert!(sink.strays().is_empty());
        sink.withdraw(None, &candidate(2).address).await;
        assert_eq!(sink.strays(), [candidate(2).address]);
        sink.replace(Vec::new()).await;
        assert!(sink.vouched().is_empty());
        sink.called(7).await;
        assert_eq!(sink.calls(), 7);
    }
}
