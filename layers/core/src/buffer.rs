//! Buffer pools that all connections share.
//!
//! A task that moves bytes takes a buffer and gives it back when the bytes are gone, so an idle connection holds none. Each
//! thread caches a few, because the last one it used is still in the processor's cache. Above that, the threads share
//! them. [`trim`] frees those that were not needed for a while.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt, mem,
    ops::{Deref, DerefMut},
};

use parking_lot::Mutex;

/// Buffers of one capacity. Each still holds old bytes, so a user that overwrites them need not clear it first.
struct Pool {
    capacity: usize,
    /// The most buffers that one thread caches.
    cached: usize,
    /// The most buffers that the threads share.
    most_shared: usize,
    shared: Mutex<Spare>,
}

#[derive(Default)]
struct Spare {
    buffers: Vec<Vec<u8>>,
    /// The fewest buffers there were since the last trim. So many were not needed.
    unneeded: usize,
}

static LARGE: Pool = Pool::new(Buffer::LARGE, 2, 16);
static RECORDS: Pool = Pool::new(Buffer::RECORD, 8, 256);
static CHUNKS: Pool = Pool::new(Buffer::CHUNK, 32, 1024);

/// The buffers that this thread caches.
#[derive(Default)]
struct Cache {
    large: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
    chunks: Vec<Vec<u8>>,
}

impl Cache {
    /// The pool of buffers of this capacity, and this thread's cache of it.
    fn pool(&mut self, capacity: usize) -> Option<(&'static Pool, &mut Vec<Vec<u8>>)> {
        match capacity {
            Buffer::LARGE => Some((&LARGE, &mut self.large)),
            Buffer::RECORD => Some((&RECORDS, &mut self.records)),
            Buffer::CHUNK => Some((&CHUNKS, &mut self.chunks)),
            _ => None,
        }
    }
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

impl Pool {
    const fn new(capacity: usize, cached: usize, most_shared: usize) -> Self {
        let spare = Spare { buffers: Vec::new(), unneeded: 0 };
        Self { capacity, cached, most_shared, shared: Mutex::new(spare) }
    }

    fn take(&self, cache: &mut Vec<Vec<u8>>) -> Vec<u8> {
        if cache.is_empty() {
            let mut shared = self.shared.lock();
            let some = shared.buffers.len() - shared.buffers.len().min(self.cached / 2);
            cache.extend(shared.buffers.drain(some..));
            shared.unneeded = shared.unneeded.min(shared.buffers.len());
        }
        cache.pop().unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    fn give(&self, cache: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
        if cache.len() == self.cached {
            let mut shared = self.shared.lock();
            let room = self.most_shared.saturating_sub(shared.buffers.len());
            shared.buffers.extend(cache.drain(self.cached / 2..).take(room));
        }
        cache.push(buffer);
    }

    fn trim(&self) {
        let mut shared = self.shared.lock();
        let left = shared.buffers.len() - shared.unneeded.min(shared.buffers.len());
        let freed = shared.buffers.split_off(left);
        shared.unneeded = left;
        drop(shared);
        drop(freed);
    }
}

/// Frees the shared buffers that no connection has needed since the last call. Busy connections call it once in a while,
/// and once more when they become idle.
pub fn trim() {
    LARGE.trim();
    RECORDS.trim();
    CHUNKS.trim();
}

/// A `Vec<u8>` that goes back to its pool when it is dropped.
#[derive(Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// The capacity of [`Buffer::large`]: four of the longest Noise frames with their headers, and more than sixteen of
    /// the longest TLS records.
    pub const LARGE: usize = 260 * 1024;
    /// The capacity of buffers for the content of one record, which is at most the longest Noise frame's.
    pub const RECORD: usize = 64 * 1024;
    /// The capacity of [`Buffer::chunk`]: 16 KiB and a header.
    pub const CHUNK: usize = 16 * 1024 + 64;
    /// So few bytes are not worth a large buffer.
    pub const LITTLE: usize = 16 * 1024;

    /// For reads from and writes to the operating system.
    pub fn large() -> Self {
        let mut buffer = Self::used_large();
        buffer.0.clear();
        buffer
    }

    /// The same with its old bytes, for a user that overwrites them.
    pub fn used_large() -> Self {
        Self::of(Self::LARGE)
    }

    /// For pieces of streams.
    pub fn chunk() -> Self {
        let mut buffer = Self::of(Self::CHUNK);
        buffer.0.clear();
        buffer
    }

    /// A pooled buffer of `length` bytes, at most [`Buffer::LARGE`]. They are old bytes, for a user that overwrites them
    /// all.
    pub fn holding(length: usize) -> Self {
        let mut buffer = Self::of(Self::memory_for(length));
        buffer.0.resize(length, 0);
        buffer
    }

    /// How much memory [`Buffer::holding`] takes for so many bytes.
    pub fn memory_for(length: usize) -> usize {
        [Self::CHUNK, Self::RECORD].into_iter().find(|capacity| length <= *capacity).unwrap_or(Self::LARGE)
    }

    /// One of this capacity, with its old bytes.
    fn of(capacity: usize) -> Self {
        let taken = CACHE.try_with(|cache| {
            let mut cache = cache.borrow_mut();
            let (pool, cache) = cache.pool(capacity)?;
            Some(pool.take(cache))
        });
        Self(taken.ok().flatten().unwrap_or_else(|| Vec::with_capacity(capacity)))
    }

    /// One outside the pools, which is freed when it is dropped.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// An empty one for `bytes`: a pooled chunk if they fill at least half of it.
    fn fitting(bytes: usize) -> Self {
        match (Self::CHUNK / 2..=Self::CHUNK).contains(&bytes) {
            true => Self::chunk(),
            false => Self::with_capacity(bytes),
        }
    }

