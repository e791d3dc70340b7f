//! What a connection holds for its streams, and which of them is given up where that is too much.

use stackwire_core::Layer;
use stackwire_driver::Wakes;

use crate::{NAME, connection::State, entry::Entry, wire::NO_RESOURCES};

impl State {
    /// A stream let go of so much memory.
    pub(crate) fn freed(&mut self, id: u32, memory: usize) {
        if let Some(entry) = self.streams.get_mut(&id).filter(|_| memory > 0) {
            entry.memory -= memory;
            self.budget.release(memory);
        }
    }

    /// Resets the streams that hold most until the connection is within its budget. Whether there were any.
    pub(crate) fn relieve(&mut self, wakes: &mut Wakes) -> bool {
        let mut relieved = false;
        // What streams that were reset hold goes as soon as their applications let go of it.
        let holders = |(id, entry): (&u32, &Entry)| (*id, entry.memory, entry.reset.is_some());
        while let Some(id) = self.budget.greediest(self.streams.iter().map(holders)) {
            self.give_up(id, wakes);
            relieved = true;
        }
        relieved
    }

    fn give_up(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let tell = (!entry.is_over() || entry.due.stop) && self.ended.is_none();
        entry.fault = Some(self.budget.exceeded().at(Layer::Muxer, NAME));
        // What was complete is lost.
        entry.ended = false;
        self.reset(id, NO_RESOURCES, tell, wakes);
    }
}
