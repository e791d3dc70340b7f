//! What a connection holds for its streams, and which of them is given up where that is too much.

use std::{mem, task::Waker};

use stackwire_core::{Layer, buffer};

use crate::{
    NAME,
    connection::{Entry, Key, LITTLE, State},
};

impl State {
    /// A stream's handle let go of so much memory.
    pub(crate) fn freed(&mut self, key: Key, memory: usize) {
        if let Some(entry) = self.streams.get_mut(&key) {
            entry.memory -= memory;
            self.budget.release(memory);
        }
    }

    /// So many received bytes were taken. The connection reads on, if it waited for that.
    pub(crate) fn taken(&mut self, bytes: usize, wakes: &mut Vec<Waker>) {
        self.received -= bytes;
        if bytes > 0 {
            self.unblock(wakes);
        }
    }

    /// Drops what a stream received, and whatever is still to come of it: it holds up the connection no more.
    pub(crate) fn clear_received(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        let Some(entry) = self.streams.get_mut(&key) else { return };
        let bytes = mem::take(&mut entry.unread);
        let memory = buffer::memory(&mem::take(&mut entry.received));
        self.freed(key, memory);
        self.taken(bytes, wakes);
        self.unblock(wakes);
    }

    fn unblock(&mut self, wakes: &mut Vec<Waker>) {
        if mem::take(&mut self.blocked) {
            wakes.extend(self.driver.take());
        }
    }

    /// Charges for the frames that wait to be sent, and brings the connection back to its budget.
    pub(crate) fn balance(&mut self, wakes: &mut Vec<Waker>) {
        let frames = (self.out.capacity() + self.batch_memory).saturating_sub(2 * LITTLE);
        let charged = self.charged;
        if frames != charged {
            self.budget.charge(frames.saturating_sub(charged));
            self.budget.release(charged.saturating_sub(frames));
            self.charged = frames;
        }
        // What streams that were reset hold goes as soon as their applications let go of it.
        let holders = |(key, entry): (&Key, &Entry)| (*key, entry.memory, entry.reset.is_some());
        while let Some(key) = self.budget.greediest(self.streams.iter().map(holders)) {
            self.give_up(key, wakes);
        }
    }

    fn give_up(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        let fault = self.budget.exceeded().at(Layer::Muxer, NAME);
        let ended = self.ended.is_some();
        let Some(entry) = self.streams.get_mut(&key) else { return };
        entry.fault = Some(fault);
        // What was complete is lost.
        let untold = !entry.is_over() && !ended;
        entry.remote_closed = false;
        if untold {
            self.refuse(key);
            wakes.extend(self.driver.take());
        }
        self.reset(key, 0, wakes);
    }
}
