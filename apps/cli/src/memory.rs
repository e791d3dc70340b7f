//! Memory that was freed goes back to the system.

use std::time::Duration;

/// The time between two looks. What a load has left behind is gone after so long, and the work does not show.
const INTERVAL: Duration = Duration::from_secs(30);

/// Gives free memory back again and again, until it is dropped.
pub(crate) async fn give_back() -> std::convert::Infallible {
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        trim();
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
