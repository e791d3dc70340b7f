//! What the drivers of connections have in common: who drives, and for how long.
//!
//! A connection's driver owns its pipe and has a task of its own. Where that is the only task that moves bytes, every
//! batch costs a change of tasks, which on a runtime of many threads may wake another thread, and bytes must be copied
//! to where both tasks can reach them. So whoever waits for the driver does a part of its work instead, in its own task:
//! a stream that has nothing to read reads from the pipe, one that has much to write writes to the pipe. The driver's
//! task is what the pipe wakes, and does what nobody waits for.

mod drive;
mod pace;
mod seat;
mod stint;
mod turn;
mod wakes;
mod wheel;

pub use drive::{Drive, Ran};
pub use pace::Pace;
pub use stint::Stint;
pub use turn::Turn;
pub use wakes::{Wakes, register};
pub use wheel::{Driven, Driving, Wheel};

/// The locks of [`seat`]; a model checker puts its own here.
use parking_lot as sync;
