//! Decorators: whatever takes a pipe, session, muxer or transport takes a decorated one.
//!
//! | | what it adds | to |
//! |---|---|---|
//! | [`metered`] | counts bytes | pipes |
//! | [`limited`] | fails after so many bytes | pipes |
//! | [`StreamLimits`] | so many streams at once | sessions, muxers |
//! | [`timed`] | fails when nothing moves | pipes |
//! | [`metered_and_write_timed`] | counts bytes, and fails when the other side takes none | pipes |
//! | [`faulty`] | what networks do: delay, rate, fragments, stalls, damage, loss | pipes and their datagrams |
//! | [`watch_polls`] | a histogram of how long polls of drivers and streams take | muxers |
//! | [`faulty_datagrams`] | delay, disorder, loss, copies | datagrams |
//!
//! [`over_transport`], [`over_protector`], [`over_negotiator`], [`over_security`], [`over_muxer`] and [`over_session`]
//! put a decorator of pipes on every pipe of a transport, on the pipe under one of the layers above, or on every
//! stream. All keep the laws of what they decorate: buffered reads and vectored
//! writes pass through without a copy (`faulty`, a test tool, aside), and so do `reset`, `close_read` and
//! `set_priority`.
//!
//! ```
//! use std::sync::Arc;
//! use stackwire_core::Transport;
//! use stackwire_wrap::{Meter, metered, over_transport};
//!
//! fn count(transport: Arc<dyn Transport>) -> (Arc<dyn Transport>, Arc<Meter>) {
//!     let meter = Arc::new(Meter::default());
//!     let shared = meter.clone();
//!     (over_transport(transport, move |pipe, _env| metered(pipe, shared.clone())), meter)
//! }
//! ```

mod faulty;
mod limited;
mod metered;
mod over;
mod over_layers;
mod polls;
mod streams;
mod timed;
mod watched;
mod write_timed;

pub use faulty::{Faults, Stall, faulty, faulty_datagrams};
pub use limited::limited;
pub use metered::{Meter, metered};
pub use over::{Wrap, over_muxer, over_session, over_transport};
pub use over_layers::{over_negotiator, over_protector, over_security};
pub use polls::PollTimes;
pub use streams::{RESOURCE_LIMIT, StreamLimits};
pub use timed::timed;
pub use watched::watch_polls;
pub use write_timed::metered_and_write_timed;

use std::io::IoSlice;

/// The first `n` bytes of `slices`.
fn cut<'a>(slices: &'a [IoSlice<'_>], mut n: usize) -> Vec<IoSlice<'a>> {
    let mut first = Vec::new();
    for slice in slices {
        if n == 0 {
            break;
        }
        let part = &slice[..slice.len().min(n)];
        n -= part.len();
        first.push(IoSlice::new(part));
    }
    first
}

/// Passes on to `self.inner` what a decorator leaves as it is.
macro_rules! pass_on {
    (flush) => {
        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().inner).poll_flush(cx)
        }
    };
    (shutdown) => {
        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
        }
    };
    (is_write_vectored) => {
        fn is_write_vectored(&self) -> bool {
            self.inner.is_write_vectored()
        }
    };
    (ends) => {
        fn reset(&mut self, code: u32) {
            self.inner.reset(code);
        }
        fn close_read(&mut self) {
            self.inner.close_read();
        }
    };
    (settings) => {
        fn set_priority(&mut self, priority: Priority) {
            self.inner.set_priority(priority);
        }
        fn set_rate(&mut self, bytes_per_second: Option<std::num::NonZeroU64>) {
            self.inner.set_rate(bytes_per_second);
        }
    };
    (datagrams) => {
        fn datagrams(&mut self) -> Option<std::sync::Arc<dyn stackwire_core::Datagrams>> {
            self.inner.datagrams()
        }
    };
    (pipe) => {
        $crate::pass_on!(ends);
        $crate::pass_on!(settings);
        $crate::pass_on!(datagrams);
    };
}
use pass_on;
