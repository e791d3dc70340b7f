//! What a stream holds, charged to its connection's budget.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use stackwire_core::Budget;

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
