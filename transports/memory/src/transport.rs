//! Dialing and listening.

use std::fmt;

use async_trait::async_trait;
use stackwire_core::{
    AddressPart, Dial, Dialed, Error, Incoming, Kind, Layer, Listen, Listener, Multiaddr, Result, Stage, Transport,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    MemoryConfig, NAME,
    numbers::{self, Arriving, Taken},
    pipe::pair,
};

/// Connects nodes of one process; see the crate's description.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    config: MemoryConfig,
}

impl Memory {
    /// A transport with these options. Fails with `ConfigInvalid` where one is out of its range.
    pub fn new(config: MemoryConfig) -> Result<Self> {
        Ok(Self { config: config.check()? })
    }
}

#[async_trait]
impl Transport for Memory {
    fn name(&self) -> &'static str {
        NAME
    }

    /// There is no socket.
    fn descriptors(&self) -> usize {
        0
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        number_of(address).is_some_and(|number| number != 0)
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        number_of(address).is_some()
    }

    /// Connected as soon as the listener's queue has it; there is nothing to wait for, so nothing to cancel.
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let address = dial.address;
        let number = number_of(address).filter(|number| *number != 0).ok_or_else(|| not_ours(address, "dialed"))?;
        let listener = numbers::find(number).ok_or_else(|| nobody(address))?;
        let (ours, theirs) = pair(self.config.capacity as usize);
        let from = numbers::fresh();
        listener.try_send(Arriving { pipe: theirs, from }).map_err(|error| match error {
            TrySendError::Closed(_) => nobody(address),
            TrySendError::Full(_) => {
                let kind = Kind::LimitExceeded { limit: "backlog", max: listener.max_capacity() as u64 };
                Error::new(kind, format!("dialing {address}, whose listener is busy")).at(Layer::Transport, NAME)
            }
        })?;
        Ok(Dialed { stage: Stage::Raw(Box::new(ours)), local: Some(address_of(from)), round_trips: 0 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let address = listen.address;
        let number = number_of(address).ok_or_else(|| not_ours(address, "listened on"))?;
        let (sender, queue) = mpsc::channel(self.config.backlog.into());
        let taken = Taken::take(number, sender).ok_or_else(|| {
            let during = format!(
                "listening on {address}, where something in this process already listens; \
                 take another number, or /memory/0 for a free one"
            );
            Error::new(Kind::AddressInUse, during).at(Layer::Transport, NAME)
        })?;
        Ok(Box::new(MemoryListener { taken, queue }))
    }
}

/// A number that is listened on. The order of the fields matters: no dial finds it while its queue is being dropped.
struct MemoryListener {
    taken: Taken,
    queue: mpsc::Receiver<Arriving>,
}

#[async_trait]
impl Listener for MemoryListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![address_of(self.taken.number())]
    }

    async fn accept(&mut self) -> Result<Incoming> {
        // The process's table holds a sender for as long as `taken` lives, so the queue does not end before us.
        let Some(Arriving { pipe, from }) = self.queue.recv().await else {
            return Err(Error::closed("accepting").at(Layer::Transport, NAME));
        };
        Ok(Incoming {
            remote: address_of(from),
            local: address_of(self.taken.number()),
            open: Box::pin(async move { Ok(Stage::Raw(Box::new(pipe)).into()) }),
        })
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryListener({})", self.taken.number())
    }
}

/// The number of an address that is exactly `/memory/<number>`.
fn number_of(address: &Multiaddr) -> Option<u64> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()) {
        (AddressPart::Memory(number), None) => Some(number),
        _ => None,
    }
}

fn address_of(number: u64) -> Multiaddr {
    Multiaddr::empty().with(AddressPart::Memory(number))
}

fn not_ours(address: &Multiaddr, done: &str) -> Error {
    let during = format!("{address} cannot be {done} here: such an address is /memory/ and a number");
    Error::new(Kind::AddressInvalid, during).at(Layer::Transport, NAME)
}

fn nobody(address: &Multiaddr) -> Error {
    Error::new(Kind::Refused, format!("dialing {address}, where nobody in this process listens"))
        .at(Layer::Transport, NAME)
}
