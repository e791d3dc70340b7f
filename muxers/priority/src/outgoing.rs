//! Frames on their way to the pipe, in three lanes: control goes before express, that before bulk, and all of them
//! behind what was begun.

use std::{collections::VecDeque, io::IoSlice, mem};

use stackwire_core::Buffer;

use crate::wire::HEADER;

/// Frames of more data are sent from the buffer they are in; smaller ones are gathered.
const GATHER_BELOW: usize = 2048;

/// The most buffers given to one vectored write.
pub(crate) const SLICES: usize = 32;

/// Whole frames, from `start` on.
struct Part {
    bytes: Buffer,
    start: usize,
}

impl Part {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Frames that are sent in order.
pub(crate) struct Lane {
    parts: VecDeque<Part>,
    /// Frames are gathered up to so many bytes.
    gather: usize,
    /// Bytes in it.
    pub(crate) bytes: usize,
    /// Counts the times that it was empty: what was put into it in an earlier round has left it.
    pub(crate) round: u64,
}

impl Lane {
    fn new(gather: usize) -> Self {
        Self { parts: VecDeque::new(), gather, bytes: 0, round: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether something may be in it that was put there in `round`.
    pub(crate) fn may_hold(&self, round: u64) -> bool {
        self.round == round && !self.is_empty()
    }

    fn count_round(&mut self) {
        self.round += u64::from(self.is_empty());
    }

    /// Adds a frame, or a piece that belongs right behind what was added before it.
    pub(crate) fn add(&mut self, header: &[u8], data: &[u8]) {
        let length = header.len() + data.len();
        self.bytes += length;
        let last = self.parts.back_mut().filter(|last| {
            let full = last.bytes.capacity().min(self.gather);
            last.bytes.len() + length <= full
        });
        let bytes = match last {
            Some(last) => &mut last.bytes,
            None => {
                // It does not stay, so that even little may have a shared one.
                let bytes = if length <= Buffer::CHUNK { Buffer::chunk() } else { Buffer::with_capacity(length) };
                self.parts.push_back(Part { bytes, start: 0 });
                let Some(last) = self.parts.back_mut() else { return };
                &mut last.bytes
            }
        };
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(data);
    }

    /// Adds a frame whose data is all of `chunk` from `data` on. There is room for the header in front of it.
    pub(crate) fn add_chunk(&mut self, header: &[u8; HEADER], mut chunk: Buffer, data: usize) {
        if chunk.len() - data < GATHER_BELOW {
            return self.add(header, &chunk[data..]);
        }
        let start = data - HEADER;
        chunk[start..data].copy_from_slice(header);
        self.bytes += chunk.len() - start;
        self.parts.push_back(Part { bytes: chunk, start });
    }

    fn pop(&mut self) -> Option<Part> {
        let part = self.parts.pop_front()?;
        self.bytes -= part.rest().len();
        Some(part)
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.bytes = 0;
    }
}

/// Everything that left the streams and that the pipe has not taken.
pub(crate) struct Outgoing {
    begun: Option<Part>,
    /// Frames without data.
    pub(crate) control: Lane,
    /// Urgent data.
    pub(crate) express: Lane,
    /// All other data.
    pub(crate) bulk: Lane,
    /// Given to the pipe since it was flushed.
    pub(crate) unflushed: usize,
    bulk_begun: bool,
}

impl Outgoing {
    /// Frames are gathered up to `gather` bytes, for which urgent data waits.
    pub(crate) fn new(gather: usize) -> Self {
        let lane = || Lane::new(gather);
        Self { begun: None, control: lane(), express: lane(), bulk: lane(), unflushed: 0, bulk_begun: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.control.is_empty() && self.express.is_empty() && self.bulk.is_empty()
    }

    /// Bytes that the pipe has not sent on, as far as we know.
    pub(crate) fn ahead(&self) -> usize {
        let begun = self.begun.as_ref().map_or(0, |part| part.rest().len());
        self.unflushed + begun + self.control.bytes + self.express.bytes + self.bulk.bytes
    }

    /// Whether bulk was sent since this was asked last.
    pub(crate) fn take_bulk_begun(&mut self) -> bool {
        mem::take(&mut self.bulk_begun)
    }

    /// Begins to collect more.
    pub(crate) fn begin(&mut self) {
        self.express.count_round();
        self.bulk.count_round();
    }

    /// Gives back memory that it does not need now.
    pub(crate) fn shrink(&mut self) {
        for lane in [&mut self.control, &mut self.express, &mut self.bulk] {
            lane.parts.shrink_to_fit();
        }
    }

    /// What to write next: how many of `slices` were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let lanes = [&self.control, &self.express, &self.bulk];
        let parts = self.begun.iter().chain(lanes.into_iter().flat_map(|lane| &lane.parts));
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part.rest());
            filled += 1;
        }
        filled
    }

    /// The pipe took the first `n` bytes.
    pub(crate) fn advance(&mut self, mut n: usize) {
        self.unflushed += n;
        while n > 0 {
            let first = self.begun.take().or_else(|| self.control.pop());
            let part = first.or_else(|| self.express.pop()).or_else(|| {
                self.bulk_begun = true;
                self.bulk.pop()
            });
            let Some(mut part) = part else { return };
            let taken = n.min(part.rest().len());
            n -= taken;
            part.start += taken;
            self.begun = Some(part).filter(|part| !part.rest().is_empty());
        }
    }

    /// Forgets all but what was begun, which the peer has to get whole.
    pub(crate) fn clear(&mut self) {
        self.control.clear();
        self.express.clear();
        self.bulk.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(out: &Outgoing) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let n = out.slices(&mut slices);
        slices[..n].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn express_goes_behind_what_was_begun_and_before_the_rest() {
        let mut out = Outgoing::new(10);
        out.bulk.add(b"bulk", b"-one");
        out.bulk.add(b"bulk", b"-two");
        out.advance(3);
        out.express.add(b"urgent", b"");
        out.control.add(b"ping", b"");
        assert_eq!(written(&out), b"k-onepingurgentbulk-two");
        assert_eq!(out.ahead(), 3 + 5 + 4 + 6 + 8);
        out.advance(16);
        assert_eq!(written(&out), b"ulk-two");
        out.clear();
        assert_eq!(written(&out), b"ulk-two");
        out.advance(7);
        assert!(out.is_empty());
    }
}
