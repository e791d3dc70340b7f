//! Queues of bytes on their way, in chunks that all connections share.

use std::{collections::VecDeque, io::IoSlice, sync::Arc};

use stackwire_core::Buffer;

use crate::charge::{Charge, Meter};

/// The most bytes that [`Queue::push`] puts into a chunk: four are the body of a frame. A shared chunk has room for
/// more, which headers are put into.
pub(crate) const CHUNK: usize = 16 * 1024;
/// The least room of a chunk, unless the bytes are bound to be fewer.
const SMALLEST: usize = 256;
/// Slots of an empty queue that are worth keeping.
const SLOTS: usize = 8;

/// Bytes in order, in chunks. Every chunk but the last is full or was pushed whole.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Buffer>,
    /// Consumed bytes of the first chunk.
    start: usize,
    length: usize,
    /// For the memory of the chunks.
    charge: Charge,
}

impl Queue {
    /// An empty one, whose memory is charged to a stream.
    pub(crate) fn charged(meter: &Arc<Meter>) -> Self {
        Self { charge: Charge::to(meter), ..Self::default() }
    }

    /// Takes all that `other` has, and its charge. Only into an empty one.
    pub(crate) fn take(&mut self, other: &mut Self) {
        debug_assert!(self.is_empty(), "it would lose what it has");
        self.charge.take(&mut other.charge);
        std::mem::swap(&mut self.chunks, &mut other.chunks);
        self.start = std::mem::take(&mut other.start);
        self.length = std::mem::take(&mut other.length);
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes that there is memory for. What a shared chunk has for headers does not count.
    pub(crate) fn room(&self) -> usize {
        let room = |chunk: &Buffer| if chunk.capacity() == Buffer::CHUNK { CHUNK } else { chunk.capacity() };
        self.chunks.iter().map(room).sum()
    }

    /// Copies `data` to the end. New chunks grow with what is queued, up to [`CHUNK`]; none is larger than `most`,
    /// which must not be 0.
    pub(crate) fn push(&mut self, data: &[u8], most: usize) {
        self.copy(data, CHUNK, |queued, left| {
            match left.saturating_mul(2).max(queued).clamp(SMALLEST, CHUNK).min(most) {
                CHUNK => Buffer::chunk(),
                room => Buffer::with_capacity(room),
            }
        });
    }

    /// Copies `data` to the end, into shared chunks: for what does not stay.
    pub(crate) fn append(&mut self, data: &[u8]) {
        self.copy(data, Buffer::CHUNK, |_, _| Buffer::chunk());
    }

    /// Copies `data` to the end of the last chunk until that has `full` bytes, and to `new` ones: for so many queued
    /// bytes, and so many that are left of `data`.
    fn copy(&mut self, mut data: &[u8], full: usize, new: impl Fn(usize, usize) -> Buffer) {
        let room = |last: &Buffer| match last.capacity() {
            // Was pushed whole, and what follows may be the rest of its frame.
            Buffer::RECORD => Buffer::RECORD - last.len(),
            capacity => capacity.min(full).saturating_sub(last.len()),
        };
        while !data.is_empty() {
            let last = self.chunks.back_mut().filter(|last| room(last) > 0);
            let Some(last) = last else {
                let chunk = new(self.length, data.len());
                self.charge.add(chunk.capacity());
                self.chunks.push_back(chunk);
                continue;
            };
            let (now, later) = data.split_at(data.len().min(room(last)));
            last.extend_from_slice(now);
            self.length += now.len();
            data = later;
        }
    }

    /// Moves a whole chunk to the end.
    pub(crate) fn push_chunk(&mut self, chunk: Buffer) {
        self.length += chunk.len();
        self.charge.add(chunk.capacity());
        self.chunks.push_back(chunk);
    }

    /// Takes the first chunk. Only of a queue that nothing was consumed from.
    pub(crate) fn pop_chunk(&mut self) -> Option<Buffer> {
        debug_assert_eq!(self.start, 0, "a chunk that was begun is not whole");
        let chunk = self.chunks.pop_front()?;
        self.length -= chunk.len();
        self.charge.remove(chunk.capacity());
        Some(chunk)
    }

    /// How many bytes the first chunks have that together are at most `most`, which is at least what the first one has.
    /// Only of a queue that nothing was consumed from.
    pub(crate) fn whole_chunks(&self, most: usize) -> usize {
        let mut sum = 0;
        for chunk in &self.chunks {
            if sum > 0 && sum + chunk.len() > most {
                break;
            }
            sum += chunk.len();
        }
        sum
    }

    /// The first bytes, as many as lie together; empty only if there are none.
    pub(crate) fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk[self.start..])
    }

    /// Points `slices` at the first bytes. Returns how many slices it used.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut start = self.start;
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk[start..]);
            start = 0;
            used += 1;
        }
        used
    }

    /// Drops the first `n` bytes, or all if there are fewer.
    pub(crate) fn consume(&mut self, n: usize) {
        let mut n = n.min(self.length);
        self.length -= n;
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.start;
            if n < left {
                self.start += n;
                return;
            }
            n -= left;
            self.start = 0;
            self.charge.remove(self.chunks.pop_front().map_or(0, |chunk| chunk.capacity()));
        }
    }

    /// Drops everything. Returns how many bytes that were.
    pub(crate) fn clear(&mut self) -> usize {
        self.charge.clear();
        self.chunks = VecDeque::new();
        self.start = 0;
        std::mem::take(&mut self.length)
    }

    /// Gives back memory that an empty queue does not need.
    pub(crate) fn rest(&mut self) {
        if self.chunks.is_empty() && self.chunks.capacity() > SLOTS {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Piece {
        Pushed,
        Appended,
        Whole,
    }

    fn piece() -> impl Strategy<Value = (Piece, usize, usize)> {
        let how = prop_oneof![Just(Piece::Pushed), Just(Piece::Appended), Just(Piece::Whole)];
        (how, 0..40_000usize, 0..50_000usize)
    }

    /// Bytes of an endless pattern.
    fn bytes(from: usize, length: usize) -> impl Iterator<Item = u8> {
        (from..from + length).map(|i| (i % 251) as u8)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

        /// Bytes come out as they went in, through copies, moved chunks and consumption of any sizes.
        #[test]
        fn bytes_keep_their_order(pieces in prop::collection::vec(piece(), 1..20)) {
            let mut queue = Queue::default();
            let (mut pushed, mut consumed) = (0, 0);
            for (how, length, consume) in pieces {
                let data: Vec<u8> = bytes(pushed, length).collect();
                pushed += length;
                match how {
                    Piece::Pushed => queue.push(&data, 5000),
                    Piece::Appended => queue.append(&data),
                    Piece::Whole if data.is_empty() => {}
                    Piece::Whole => {
                        let mut chunk = Buffer::with_capacity(length + 10);
                        chunk.extend(data);
                        queue.push_chunk(chunk);
                    }
                }
                prop_assert_eq!(queue.len(), pushed - consumed);
                let mut left = consume.min(queue.len());
                while left > 0 {
                    let front = queue.front();
                    let n = front.len().min(left);
                    prop_assert!(n > 0);
                    prop_assert!(front[..n].iter().copied().eq(bytes(consumed, n)));
                    queue.consume(n);
                    consumed += n;
                    left -= n;
                }
            }
        }
    }

    #[test]
    fn a_frames_body_is_four_chunks_and_its_header_goes_behind_the_chunk_before() {
        let (mut stream, mut batch) = (Queue::default(), Queue::default());
        stream.push(&[1; 5 * CHUNK], usize::MAX);
        assert_eq!(stream.whole_chunks(64 * 1024), 4 * CHUNK);
        batch.push_chunk(stream.pop_chunk().unwrap());
        batch.append(&[2; 12]);
        batch.push_chunk(stream.pop_chunk().unwrap());
        let mut slices = [IoSlice::new(&[]); 4];
        let used = batch.slices(&mut slices);
        assert_eq!(slices[..used].iter().map(|slice| slice.len()).collect::<Vec<_>>(), [CHUNK + 12, CHUNK]);
    }

    #[test]
    fn memory_stays_near_what_is_held_and_below_the_bound() {
        let mut queue = Queue::default();
        for n in 1..=10_000usize {
            queue.push(&[0], 10_000 - n + 1);
            assert!(queue.room() <= (2 * n).max(SMALLEST));
        }
        assert!(queue.room() <= 10_000);
    }
}
