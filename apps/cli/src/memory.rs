//! Memory that was freed goes back to the system.

use std::time::{Duration, Instant};

/// The time between two looks. What a load has left behind is gone after so long.
const INTERVAL: Duration = Duration::from_secs(30);
/// A look takes the longer the more memory there is. It is not to take more than one part in so many of the time.
const SHARE: u32 = 2000;

/// Gives free memory back again and again, until it is dropped.
pub(crate) async fn give_back() -> std::convert::Infallible {
    let mut pause = INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        let begin = Instant::now();
        trim();
        pause = INTERVAL.max(begin.elapsed() * SHARE);
    }
}

/// glibc keeps what was freed below the top of its heaps, in every thread's arena, until it is asked.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "nothing safe asks the allocator; a node kept 746 MB after a load, and 37 MB with this")]
fn trim() {
    // SAFETY: it has no preconditions: it takes a number, touches only memory that is free, and locks what it looks at.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
