//! When to probe a connection, and what is a sign of life.

use std::time::Duration;

use stackwire_core::{Env, Traffic};

/// A connection that has moved more bytes than this between two probes is in use: probes, keep-alives and their framing are
/// less.
pub const IN_USE: u64 = 1024;
/// A connection that has sent more than this while a probe waited is alive, though nothing came back: no machine's own
/// buffers take so much from a peer that is gone again and again.
const SENDING: u64 = 64 * 1024;

/// Whether more than `slack` bytes came, or much was taken, while a probe waited. `None`: nobody counts what moves, as on a
/// transport with streams of its own.
pub fn is_alive(before: Option<Traffic>, after: Option<Traffic>, slack: u64) -> Option<bool> {
    let (before, after) = (before?, after?);
    let came = after.received.saturating_sub(before.received) > slack;
    Some(came || after.sent.saturating_sub(before.sent) > SENDING)
}

/// Whether the connection moved more than probes do.
pub fn is_in_use(before: Option<Traffic>, after: Option<Traffic>) -> bool {
    let total = |traffic: Option<Traffic>| traffic.map_or(0, |t| t.received.saturating_add(t.sent));
    total(after).saturating_sub(total(before)) > IN_USE
}

/// Up to a fifth less, so that connections that were made at once are not probed at once for ever.
pub fn jittered(interval: Duration, env: &Env) -> Duration {
    interval - interval.mul_f64(f64::from(u16::from_be_bytes(env.random())) / f64::from(u16::MAX) / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_a_sign_of_life_and_what_is_only_buffered_is_none() {
        let at = |received, sent| Some(Traffic { received, sent });
        assert_eq!(is_alive(at(5, 5), at(5, 9), 0), Some(false));
        assert_eq!(is_alive(at(5, 5), at(6, 5), 0), Some(true));
        assert_eq!(is_alive(at(5, 5), at(6, 5), 1), Some(false));
        assert_eq!(is_alive(at(5, 5), at(5, 6 + SENDING), u64::MAX), Some(true));
        assert_eq!((is_alive(None, at(5, 5), 0), is_alive(at(5, 5), None, 0)), (None, None));
        assert!(is_in_use(at(0, 0), at(IN_USE, 1)) && !is_in_use(at(0, 1), at(IN_USE, 1)) && !is_in_use(None, None));
    }

    #[test]
    fn pauses_are_shorter_by_a_fifth_at_most() {
        let env = stackwire_conformance::env();
        let (least, most) = (Duration::from_secs(8), Duration::from_secs(10));
        let pauses: Vec<_> = (0..1000).map(|_| jittered(most, &env)).collect();
        assert!(pauses.iter().all(|pause| (least..=most).contains(pause)));
        assert!(pauses.iter().max() > pauses.iter().min());
    }
}
