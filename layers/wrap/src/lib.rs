//! Decorators: whatever takes a pipe, session, muxer or transport takes a decorated one.
//!
//! | | what it adds | to |
//! |---|---|---|
//! | [`metered`] | counts bytes | pipes |
//! | [`limited`] | fails after so many bytes | pipes |
//! | [`StreamLimits`] | so many streams at once | sessions, muxers |
//! | [`throttled`] | lets so many bytes a second pass | pipes |
//! | [`timed`] | fails when nothing moves | pipes |
//! | [`metered_and_write_timed`] | counts bytes, and fails when the other side takes none | pipes |
//! | [`faulty`] | what networks do: delay, rate, fragments, stalls, damage, loss | pipes and their datagrams |
//! | [`watch_polls`] | a histogram of how long polls of drivers and streams take | muxers |
//! | [`faulty_datagrams`] | delay, disorder, loss, copies | datagrams |
//!
//! [`over_transport`], [`over_protector`], [`over_negotiator`], [`over_security`], [`over_muxer`] and [`over_session`]
//! put a decorator of pipes on every pipe of a transport, on the pipe under one of the layers above, or on every
//! stream. All keep the laws of what they decorate: buffered reads, taken buffers and vectored writes pass through
//! without a copy (`faulty`, a test tool, aside), and so does everything else that a pipe can do
//! ([`PipeDecorator`](stackwire_core::PipeDecorator)).
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
mod throttled;
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
pub use throttled::{Rate, Throttle, throttled};
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
