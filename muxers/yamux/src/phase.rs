//! Where a connection is in its life.

use std::time::Duration;

use stackwire_core::Result;

/// How long telling a peer what it did wrong may take, and hearing what it said before its pipe broke.
pub(crate) const REPROACH: Duration = Duration::from_secs(1);

/// What is left to do once no more frames are exchanged. While it waits, what arrives is discarded: otherwise a peer
/// that also only writes would wait for us as we for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send what is in the batch.
    Send,
    /// End our side of the pipe.
    Shutdown,
    /// Wait for the peer's end. Leaving earlier, with bytes unread, could make the operating system abort the
    /// connection under what the peer has not read yet.
    Linger,
    /// Nothing: the pipe is of no more use.
    Leave,
}

/// Whether frames are exchanged.
pub(crate) enum Phase {
    /// They are.
    Running,
    /// No more: the pipe is being ended, and this is how the connection ended.
    Ending { result: Result<()>, step: Step, linger: bool },
}
