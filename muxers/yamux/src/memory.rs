//! Which stream is given up if a connection holds too much.

use stackwire_core::Layer;
use stackwire_driver::Wakes;

use crate::{
    NAME,
    connection::State,
    entry::Entry,
    wire::{Header, RESOURCE_LIMIT},
};

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
