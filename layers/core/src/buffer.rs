//! Memory for bytes on their way, shared by all connections.
//!
//! Buffers belong to activity, not to connections: whoever moves bytes takes one, and it goes back when the bytes have
//! gone. Each thread keeps a few at hand, because the one used last is still in the processor's cache; what threads
//! have too many of, all share. [`trim`] frees what nobody has needed for a while.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt, mem,
    ops::{Deref, DerefMut},
};

use parking_lot::Mutex;

/// Buffers of one capacity, with what was left in them: whoever overwrites that need not clear it first.
struct Shelf {
    capacity: usize,
    /// The most that one thread keeps.
    near: usize,
    /// The most that all threads share.
    far: usize,
    shared: Mutex<Spare>,
}

#[derive(Default)]
struct Spare {
    buffers: Vec<Vec<u8>>,
    /// The fewest there were since the last trim: so many were not needed.
    unneeded: usize,
}

static LARGE: Shelf = Shelf::new(Buffer::LARGE, 2, 16);
static RECORDS: Shelf = Shelf::new(Buffer::RECORD, 8, 256);
static CHUNKS: Shelf = Shelf::new(Buffer::CHUNK, 32, 1024);

/// What this thread has at hand of each shelf.
#[derive(Default)]
struct Near {
    large: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
    chunks: Vec<Vec<u8>>,
}

impl Near {
    /// The shelf of buffers of this capacity, and what of it is at hand.
    fn shelf(&mut self, capacity: usize) -> Option<(&'static Shelf, &mut Vec<Vec<u8>>)> {
        match capacity {
            Buffer::LARGE => Some((&LARGE, &mut self.large)),
            Buffer::RECORD => Some((&RECORDS, &mut self.records)),
            Buffer::CHUNK => Some((&CHUNKS, &mut self.chunks)),
            _ => None,
        }
    }
}

thread_local! {
    static NEAR: RefCell<Near> = RefCell::default();
}

impl Shelf {
    const fn new(capacity: usize, near: usize, far: usize) -> Self {
        let spare = Spare { buffers: Vec::new(), unneeded: 0 };
        Self { capacity, near, far, shared: Mutex::new(spare) }
    }

    fn take(&self, near: &mut Vec<Vec<u8>>) -> Vec<u8> {
        if near.is_empty() {
            let mut shared = self.shared.lock();
            let some = shared.buffers.len() - shared.buffers.len().min(self.near / 2);
            near.extend(shared.buffers.drain(some..));
            shared.unneeded = shared.unneeded.min(shared.buffers.len());
        }
        near.pop().unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    fn give(&self, near: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
        if near.len() == self.near {
            let mut shared = self.shared.lock();
            let room = self.far.saturating_sub(shared.buffers.len());
            shared.buffers.extend(near.drain(self.near / 2..).take(room));
        }
        near.push(buffer);
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

/// Frees what no connection has needed since the last call. Connections that were busy call it once in a while, and
/// when they become idle.
pub fn trim() {
    LARGE.trim();
    RECORDS.trim();
    CHUNKS.trim();
}

/// A buffer that goes back to where it came from when it is dropped. Otherwise a `Vec`.
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
    /// What is not worth keeping a large buffer for.
    pub const LITTLE: usize = 16 * 1024;

    /// For reads from and writes to the operating system.
    pub fn large() -> Self {
        let mut buffer = Self::used_large();
        buffer.0.clear();
        buffer
    }

    /// The same with what was left in it, for whom overwrites that.
    pub fn used_large() -> Self {
        Self::of(Self::LARGE)
    }

    /// For pieces of streams.
    pub fn chunk() -> Self {
        let mut buffer = Self::of(Self::CHUNK);
        buffer.0.clear();
        buffer
    }

    /// A shared buffer of `length` bytes, at most [`Buffer::LARGE`], which are whatever was left in it: for whom
    /// overwrites them all.
    pub fn holding(length: usize) -> Self {
        let mut buffer = Self::of(Self::memory_for(length));
        buffer.0.resize(length, 0);
        buffer
    }

    /// How much memory [`Buffer::holding`] takes for so many bytes.
    pub fn memory_for(length: usize) -> usize {
        [Self::CHUNK, Self::RECORD].into_iter().find(|capacity| length <= *capacity).unwrap_or(Self::LARGE)
    }

    /// One of this capacity, with what was left in it.
    fn of(capacity: usize) -> Self {
        let taken = NEAR.try_with(|near| {
            let mut near = near.borrow_mut();
            let (shelf, near) = near.shelf(capacity)?;
            Some(shelf.take(near))
        });
        Self(taken.ok().flatten().unwrap_or_else(|| Vec::with_capacity(capacity)))
    }

    /// One of its own size, which is freed when it is dropped.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// An empty one for `bytes`: a shared chunk where they fill at least half of it.
    fn fitting(bytes: usize) -> Self {
        match (Self::CHUNK / 2..=Self::CHUNK).contains(&bytes) {
            true => Self::chunk(),
            false => Self::with_capacity(bytes),
        }
    }

    /// For a wait that may be long, with only the bytes from `start` on still of use: if those are few, they are
    /// brought to where they take little memory. Returns where they begin now.
    pub fn rest(&mut self, start: usize) -> usize {
        let left = self.0.len() - start;
        if left > Self::LITTLE || self.0.capacity() < Self::LARGE {
            return start;
        }
        *self = Self(self.0[start..].to_vec());
        0
    }

    /// Forgets the first `start` bytes, and has room for as many as a large buffer has.
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
        // A thread that ends keeps none.
        let _freed = NEAR.try_with(|near| {
            if let Some((shelf, near)) = near.borrow_mut().shelf(buffer.capacity()) {
                shelf.give(near, buffer);
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

    fn shelf() -> Shelf {
        Shelf::new(8, 4, 6)
    }

    #[test]
    fn threads_keep_a_few_share_more_and_free_the_rest() {
        let (shelf, mut near) = (shelf(), Vec::new());
        for _ in 0..100 {
            shelf.give(&mut near, Vec::with_capacity(8));
            assert!(near.len() <= 4);
        }
        assert_eq!(shelf.shared.lock().buffers.len(), 6);
        let mut other = Vec::new();
        let taken = shelf.take(&mut other);
        assert_eq!((taken.capacity(), other.len(), shelf.shared.lock().buffers.len()), (8, 1, 4));
    }

    #[test]
    fn what_was_not_needed_is_freed_and_what_was_is_kept() {
        let (shelf, mut near) = (shelf(), Vec::new());
        for _ in 0..10 {
            shelf.give(&mut near, Vec::with_capacity(8));
        }
        shelf.trim();
        let shared = || shelf.shared.lock().buffers.len();
        assert_eq!(shared(), 6, "nobody knows yet what is needed");
        let mut other = Vec::new();
        let taken = shelf.take(&mut other);
        shelf.give(&mut other, taken);
        other.into_iter().for_each(|buffer| shelf.give(&mut near, buffer));
        let before = shared();
        shelf.trim();
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
