//! Datagrams beside a stream that carry the latest value. Source: SPEC.md, “Datagrams”.
//!
//! Either side keeps one: a newer value replaces one that was not yet sent, or not yet taken. They use up credit of the
//! connection, so that its window bounds them too; a stream's rate does not hold them up.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use stackwire_core::{Datagrams, Error, Kind, Layer, Result};
use stackwire_driver::Wakes;

use crate::{
    NAME,
    connection::{Connection, State, closed},
    entry::{Entry, Place},
    send::MAX_DATAGRAM,
};

/// The datagrams of a stream, as its application holds them.
pub(crate) struct StreamDatagrams {
    connection: Arc<Connection>,
    id: u32,
    max_size: usize,
}

impl StreamDatagrams {
    pub(crate) fn new(connection: Arc<Connection>, id: u32) -> Self {
        let max_size = connection.with(|state, _| state.config.max_fragment.min(MAX_DATAGRAM));
        Self { connection, id, max_size }
    }
}

/// Why there are no more datagrams for a stream, if so.
fn fault(entry: &Entry) -> Option<Error> {
    match entry.reset {
        Some(_) if entry.fault.is_some() => entry.fault.clone(),
        Some(code) => Some(Error::new(Kind::Reset { code }, "the stream was reset").at(Layer::Muxer, NAME)),
        None => entry.is_over().then(|| Error::closed("the stream has ended").at(Layer::Muxer, NAME)),
    }
}

impl Datagrams for StreamDatagrams {
    fn max_size(&self) -> usize {
        self.max_size
    }

    fn send(&self, data: Bytes) -> Result<()> {
        if data.len() > self.max_size {
            let limit = Kind::LimitExceeded { limit: "max_fragment", max: self.max_size as u64 };
            return Err(Error::new(limit, "sending a datagram").at(Layer::Muxer, NAME));
        }
        self.connection.with(|state, wakes| {
            let over = state.is_over();
            let Some(entry) = state.streams.get_mut(&self.id) else { return Err(closed()) };
            if let Some(error) = fault(entry) {
                return Err(error);
            }
            if over {
                return Err(state.why_over());
            }
            let memory = data.len();
            let replaced = entry.datagrams.get_or_insert_default().unsent.replace(data);
            entry.memory += memory;
            let (class, place) = (entry.class, entry.place);
            state.budget.charge(memory);
            state.freed(self.id, replaced.map_or(0, |datagram| datagram.len()));
            // A rate holds up the stream's bytes, not its datagrams; and a shorter datagram may go where a longer waited.
            if matches!(place, Place::Throttled | Place::Parked) {
                state.dequeue(self.id);
            }
            if state.enqueue(self.id) && self.connection.concerns_driver(class) {
                state.wake_driver(wakes);
            }
            state.relieve(wakes);
            Ok(())
        })
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        self.connection.with(|state, wakes| {
            let over = state.is_over();
            let Some(entry) = state.streams.get_mut(&self.id) else { return Poll::Ready(Err(closed())) };
            if let Some(datagram) = entry.datagrams.as_mut().and_then(|slots| slots.received.take()) {
                state.freed(self.id, datagram.len());
                state.consumed(datagram.len(), wakes);
                return Poll::Ready(Ok(datagram));
            }
            if let Some(error) = fault(entry) {
                return Poll::Ready(Err(error));
            }
            if over {
                return Poll::Ready(Err(state.why_over()));
            }
            entry.datagrams.get_or_insert_default().reader = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

impl State {
    /// A datagram arrived. One that nobody wants, or that a newer one replaces, gives its credit back.
    pub(crate) fn datagram(&mut self, id: u32, data: &[u8], wakes: &mut Wakes) {
        let leaving = self.leaving.is_some();
        let wanted = self.streams.get_mut(&id).filter(|entry| !entry.is_over() && !entry.dropped && !leaving);
        let Some(entry) = wanted else { return self.consumed(data.len(), wakes) };
        let slots = entry.datagrams.get_or_insert_default();
        let replaced = slots.received.replace(Bytes::copy_from_slice(data));
        wakes.push(slots.reader.take());
        entry.memory += data.len();
        self.budget.charge(data.len());
        let replaced = replaced.map_or(0, |datagram| datagram.len());
        self.freed(id, replaced);
        self.consumed(replaced, wakes);
        self.relieve(wakes);
    }
}
