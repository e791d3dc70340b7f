//! Chunks: buffers of one frame's size, used again while the connection is busy and given back when it is idle.

use std::collections::VecDeque;

/// Chunks kept for the next use. More are given back to the allocator.
const SPARE: usize = 16;

/// Small data gets a small buffer, unless a chunk is at hand: below this part of a chunk.
const SMALL_PART: usize = 4;

/// The chunks of one connection that nobody uses.
pub(crate) struct Pool {
    chunk: usize,
    spare: Vec<Vec<u8>>,
}

impl Pool {
    /// Chunks of `chunk` bytes.
    pub(crate) fn new(chunk: usize) -> Self {
        Self { chunk, spare: Vec::new() }
    }

    pub(crate) fn chunk(&self) -> usize {
        self.chunk
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spare.is_empty()
    }

    /// An empty buffer for at least `bytes`, or for a whole chunk.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        match self.spare.pop() {
            Some(chunk) => chunk,
            None if bytes < self.chunk / SMALL_PART => Vec::with_capacity(bytes),
            None => Vec::with_capacity(self.chunk),
        }
    }

    /// A buffer that nobody uses any more.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        // One that grew far beyond a chunk would make the bound untrue.
        if (self.chunk..=2 * self.chunk).contains(&buffer.capacity()) && self.spare.len() < SPARE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.spare = Vec::new();
    }

    /// Appends `data` behind the last of `chunks`, each of which has `reserved` bytes in front of its data.
    pub(crate) fn append(&mut self, chunks: &mut VecDeque<Vec<u8>>, reserved: usize, mut data: &[u8]) {
        while !data.is_empty() {
            match chunks.back_mut() {
                Some(last) if last.len() < self.chunk => {
                    let (part, rest) = data.split_at(data.len().min(self.chunk - last.len()));
                    last.extend_from_slice(part);
                    data = rest;
                }
                _ => {
                    let mut chunk = self.take(reserved + data.len());
                    chunk.resize(reserved, 0);
                    chunks.push_back(chunk);
                }
            }
        }
    }

    /// Takes all `chunks` back.
    pub(crate) fn put_all(&mut self, chunks: &mut VecDeque<Vec<u8>>) {
        for chunk in std::mem::take(chunks) {
            self.put(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_fills_chunks_to_the_brim() {
        let mut pool = Pool::new(10);
        let mut chunks = VecDeque::new();
        pool.append(&mut chunks, 2, b"0123456789");
        pool.append(&mut chunks, 2, b"abc");
        assert_eq!(chunks, [b"\0\x0001234567".to_vec(), b"\0\x0089abc".to_vec()]);
        pool.put_all(&mut chunks);
        assert!(!pool.is_empty() && chunks.is_empty());
    }
}
