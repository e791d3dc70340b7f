//! Rings of events: bounded queues for each listener, read as one in the order of events.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::{Stream, task::AtomicWaker};
use parking_lot::Mutex;
use stackwire_core::Event;

/// Events of one ring that a listener may fall behind before it misses the oldest.
const BACKLOG: usize = 1024;
/// What an empty queue keeps room for. Nodes have several listeners each, and most of them never wait.
const LITTLE: usize = 8;
const RINGS: usize = 3;

/// A kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// What an application must hear of.
    Vital,
    /// What it may miss.
    Chatter,
    /// What happens to streams.
    Streams,
}

/// The rings. They hold something only for listeners that are behind.
#[derive(Clone, Default)]
pub(crate) struct Rings(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How many listen to each; changed under the lock, read without.
    listeners: [AtomicUsize; RINGS],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Numbers are given and events are put into all queues under one lock, so that every queue has them in order.
    next: u64,
    queues: Vec<Arc<Queue>>,
    closed: bool,
}

/// What one listener has not heard yet.
struct Queue {
    wanted: [bool; RINGS],
    mail: Mutex<Mail>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Mail {
    rings: [VecDeque<(u64, Event)>; RINGS],
    /// Events that it has missed since it was last told so.
    missed: u64,
    closed: bool,
}

impl Rings {
    /// Whether anybody listens to `ring`.
    pub(crate) fn is_heard(&self, ring: Ring) -> bool {
        self.0.listeners[ring as usize].load(Ordering::Relaxed) > 0
    }

    /// Whether anybody listens to any.
    pub(crate) fn are_heard(&self) -> bool {
        self.0.listeners.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    pub(crate) fn send(&self, ring: Ring, event: Event) {
        let mut state = self.0.state.lock();
        let number = state.next;
        state.next += 1;
        for queue in state.queues.iter().filter(|queue| queue.wanted[ring as usize]) {
            queue.put(ring, number, event.clone());
        }
    }

    /// Listens to `rings` from now on.
    pub(crate) fn listen(&self, rings: &[Ring]) -> Listener {
        let mut wanted = [false; RINGS];
        rings.iter().for_each(|ring| wanted[*ring as usize] = true);
        let mut state = self.0.state.lock();
        let mail = Mutex::new(Mail { closed: state.closed, ..Mail::default() });
        let queue = Arc::new(Queue { wanted, mail, waker: AtomicWaker::new() });
        if !state.closed {
            state.queues.push(queue.clone());
            self.count(&queue, |count| count.fetch_add(1, Ordering::Relaxed));
        }
        drop(state);
        Listener { rings: self.clone(), queue }
    }

    /// No more events come; listeners get those that there are.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        for queue in std::mem::take(&mut state.queues) {
            self.count(&queue, |count| count.fetch_sub(1, Ordering::Relaxed));
            queue.mail.lock().closed = true;
            queue.waker.wake();
        }
    }

    fn count(&self, queue: &Queue, change: impl Fn(&AtomicUsize) -> usize) {
        for (counted, wanted) in self.0.listeners.iter().zip(queue.wanted) {
            if wanted {
                change(counted);
            }
        }
    }
}

impl Queue {
    fn put(&self, ring: Ring, number: u64, event: Event) {
        let mut mail = self.mail.lock();
        let full = mail.rings[ring as usize].len() == BACKLOG;
        if full {
            mail.rings[ring as usize].pop_front();
            mail.missed += 1;
        }
        mail.rings[ring as usize].push_back((number, event));
        drop(mail);
        self.waker.wake();
    }
}

impl Mail {
    /// The oldest event; before it, that some were missed.
    fn next(&mut self) -> Option<Event> {
        if self.missed > 0 {
            return Some(Event::Lagged { count: std::mem::take(&mut self.missed) });
        }
        let oldest = self.rings.iter_mut().filter(|ring| !ring.is_empty()).min_by_key(|ring| ring[0].0)?;
        let event = oldest.pop_front().map(|(_, event)| event);
        if oldest.is_empty() && oldest.capacity() > LITTLE {
            oldest.shrink_to(LITTLE);
        }
        event
    }
}

/// Listens to some of the rings, as a stream of events in the order in which they happened. It ends when there are no more.
pub(crate) struct Listener {
    rings: Rings,
    queue: Arc<Queue>,
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        // Before the queue is looked at: what comes in between wakes.
        self.queue.waker.register(cx.waker());
        let mut mail = self.queue.mail.lock();
        match mail.next() {
            Some(event) => Poll::Ready(Some(event)),
            None if mail.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.rings.0.state.lock();
        // A closed ring has counted everybody out.
        if let Some(at) = state.queues.iter().position(|queue| Arc::ptr_eq(queue, &self.queue)) {
            state.queues.remove(at);
            self.rings.count(&self.queue, |count| count.fetch_sub(1, Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn event(count: u64) -> Event {
        Event::LeftOut { count }
    }

    fn heard(listener: &mut Listener) -> Vec<u64> {
        let mut all = Vec::new();
        while let Some(Some(event)) = tokio::task::unconstrained(listener.next()).now_or_never() {
            match event {
                Event::LeftOut { count } => all.push(count),
                Event::Lagged { count } => all.push(1_000_000 + count),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    #[test]
    fn rings_are_read_in_the_order_of_events_and_last_as_long_as_their_listeners() {
        let rings = Rings::default();
        rings.send(Ring::Vital, event(0));
        let mut all = rings.listen(&[Ring::Vital, Ring::Chatter, Ring::Streams]);
        let mut two = rings.listen(&[Ring::Vital, Ring::Chatter]);
        let order = [Ring::Streams, Ring::Vital, Ring::Chatter, Ring::Vital, Ring::Streams, Ring::Chatter];
        (1..).zip(order).for_each(|(number, ring)| rings.send(ring, event(number)));
        assert_eq!((heard(&mut all), heard(&mut two)), (vec![1, 2, 3, 4, 5, 6], vec![2, 3, 4, 6]));
        drop(all);
        assert!(!rings.is_heard(Ring::Streams) && rings.is_heard(Ring::Vital));
        drop(two);
        assert!(!rings.are_heard() && rings.0.state.lock().queues.is_empty(), "nobody listens, nothing is kept");
    }

    #[test]
    fn who_falls_behind_in_one_ring_loses_nothing_of_another() {
        let rings = Rings::default();
        let mut all = rings.listen(&[Ring::Vital, Ring::Chatter]);
        rings.send(Ring::Vital, event(1));
        (0..BACKLOG as u64 + 10).for_each(|n| rings.send(Ring::Chatter, event(1000 + n)));
        rings.send(Ring::Vital, event(2));
        rings.close();
        let heard = heard(&mut all);
        assert_eq!(heard.iter().filter(|n| **n < 1000).copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(heard.iter().filter(|n| **n >= 1_000_000).copied().collect::<Vec<_>>(), [1_000_010]);
        assert_eq!(heard.last(), Some(&2), "in order");
        assert!(
            all.queue.mail.lock().rings.iter().all(|ring| ring.capacity() <= LITTLE),
            "what was kept is given back"
        );
        assert!(rings.listen(&[Ring::Vital]).next().now_or_never().is_some_and(|end| end.is_none()));
    }
}
