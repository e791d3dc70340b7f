//! A stream in the connection's table.

use std::{collections::VecDeque, io, mem, sync::Arc, task::Waker};

use stackwire_core::{Budget, Error, reset_error};
use stackwire_driver::Wakes;

use crate::{
    charge::Meter,
    chunks::Queue,
    window::{self, Window},
    wire::{ACK, SYN},
};

/// The most one stream may have accepted and not sent, while the connection has room.
const QUEUE: usize = 256 * 1024;
/// The same while it has none. So every stream that has nothing queued can go on.
const SHARE: usize = 16 * 1024;

/// How far the end of our writing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fin {
    #[default]
    Open,
    /// Behind what is queued.
    Queued,
    Sent,
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Entry {
    /// We opened it.
    pub(crate) ours: bool,
    /// The peer was sent a frame of it, which opened or acknowledged it.
    announced: bool,
    /// Ours: the peer sent a frame of it.
    pub(crate) acknowledged: bool,

    /// Arrived and not yet taken by the handle.
    pub(crate) received: Queue,
    pub(crate) window: Window,
    pub(crate) reader: Option<Waker>,
    /// Nobody will read: what arrives is discarded.
    pub(crate) discard: bool,
    /// The peer sends no more.
    pub(crate) remote_closed: bool,

    /// Accepted and not yet taken by the driver. All of it is within the peer's window.
    pub(crate) queued: Queue,
    /// What the peer still takes beyond that.
    pub(crate) credit: u32,
    pub(crate) writer: Option<Waker>,
    pub(crate) fin: Fin,
    /// Waits for its turn to send.
    pub(crate) ready: bool,
    /// Has a frame that the pipe does not take now.
    pub(crate) blocked: bool,

    /// Ended by force, with this code as our side sees it.
    pub(crate) reset: Option<u32>,
    /// Why we did that, where it was not our application that asked for it.
    pub(crate) fault: Option<Error>,
    /// Counts what it holds.
    pub(crate) meter: Arc<Meter>,
    /// The handle is gone.
    pub(crate) dropped: bool,
}

impl Entry {
    pub(crate) fn new(ours: bool, budget: &Budget) -> Self {
        let meter = Meter::new(budget);
        Self {
            ours,
            announced: false,
            acknowledged: !ours,
            received: Queue::charged(&meter),
            window: Window::default(),
            reader: None,
            discard: false,
            remote_closed: false,
            queued: Queue::charged(&meter),
            credit: window::INITIAL,
            writer: None,
            fin: Fin::Open,
            ready: false,
            blocked: false,
            reset: None,
            fault: None,
            meter,
            dropped: false,
        }
    }

    /// The error of a stream that was ended by force.
    pub(crate) fn reset_error(&self) -> Option<io::Error> {
        let fault = self.fault.clone().map(io::Error::from);
        self.reset.map(|code| fault.unwrap_or_else(|| reset_error(code)))
    }

    /// Both sides have ended.
    pub(crate) fn is_over(&self) -> bool {
        self.reset.is_some() || (self.remote_closed && self.fin == Fin::Sent)
    }

    /// How many bytes it may accept now.
    pub(crate) fn room(&self, crowded: bool) -> usize {
        let limit = if crowded { SHARE } else { QUEUE };
        limit.saturating_sub(self.queued.len()).min(self.credit as usize)
    }

    /// It has something to send: it gets its turn, behind those in `ready`.
    pub(crate) fn make_ready(&mut self, id: u32, ready: &mut VecDeque<u32>) {
        if !mem::replace(&mut self.ready, true) {
            ready.push_back(id);
        }
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.announced
    }

    /// The flags of the next frame about it.
    pub(crate) fn announce(&mut self) -> u16 {
        match (mem::replace(&mut self.announced, true), self.ours) {
            (true, _) => 0,
            (false, true) => SYN,
            (false, false) => ACK,
        }
    }

    /// Whether the peer knows of it.
    pub(crate) fn is_known(&self) -> bool {
        self.announced || !self.ours
    }

    pub(crate) fn wake(&mut self, wakes: &mut Wakes) {
        wakes.add(&mut self.reader);
        wakes.add(&mut self.writer);
    }
}
