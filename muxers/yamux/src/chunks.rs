//! Memory for bytes on their way: queues of chunks, and the pool that full-sized chunks come from and go back to.

use std::{collections::VecDeque, io::IoSlice};

/// The size of a pooled chunk, and the most a queue asks for at once.
pub(crate) const CHUNK: usize = 16 * 1024;
/// The least a queue asks for, unless the bytes are bound to be fewer.
const SMALLEST: usize = 256;
/// Chunks that a pool keeps: enough for what is on its way at the highest rates.
const KEPT: usize = 256;
/// Slots of an empty queue that are worth keeping.
const SLOTS: usize = 8;

/// Chunks that wait to be used again. It keeps none until told to, so that what comes back after a connection went
/// idle is not kept.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
    keeps: bool,
}

impl Pool {
    /// A pool that keeps what it is given.
    pub(crate) fn keeping() -> Self {
        Self { spare: Vec::new(), keeps: true }
    }

    /// Begins to keep chunks.
    pub(crate) fn keep(&mut self) {
        self.keeps = true;
    }

    /// Frees all chunks and keeps none from now on.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    fn take(&mut self, capacity: usize) -> Vec<u8> {
        let pooled = if capacity == CHUNK { self.spare.pop() } else { None };
        pooled.unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// Takes back a chunk that is no longer used.
    pub(crate) fn give(&mut self, mut chunk: Vec<u8>) {
        if self.keeps && chunk.capacity() == CHUNK && self.spare.len() < KEPT {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// Takes all chunks of `other`.
    pub(crate) fn absorb(&mut self, other: &mut Pool) {
        if self.keeps && self.spare.is_empty() {
            std::mem::swap(&mut self.spare, &mut other.spare);
        } else {
            other.spare.drain(..).for_each(|chunk| self.give(chunk));
        }
    }

    /// Bytes of memory it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.spare.len() * CHUNK
    }
}

/// Bytes in order, in chunks. Every chunk but the last is full or was pushed whole.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Vec<u8>>,
    /// Consumed bytes of the first chunk.
    start: usize,
    length: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes of memory it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }

    /// Copies `data` to the end. New chunks grow with what is queued, up to [`CHUNK`]; none is larger than `most`,
    /// which must not be 0.
    pub(crate) fn push(&mut self, mut data: &[u8], most: usize, pool: &mut Pool) {
        while !data.is_empty() {
            let wanted = data.len().max(self.length).clamp(SMALLEST, CHUNK).min(most);
            let chunk = match self.chunks.back_mut() {
                Some(chunk) if chunk.len() < chunk.capacity() => chunk,
                _ => {
                    self.chunks.push_back(pool.take(wanted));
                    continue;
                }
            };
            let (now, later) = data.split_at(data.len().min(chunk.capacity() - chunk.len()));
            chunk.extend_from_slice(now);
            self.length += now.len();
            data = later;
        }
    }

    /// Moves a whole chunk to the end.
    pub(crate) fn push_chunk(&mut self, chunk: Vec<u8>) {
        self.length += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// Takes the first chunk. Only of a queue that nothing was consumed from.
    pub(crate) fn pop_chunk(&mut self) -> Option<Vec<u8>> {
        debug_assert_eq!(self.start, 0, "a chunk that was begun is not whole");
        let chunk = self.chunks.pop_front()?;
        self.length -= chunk.len();
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
    pub(crate) fn consume(&mut self, n: usize, pool: &mut Pool) {
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
            self.chunks.pop_front().into_iter().for_each(|chunk| pool.give(chunk));
        }
    }

    /// Drops everything. Returns how many bytes that were.
    pub(crate) fn clear(&mut self, pool: &mut Pool) -> usize {
        let length = self.length;
        self.consume(length, pool);
        self.rest();
        length
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

    proptest! {
        /// Bytes come out as they went in, through pushes, moved chunks and consumption of any sizes.
        #[test]
        fn bytes_keep_their_order(pieces in prop::collection::vec((0..40_000usize, any::<bool>(), 0..50_000usize), 1..20)) {
            let (mut queue, mut pool) = (Queue::default(), Pool::keeping());
            let (mut pushed, mut consumed) = (0u32, 0u32);
            for (length, whole, consume) in pieces {
                let data: Vec<u8> = (pushed..).take(length).map(|i| (i % 251) as u8).collect();
                pushed += length as u32;
                match whole && length > 0 {
                    true => queue.push_chunk(data),
                    false => queue.push(&data, 5000, &mut pool),
                }
                prop_assert_eq!(queue.len(), (pushed - consumed) as usize);
                let mut left = consume.min(queue.len());
                while left > 0 {
                    let front = queue.front();
                    let n = front.len().min(left);
                    prop_assert!(n > 0);
                    for byte in &front[..n] {
                        prop_assert_eq!(*byte, (consumed % 251) as u8);
                        consumed += 1;
                    }
                    queue.consume(n, &mut pool);
                    left -= n;
                }
            }
        }
    }

    #[test]
    fn full_chunks_are_used_again_while_the_pool_keeps() {
        let (mut queue, mut pool) = (Queue::default(), Pool::keeping());
        queue.push(&[1; 3 * CHUNK], usize::MAX, &mut pool);
        queue.clear(&mut pool);
        assert_eq!(pool.capacity(), 3 * CHUNK);
        queue.push(&[2; CHUNK], usize::MAX, &mut pool);
        assert_eq!(pool.capacity(), 2 * CHUNK);
        pool.release();
        queue.clear(&mut pool);
        assert_eq!(pool.capacity(), 0);
    }

    #[test]
    fn memory_stays_near_what_is_held_and_below_the_bound() {
        let (mut queue, mut pool) = (Queue::default(), Pool::default());
        for n in 1..=10_000usize {
            queue.push(&[0], 10_000 - n + 1, &mut pool);
            assert!(queue.capacity() <= (2 * n).max(SMALLEST));
        }
        assert!(queue.capacity() <= 10_000);
    }
}
