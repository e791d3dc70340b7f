//! One direction of a link: how long bytes take.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// More than this may not wait on a line without a rate.
const UNLIMITED: usize = 64 << 20;
/// What may wait beyond what fills the line, in bytes.
const MARGIN: usize = 256 << 10;

/// How a link is, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// From one end to the other.
    pub delay: Duration,
    /// Bytes a second; `None`: as many as the machine moves.
    pub rate: Option<u64>,
}

impl Shape {
    /// Bytes that may be under way or wait, in each direction.
    pub fn capacity(&self) -> usize {
        match self.rate {
            Some(rate) => (rate as f64 * self.delay.as_secs_f64()) as usize + MARGIN,
            None => UNLIMITED,
        }
    }
}

/// One direction, shared by everything that goes through it.
pub struct Line {
    shape: Shape,
    /// When the last byte that entered has left the sender.
    free: Mutex<Option<Instant>>,
}

impl Line {
    pub fn new(shape: Shape) -> Self {
        Self { shape, free: Mutex::new(None) }
    }

    /// Sends `bytes` that are ready at `ready`; says when they are at the other end.
    pub fn send(&self, ready: Instant, bytes: usize) -> Instant {
        let Some(rate) = self.shape.rate else { return ready + self.shape.delay };
        let mut free = self.free.lock();
        let begin = free.map_or(ready, |free| free.max(ready));
        let end = begin + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free = Some(end);
        end + self.shape.delay
    }
}

/// Waits until `when`, as exactly as a timer of one millisecond can: what is due within half a one is due.
pub async fn until(when: Instant) {
    let early = when - Duration::from_micros(500);
    if early > Instant::now() {
        tokio::time::sleep_until(early).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_delay_and_their_turn() {
        let delay = Duration::from_millis(30);
        let line = Line::new(Shape { delay, rate: Some(1_000_000) });
        let now = Instant::now();
        assert_eq!(line.send(now, 10_000), now + delay + Duration::from_millis(10));
        assert_eq!(line.send(now, 10_000), now + delay + Duration::from_millis(20), "they wait for one another");
        let later = now + Duration::from_secs(1);
        assert_eq!(line.send(later, 1000), later + delay + Duration::from_millis(1), "a line saves nothing up");
        let quick = Line::new(Shape { delay, rate: None });
        assert_eq!(quick.send(now, 1 << 30), now + delay);
    }

    #[test]
    fn what_waits_is_bounded_by_what_fills_the_line() {
        let shape = Shape { delay: Duration::from_millis(100), rate: Some(10_000_000) };
        assert_eq!(shape.capacity(), 1_000_000 + MARGIN);
    }
}
