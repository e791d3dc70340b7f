//! What a connection holds for its streams, and which of them is given up where that is too much.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use stackwire_core::{Budget, Layer};
use stackwire_driver::Wakes;

use crate::{
    connection::State,
    entry::Entry,
    muxer::NAME,
    wire::{Header, RESOURCE_LIMIT},
};

/// What one stream holds, in its connection's table and in its handle.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    held: AtomicUsize,
}

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Arc<Self> {
        Arc::new(Self { budget: budget.clone(), held: AtomicUsize::new(0) })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// Memory that is charged to a stream, where it is one's, for as long as this is there.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    meter: Option<Arc<Meter>>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn to(meter: &Arc<Meter>) -> Self {
        Self { meter: Some(meter.clone()), bytes: 0 }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        if let Some(meter) = &self.meter {
            meter.held.fetch_add(bytes, Ordering::Relaxed);
            meter.budget.charge(bytes);
        }
    }

    pub(crate) fn remove(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if let Some(meter) = &self.meter {
            meter.held.fetch_sub(bytes, Ordering::Relaxed);
            meter.budget.release(bytes);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.remove(self.bytes);
    }

    /// Becomes the charge for what `other` was one for.
    pub(crate) fn take(&mut self, other: &mut Self) {
        self.clear();
        if self.meter.is_none() {
            self.meter.clone_from(&other.meter);
        }
        self.bytes = mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.clear();
    }
}

impl State {
    /// Resets the streams that hold most until the connection is within its budget. Whether there were any.
    pub(crate) fn relieve(&mut self, wakes: &mut Wakes) -> bool {
        let mut relieved = false;
        // What streams that were reset hold goes as soon as their applications let go of it.
        let holders = |(id, entry): (&u32, &Entry)| (*id, entry.meter.held(), entry.reset.is_some());
        while let Some(id) = self.budget.greediest(self.streams.iter().map(holders)) {
            self.give_up(id, wakes);
            relieved = true;
        }
        relieved
    }

    fn give_up(&mut self, id: u32, wakes: &mut Wakes) {
        let untold = !self.is_over();
        let fault = self.budget.exceeded().at(Layer::Muxer, NAME);
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.fault = Some(fault);
        let tell = untold && entry.is_known() && !entry.is_over();
        // What was complete is lost.
        entry.remote_closed = false;
        if tell {
            self.send(Header::reset(id, RESOURCE_LIMIT), wakes);
        }
        self.reset(id, RESOURCE_LIMIT, wakes);
    }
}
