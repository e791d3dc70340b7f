//! Received bytes in the hands of a stream's reader.

use std::{collections::VecDeque, mem};

use stackwire_core::{Buffer, buffer};

/// What a stream's handle has taken from its connection, all that was there at once, so that most reads touch no lock.
#[derive(Debug, Default)]
pub struct Taken {
    chunks: VecDeque<Buffer>,
    /// Consumed bytes of the first chunk.
    start: usize,
}

/// What the connection gets back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes that were consumed.
    pub bytes: usize,
    /// The memory of the chunks that are used up.
    pub memory: usize,
}

impl Taken {
    /// Whether there is nothing to be read.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The first bytes, as many as lie together.
    pub fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk[self.start..])
    }

    /// Uses up `n` bytes, at most those of [`Taken::front`].
    pub fn consume(&mut self, n: usize) -> Freed {
        let left = self.front().len();
        if n < left {
            self.start += n;
            return Freed { bytes: n, memory: 0 };
        }
        self.start = 0;
        Freed { bytes: left, memory: self.chunks.pop_front().map_or(0, |chunk| chunk.capacity()) }
    }

    /// Forgets everything, as if it were consumed.
    pub fn clear(&mut self) -> Freed {
        let memory = buffer::memory(&self.chunks);
        let bytes: usize = self.chunks.drain(..).map(|chunk| chunk.len()).sum();
        Freed { bytes: bytes - mem::take(&mut self.start), memory }
    }

    /// Takes all of `received`, which get the memory of the queue here. To be called while this is empty.
    pub fn take(&mut self, received: &mut VecDeque<Buffer>) {
        debug_assert!(self.is_empty(), "what was taken before would be lost");
        mem::swap(&mut self.chunks, received);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: &[u8]) -> Buffer {
        let mut chunk = Buffer::with_capacity(100);
        chunk.extend_from_slice(bytes);
        chunk
    }

    #[test]
    fn what_is_consumed_is_given_back_once() {
        let mut taken = Taken::default();
        assert!(taken.front().is_empty());
        assert_eq!((taken.consume(5), taken.clear()), (Freed::default(), Freed::default()));
        let mut received = VecDeque::from([chunk(b"hello"), chunk(b"world")]);
        taken.take(&mut received);
        assert!(received.is_empty() && !taken.is_empty());
        assert_eq!(taken.consume(2), Freed { bytes: 2, memory: 0 });
        assert_eq!(taken.front(), b"llo");
        assert_eq!(taken.consume(9), Freed { bytes: 3, memory: 100 }, "no more than what was shown");
        assert_eq!(taken.consume(1), Freed { bytes: 1, memory: 0 });
        assert_eq!(taken.clear(), Freed { bytes: 4, memory: 100 });
        assert!(taken.is_empty());
    }
}
