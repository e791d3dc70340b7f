//! Whose turn it is: streams that have something to send, by class. Source: SPEC.md, “Priorities”.

use std::collections::VecDeque;

use stackwire_core::Priority;

use crate::config::Weights;

/// Shares are counted in this part of a byte, so that division by a weight loses little.
const SCALE: u64 = 256;

/// The classes that share what urgent leaves.
const SHARED: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// The streams that have something to send and may, by class.
pub(crate) struct Schedule {
    queues: [VecDeque<u32>; 4],
    /// What each shared class had, in bytes over weight, beyond the one that had least.
    passes: [u64; 4],
    weights: [u64; 4],
}

impl Schedule {
    pub(crate) fn new(weights: Weights) -> Self {
        let Weights { low, normal, high } = weights;
        let mut all = [1; 4];
        for (class, weight) in [(Priority::Low, low), (Priority::Normal, normal), (Priority::High, high)] {
            all[class as usize] = u64::from(weight).max(1);
        }
        Self { queues: Default::default(), passes: [0; 4], weights: all }
    }

    /// Adds a stream, behind the others of its class. It must not be there already.
    pub(crate) fn push(&mut self, class: Priority, stream: u32) {
        self.queues[class as usize].push_back(stream);
    }

    /// Gives a stream its turn back.
    pub(crate) fn push_front(&mut self, class: Priority, stream: u32) {
        self.queues[class as usize].push_front(stream);
    }

    pub(crate) fn remove(&mut self, class: Priority, stream: u32) {
        self.queues[class as usize].retain(|other| *other != stream);
    }

    pub(crate) fn pop(&mut self, class: Priority) -> Option<u32> {
        self.queues[class as usize].pop_front()
    }

    /// How many streams of `class` are waiting.
    pub(crate) fn waiting(&self, class: Priority) -> usize {
        self.queues[class as usize].len()
    }

    /// Whether any but urgent streams are waiting.
    pub(crate) fn shared_waiting(&self) -> bool {
        SHARED.into_iter().any(|class| self.waiting(class) > 0)
    }

    /// The shared class whose turn it is: of those with something to send the one that had least for its weight.
    pub(crate) fn next_shared(&mut self) -> Option<Priority> {
        let waiting = SHARED.into_iter().filter(|class| self.waiting(*class) > 0);
        let next = waiting.min_by_key(|class| self.passes[*class as usize])?;
        // Measured from here: a class that had nothing to send saves nothing up.
        let least = self.passes[next as usize];
        for pass in &mut self.passes {
            *pass = pass.saturating_sub(least);
        }
        Some(next)
    }

    /// `class` had `bytes`.
    pub(crate) fn charge(&mut self, class: Priority, bytes: usize) {
        self.passes[class as usize] += bytes as u64 * SCALE / self.weights[class as usize];
    }

    /// Gives back memory that it does not need now.
    pub(crate) fn shrink(&mut self) {
        self.queues.iter_mut().for_each(VecDeque::shrink_to_fit);
    }

    pub(crate) fn clear(&mut self) {
        self.queues = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `turns` turns of equal size; the classes' shares must be as `expected`, give or take two turns.
    fn assert_shares(schedule: &mut Schedule, turns: usize, expected: [usize; 4]) {
        let mut got = [0usize; 4];
        for _ in 0..turns {
            let class = schedule.next_shared().unwrap();
            schedule.charge(class, 1000);
            got[class as usize] += 1;
        }
        let near = got.iter().zip(expected).all(|(got, expected)| got.abs_diff(expected) <= 2);
        assert!(near, "{got:?}, not {expected:?}");
    }

    #[test]
    fn classes_share_by_weight_and_save_nothing_up() {
        let mut schedule = Schedule::new(Weights { low: 1, normal: 4, high: 15 });
        schedule.push(Priority::Low, 1);
        assert_shares(&mut schedule, 1000, [1000, 0, 0, 0]);
        schedule.push(Priority::Normal, 3);
        assert_shares(&mut schedule, 1000, [200, 800, 0, 0]);
        schedule.push(Priority::High, 5);
        assert_shares(&mut schedule, 1000, [50, 200, 750, 0]);
        schedule.remove(Priority::Normal, 3);
        assert_eq!(schedule.waiting(Priority::Normal), 0);
        assert_eq!(schedule.pop(Priority::High), Some(5));
        assert_shares(&mut schedule, 10, [10, 0, 0, 0]);
        schedule.push(Priority::High, 5);
        assert_shares(&mut schedule, 160, [10, 0, 150, 0]);
    }
}