    /// Prepares for a long wait during which only the bytes from `start` on are needed: few bytes move to a small buffer.
    /// Returns where they begin now.
    pub fn rest(&mut self, start: usize) -> usize {
        let left = self.0.len() - start;
        if left > Self::LITTLE || self.0.capacity() < Self::LARGE {
            return start;
        }
        *self = Self(self.0[start..].to_vec());
        0
    }

    /// Drops the first `start` bytes and makes room for as many as a large buffer holds.
    pub fn enlarge(&mut self, start: usize) {
        if self.0.capacity() >= Self::LARGE {
            self.0.drain(..start);
        } else {
            let mut large = Self::large();
            large.0.extend_from_slice(&self.0[start..]);
            *self = large;
        }
    }
}

/// Appends `data` behind the last of `chunks`, each of which has `reserved` bytes in front of its data and is full with
/// `full` bytes. Returns by how much the memory of the chunks grew. That is at most four times their bytes.
pub fn append(chunks: &mut VecDeque<Buffer>, reserved: usize, full: usize, mut data: &[u8]) -> usize {
    let mut grown = 0;
    while !data.is_empty() {
        let Some(last) = chunks.back_mut().filter(|last| last.len() < full) else {
            let mut chunk = Buffer::fitting((reserved + data.len()).min(full));
            chunk.resize(reserved, 0);
            grown += chunk.capacity();
            chunks.push_back(chunk);
            continue;
        };
        let (part, rest) = data.split_at(data.len().min(full - last.len()));
        let length = last.len() + part.len();
        if last.capacity() < length {
            let mut larger = Buffer::fitting((2 * length).min(full));
            larger.extend_from_slice(last);
            grown += larger.capacity() - last.capacity();
            *last = larger;
        }
        last.extend_from_slice(part);
        data = rest;
    }
    grown
}

/// The memory of `chunks`.
pub fn memory(chunks: &VecDeque<Buffer>) -> usize {
    chunks.iter().map(|chunk| chunk.capacity()).sum()
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !matches!(self.0.capacity(), Self::LARGE | Self::RECORD | Self::CHUNK) {
            return;
        }
        let buffer = mem::take(&mut self.0);
        // A thread that is ending has no cache.
        let _freed = CACHE.try_with(|cache| {
            if let Some((pool, cache)) = cache.borrow_mut().pool(buffer.capacity()) {
                pool.give(cache, buffer);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.0.len(), self.0.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(8, 4, 6)
    }

    #[test]
    fn threads_keep_a_few_share_more_and_free_the_rest() {
        let (pool, mut cache) = (pool(), Vec::new());
        for _ in 0..100 {
            pool.give(&mut cache, Vec::with_capacity(8));
            assert!(cache.len() <= 4);
        }
        assert_eq!(pool.shared.lock().buffers.len(), 6);
        let mut other = Vec::new();
        let taken = pool.take(&mut other);
        assert_eq!((taken.capacity(), other.len(), pool.shared.lock().buffers.len()), (8, 1, 4));
    }

    #[test]
    fn what_was_not_needed_is_freed_and_what_was_is_kept() {
        let (pool, mut cache) = (pool(), Vec::new());
        for _ in 0..10 {
            pool.give(&mut cache, Vec::with_capacity(8));
        }
        pool.trim();
        let shared = || pool.shared.lock().buffers.len();
        assert_eq!(shared(), 6, "nobody knows yet what is needed");
        let mut other = Vec::new();
        let taken = pool.take(&mut other);
        pool.give(&mut other, taken);
        other.into_iter().for_each(|buffer| pool.give(&mut cache, buffer));
        let before = shared();
        pool.trim();
        assert_eq!(shared(), before - 4, "two of six were needed");
    }

    #[test]
    fn data_fills_chunks_to_the_brim() {
        let mut chunks = VecDeque::new();
        append(&mut chunks, 2, 10, b"0123456789");
        append(&mut chunks, 2, 10, b"abc");
        let bytes: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk[..]).collect();
        assert_eq!(bytes, [b"\0\x0001234567", &b"\0\x0089abc"[..]]);
    }

    #[test]
    fn the_memory_of_chunks_is_known_and_near_what_they_hold() {
        let (mut chunks, mut held) = (VecDeque::new(), 0);
        for n in 1..=100_000 {
            held += append(&mut chunks, 0, Buffer::CHUNK, b"x");
            assert_eq!(held, memory(&chunks));
            assert!(held <= 4 * n, "{held} for {n}");
            assert_eq!(chunks.len(), usize::div_ceil(n, Buffer::CHUNK));
        }
    }

    #[test]
    fn a_buffer_is_used_again_and_little_does_not_hold_a_large_one() {
        std::thread::spawn(|| {
            let large = Buffer::large();
            let address = large.as_ptr();
            drop(large);
            let mut large = Buffer::large();
            assert_eq!((large.as_ptr(), large.len()), (address, 0));
            large.extend_from_slice(&[1, 2, 3]);
            assert_eq!(large.rest(1), 0);
            assert_eq!((&large[..], large.capacity()), (&[2, 3][..], 2));
            assert_eq!(Buffer::large().as_ptr(), address);
            large.enlarge(1);
            assert_eq!((&large[..], large.as_ptr()), (&[3][..], address));
            assert_eq!((large.rest(1), large.capacity()), (0, 0));
            large.enlarge(0);
            large.resize(20_000, 7);
            assert_eq!((large.rest(1), large.as_ptr()), (1, address), "much stays where it is");
        })
        .join()
        .unwrap();
    }
}
