//! How much a driver does in one poll.

/// Bytes that are read and written in one poll before other tasks run. Encryption takes up to 0.7 µs for a KiB and the
/// operating system half of that. So one poll, with a frame that a stream writes itself after it, takes less than 200 µs.
const MOST: usize = 128 * 1024;
/// A smaller operation counts as this many bytes, because it takes time too.
const LEAST: usize = 4 * 1024;

/// Counts what a driver has moved since its poll began.
#[derive(Debug, Default)]
pub struct PollBudget {
    moved: usize,
}

impl PollBudget {
    /// Counts one operation that read or wrote `bytes`.
    pub fn count(&mut self, bytes: usize) {
        self.moved += bytes.max(LEAST);
    }

    /// Bytes moved so far.
    pub fn moved(&self) -> usize {
        self.moved
    }

    /// Bytes that may still be moved.
    pub fn left(&self) -> usize {
        MOST.saturating_sub(self.moved)
    }

    /// Whether other tasks should run now.
    pub fn is_spent(&self) -> bool {
        self.moved >= MOST
    }
}
