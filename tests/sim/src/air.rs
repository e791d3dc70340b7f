//! The network between nodes: who reaches whom, and what was dialed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_core::{BoxPipe, Dial, Dialed, Error, Kind, Listen, Listener, Multiaddr, Result, Stage, Transport};
use tokio::{
    io::copy_bidirectional,
    sync::Notify,
    time::{Instant, sleep},
};

/// Bytes that are on their way in each direction of a connection.
const CAPACITY: usize = 16 << 10;
/// After so long everybody has noticed that a peer has died.
const NOTICED: Duration = Duration::from_secs(300);

/// What lies between the nodes of a simulation. Where it does not carry, dials hang and connections are silent; what was
/// written arrives when it carries again.
#[derive(Clone, Default)]
pub struct Air(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Wakes in order; a `watch` does not.
    changed: Notify,
}

#[derive(Default)]
struct State {
    addresses: BTreeMap<Multiaddr, u32>,
    /// Those who are not on the side of all others.
    apart: BTreeSet<u32>,
    dead: BTreeSet<u32>,
    dials: Vec<(Instant, u32, Option<u32>)>,
}

impl Air {
    /// `transport` as node `number` has it in this air.
    pub fn over(&self, transport: Arc<dyn Transport>, number: u32) -> Arc<dyn Transport> {
        Arc::new(InAir { transport, number, air: self.clone() })
    }

    /// Says that node `number` listens on these addresses (without `/p2p/…`).
    pub fn register(&self, number: u32, addresses: impl IntoIterator<Item = Multiaddr>) {
        self.0.state.lock().addresses.extend(addresses.into_iter().map(|address| (address, number)));
    }

    /// From now on these nodes and all others don't reach each other.
    pub fn part(&self, nodes: impl IntoIterator<Item = u32>) {
        self.0.state.lock().apart = nodes.into_iter().collect();
        self.0.changed.notify_waiters();
    }

    /// Whether nobody is apart.
    pub fn is_whole(&self) -> bool {
        self.0.state.lock().apart.is_empty()
    }

    /// Those who are apart from all others.
    pub fn apart(&self) -> BTreeSet<u32> {
        self.0.state.lock().apart.clone()
    }

    /// Nobody reaches node `number` any more, nor it anybody.
    pub fn kill(&self, number: u32) {
        self.0.state.lock().dead.insert(number);
        self.0.changed.notify_waiters();
    }

    /// Every dial since this was last asked: when, who, and whom, where somebody has ever listened there.
    pub fn take_dials(&self) -> Vec<(Instant, u32, Option<u32>)> {
        std::mem::take(&mut self.0.state.lock().dials)
    }

    /// Whether these two reach each other.
    pub fn reaches(&self, one: u32, other: u32) -> bool {
        let State { apart, dead, .. } = &*self.0.state.lock();
        !dead.contains(&one) && !dead.contains(&other) && apart.contains(&one) == apart.contains(&other)
    }

    fn is_dead(&self, one: u32) -> bool {
        self.0.state.lock().dead.contains(&one)
    }

    /// Waits until it carries between the two, or does not.
    async fn until(&self, one: u32, other: u32, carries: bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.reaches(one, other) == carries {
                return;
            }
            changed.await;
        }
    }

    /// Carries what the ends of a connection say.
    async fn carry(self, (mut near, one): (BoxPipe, u32), (mut far, other): (BoxPipe, u32)) {
        let mut carrying = std::pin::pin!(copy_bidirectional(&mut near, &mut far));
        loop {
            tokio::select! {
                biased;
                _ = self.until(one, other, false) => {}
                // Either end has closed it, and now both are.
                _ = &mut carrying => return,
            }
            if self.is_dead(one) || self.is_dead(other) {
                return sleep(NOTICED).await;
            }
            self.until(one, other, true).await;
        }
    }
}

struct InAir {
    transport: Arc<dyn Transport>,
    number: u32,
    air: Air,
}

#[async_trait]
impl Transport for InAir {
    fn name(&self) -> &'static str {
        self.transport.name()
    }
    fn can_dial(&self, address: &Multiaddr) -> bool {
        self.transport.can_dial(address)
    }
    fn can_listen(&self, address: &Multiaddr) -> bool {
        self.transport.can_listen(address)
    }
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let known = {
            let mut state = self.air.0.state.lock();
            let known = state.addresses.get(dial.address).copied();
            state.dials.push((Instant::now(), self.number, known));
            known
        };
        let Some(other) = known else { return Err(Error::new(Kind::Unreachable, "dialing into the air")) };
        self.air.until(self.number, other, true).await;
        let dialed = self.transport.dial(dial).await?;
        let Stage::Raw(far) = dialed.stage else {
            return Err(Error::new(Kind::Unsupported, "the air carries raw pipes"));
        };
        let (ours, near) = stackwire_transport_memory::pair(CAPACITY);
        tokio::spawn(self.air.clone().carry((Box::new(near), self.number), (far, other)));
        Ok(Dialed { stage: Stage::Raw(Box::new(ours)), ..dialed })
    }
    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        self.transport.listen(listen).await
    }
}
