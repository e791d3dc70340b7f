//! How often a peer may change its key.

use stackwire_core::{Error, Result, Violation};

/// The key changes that a peer has left. A change costs as much work as many records, so content has to pay for it: some
/// are free, and each 32 KiB of content are worth another. Honest peers change keys after gigabytes, or by hand.
#[derive(Debug)]
pub struct KeyChanges {
    left: u32,
    /// Content since the last that was gained.
    content: usize,
}

impl Default for KeyChanges {
    fn default() -> Self {
        Self { left: Self::MOST, content: 0 }
    }
}

impl KeyChanges {
    /// How many may follow each other.
    pub const MOST: u32 = 32;
    /// Bytes of content that are worth another.
    pub const CONTENT: usize = 32 * 1024;

    /// So many bytes of content came.
    pub fn carried(&mut self, content: usize) {
        self.content += content;
        while self.content >= Self::CONTENT {
            self.content -= Self::CONTENT;
            self.left = (self.left + 1).min(Self::MOST);
        }
    }

    /// The peer changes its key. Fails with `PeerMisbehaved` where it has no change left.
    pub fn spend(&mut self) -> Result<()> {
        let left = self.left.checked_sub(1);
        self.left =
            left.ok_or_else(|| Error::violated(Violation::Flood, "one key after the other for next to no data"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_pays_for_changes() {
        let mut changes = KeyChanges::default();
        assert!((0..KeyChanges::MOST).all(|_| changes.spend().is_ok()), "some are free");
        assert!(changes.spend().is_err() && changes.spend().is_err());
        (0..KeyChanges::CONTENT - 1).for_each(|_| changes.carried(1));
        assert!(changes.spend().is_err());
        changes.carried(1);
        assert!(changes.spend().is_ok() && changes.spend().is_err());
        changes.carried(1000 * KeyChanges::CONTENT);
        assert!((0..KeyChanges::MOST).all(|_| changes.spend().is_ok()), "no more than some are saved up");
        assert!(changes.spend().is_err());
    }
}
