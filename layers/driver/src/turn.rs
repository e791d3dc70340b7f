//! How much a driver does at once.

/// Bytes that are read and written in one turn before others get theirs. Encryption takes up to 0.7 µs for a KiB and the
/// operating system half of that, so a turn, and a frame that a stream writes itself behind it, take less than 200 µs.
const MOST: usize = 128 * 1024;
/// What moves fewer bytes at once counts as so many: it takes time, too.
const LEAST: usize = 4 * 1024;

/// What a driver has moved since its turn began.
#[derive(Debug, Default)]
pub struct Turn {
    moved: usize,
}

impl Turn {
    /// Takes note of bytes that were read or written at once.
    pub fn count(&mut self, bytes: usize) {
        self.moved += bytes.max(LEAST);
    }

    /// How many bytes were moved.
    pub fn moved(&self) -> usize {
        self.moved
    }

    /// How many bytes may still be moved.
    pub fn left(&self) -> usize {
        MOST.saturating_sub(self.moved)
    }

    /// Whether it is others' turn.
    pub fn is_over(&self) -> bool {
        self.moved >= MOST
    }
}
