//! What the connection drivers of muxers share: which task runs the driver, and how much it does in one poll.
//!
//! A connection's driver owns the pipe and has a task of its own. If only that task moved bytes, then every batch would
//! cost a task switch, which may wake another thread, and the bytes would have to be copied to a place that both tasks can
//! reach. So a task that waits for the driver runs the driver itself: a stream with nothing to read reads from the
//! pipe, and a stream with much to write writes to the pipe. The pipe wakes the driver's own task, and that task does the
//! work that no stream waits for.
//!
//! ```text
//!  stream's task ──▶ DriverCell::borrow ─┐
//!                                        ├─▶ ConnectionDriver::run, at most a PollBudget of bytes
//!  driver's task ──▶ DriverTask::poll ───┘
//! ```

mod assist_budget;
mod cell;
mod cleanings;
mod driver;
mod poll_budget;
mod slot;
mod taken;
mod wakes;
mod window_tuner;

pub use assist_budget::AssistBudget;
pub use cell::{DriverCell, DriverTask, HasDriver};
pub use cleanings::Cleanings;
pub use driver::{ConnectionDriver, Run};
pub use poll_budget::PollBudget;
pub use taken::{Freed, Taken};
pub use wakes::{Wakes, register};
pub use window_tuner::WindowTuner;

/// The locks of [`slot`]. The model checker's test compiles `slot` with its own locks.
use parking_lot as sync;
