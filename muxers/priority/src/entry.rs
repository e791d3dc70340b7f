//! What is known of one stream.

use std::{
    collections::VecDeque,
    hash::{BuildHasherDefault, Hasher},
    io,
    task::Waker,
};

use bytes::Bytes;
use stackwire_core::{Buffer, Error, Priority, reset_error};
use stackwire_driver::Wakes;

use crate::{outgoing::Outgoing, rate::Bucket, window::Window, wire::HEADER};

/// The datagrams of a stream that wait: at most one each way.
#[derive(Default)]
pub(crate) struct Slots {
    pub(crate) unsent: Option<Bytes>,
    pub(crate) received: Option<Bytes>,
    pub(crate) reader: Option<Waker>,
}

/// Where a stream waits to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has nothing to send, or no credit.
    Nowhere,
    /// In the schedule.
    Queue,
    /// Its rate holds it up.
    Throttled,
    /// Its datagram is longer than the connection's credit.
    Parked,
}

/// Frames without data that are to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) open: bool,
    pub(crate) priority: bool,
    pub(crate) credit: bool,
    pub(crate) stop: bool,
    pub(crate) reset: bool,
    pub(crate) end: bool,
}

impl Due {
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

/// The peer wants no more of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    pub(crate) code: u32,
    /// It had been sent all that was written.
    pub(crate) complete: bool,
}

/// A stream in the table.
pub(crate) struct Entry {
    pub(crate) class: Priority,
    /// Our application chose the class, so that the peer does not.
    pub(crate) chosen: bool,

    // Sending.
    /// Chunks with room for a header in front.
    pub(crate) unsent: VecDeque<Buffer>,
    /// Where the data begins in the first of them.
    pub(crate) front: usize,
    pub(crate) unsent_bytes: usize,
    pub(crate) credit: u32,
    pub(crate) bucket: Option<Box<Bucket>>,
    pub(crate) place: Place,
    /// The rounds of the lanes that it last had data in.
    pub(crate) express_round: u64,
    pub(crate) bulk_round: u64,
    /// Our application writes no more: END follows.
    pub(crate) closing: bool,
    pub(crate) end_sent: bool,
    pub(crate) stopped: Option<Stopped>,
    pub(crate) writer: Option<Waker>,

    // Receiving.
    pub(crate) received: VecDeque<Buffer>,
    pub(crate) window: Window,
    /// The peer sends no more.
    pub(crate) ended: bool,
    /// Nobody will read: what arrives is discarded.
    pub(crate) discard: bool,
    pub(crate) reader: Option<Waker>,

    // Both.
    /// The memory of what is not sent and of what is not read, datagrams and what the handle took too.
    pub(crate) memory: usize,
    /// Ended by force, with this code as our side sees it.
    pub(crate) reset: Option<u32>,
    /// Why we did that, where it was not our application that asked for it.
    pub(crate) fault: Option<Error>,
    pub(crate) due: Due,
    /// It is in the queue of streams with frames due.
    pub(crate) in_control: bool,
    /// Nobody holds it, or will.
    pub(crate) dropped: bool,
    pub(crate) datagrams: Option<Box<Slots>>,
}

impl Entry {
    pub(crate) fn new(class: Priority, credit: u32, window: u32) -> Self {
        Self {
            class,
            chosen: false,
            unsent: VecDeque::new(),
            front: HEADER,
            unsent_bytes: 0,
            credit,
            bucket: None,
            place: Place::Nowhere,
            express_round: 0,
            bulk_round: 0,
            closing: false,
            end_sent: false,
            stopped: None,
            writer: None,
            received: VecDeque::new(),
            window: Window::new(window),
            ended: false,
            discard: false,
            reader: None,
            memory: 0,
            reset: None,
            fault: None,
            due: Due::default(),
            in_control: false,
            dropped: false,
            datagrams: None,
        }
    }

    /// The error of a stream that was ended by force.
    pub(crate) fn reset_error(&self) -> Option<io::Error> {
        let fault = self.fault.clone().map(io::Error::from);
        self.reset.map(|code| fault.unwrap_or_else(|| reset_error(code)))
    }

    /// We send nothing more.
    pub(crate) fn send_ended(&self) -> bool {
        self.reset.is_some() || self.end_sent || self.stopped.is_some()
    }

    /// We take nothing more.
    pub(crate) fn receive_ended(&self) -> bool {
        self.reset.is_some() || self.ended || self.discard
    }

    pub(crate) fn is_over(&self) -> bool {
        self.send_ended() && self.receive_ended()
    }

    /// It has something that its own credit allows to send, and its OPEN has gone.
    pub(crate) fn can_send(&self) -> bool {
        !self.due.open && (self.can_send_data() || self.datagram().is_some())
    }

    /// It has bytes that its own credit allows to send.
    pub(crate) fn can_send_data(&self) -> bool {
        self.unsent_bytes > 0 && self.credit > 0
    }

    /// The datagram that waits to be sent.
    pub(crate) fn datagram(&self) -> Option<&Bytes> {
        self.datagrams.as_ref()?.unsent.as_ref()
    }

    /// Some of its data is in the bulk lane, where urgent data overtakes it.
    pub(crate) fn in_bulk(&self, out: &Outgoing) -> bool {
        out.bulk.may_hold(self.bulk_round)
    }

    /// Some of its data is in a lane, where frames without data overtake it.
    pub(crate) fn in_lanes(&self, out: &Outgoing) -> bool {
        self.in_bulk(out) || out.express.may_hold(self.express_round)
    }

    /// Our end was sent: tells whoever waits for that.
    pub(crate) fn ended_by_us(&mut self, wakes: &mut Wakes) {
        wakes.push(self.writer.take());
        if let Some(slots) = self.datagrams.as_mut().filter(|_| self.ended || self.discard) {
            wakes.push(slots.reader.take());
        }
    }

    pub(crate) fn wake(&mut self, wakes: &mut Wakes) {
        wakes.push(self.reader.take());
        wakes.push(self.writer.take());
        if let Some(slots) = &mut self.datagrams {
            wakes.push(slots.reader.take());
        }
    }
}

/// Hashes stream ids. They are counted one by one by either side, so that no peer chooses which ones collide.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

pub(crate) type BuildIdHasher = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, id: u32) {
        // The multiplier of Fibonacci hashing: near ids go far apart, in the high bits as well as the low ones.
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
