//! What a connection holds for its streams, and which of them is given up where that is too much.

use stackwire_core::Layer;
use stackwire_driver::Wakes;

use crate::{config::NAME, connection::State, wire::NO_RESOURCES};

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
        loop {
            let excess = self.budget.excess();
            if excess == 0 {
                return relieved;
            }
            // What streams that were reset hold goes as soon as their applications let go of it.
            let (mut going, mut most) = (0, None);
            for (id, entry) in &self.streams {
                if entry.reset.is_some() {
                    going += entry.memory;
                } else if most.is_none_or(|(memory, _)| memory < entry.memory) {
                    most = Some((entry.memory, *id));
                }
            }
            match most {
                Some((1.., id)) if excess > going => self.give_up(id, wakes),
                _ => return relieved,
            }
            relieved = true;
        }
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
