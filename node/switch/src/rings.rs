//! Rings of events that are read as one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use stackwire_core::Event;
use tokio::sync::broadcast::{
    Receiver, Sender,
    error::{RecvError, TryRecvError},
};

/// Events of one ring that a subscriber may fall behind before it misses some.
const BACKLOG: usize = 1024;
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

/// An event, and its place among all.
type Numbered = (u64, Event);

/// The rings. Each exists while somebody listens to it.
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
    /// Numbers are given and events are sent under one lock: what a listener finds in one ring is older than what comes
    /// into the others later.
    next: u64,
    senders: [Option<Sender<Numbered>>; RINGS],
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
        if let Some(sender) = &state.senders[ring as usize] {
            // Fails only where the last listener is just leaving.
            let _ = sender.send((number, event));
            state.next += 1;
        }
    }

    /// Listens to `rings` from now on.
    pub(crate) fn listen(&self, rings: &[Ring]) -> Listener {
        let mut state = self.0.state.lock();
        let mut receivers = [None, None, None];
        if !state.closed {
            for ring in rings {
                let sender = state.senders[*ring as usize].get_or_insert_with(|| Sender::new(BACKLOG));
                receivers[*ring as usize] = Some(sender.subscribe());
                self.0.listeners[*ring as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
        let counted = receivers.each_ref().map(Option::is_some);
        Listener { rings: self.clone(), counted, receivers, heads: Default::default() }
    }

    /// No more events come; listeners get those that there are.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        state.senders = Default::default();
    }
}

/// Listens to some of the rings.
pub(crate) struct Listener {
    rings: Rings,
    counted: [bool; RINGS],
    /// Those that have not ended.
    receivers: [Option<Receiver<Numbered>>; RINGS],
    /// The oldest event of each ring, once it was taken out.
    heads: [Option<Numbered>; RINGS],
}

impl Listener {
    /// The next event, in the order in which they happened; `None` once there are no more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(lagged) = self.fill() {
                return Some(lagged);
            }
            let oldest = self.heads.iter().enumerate().filter_map(|(ring, head)| Some((head.as_ref()?.0, ring))).min();
            if let Some((_, ring)) = oldest {
                return self.heads[ring].take().map(|(_, event)| event);
            }
            if self.receivers.iter().all(Option::is_none) {
                return None;
            }
            let [vital, chatter, streams] = &mut self.receivers;
            let (ring, received) = tokio::select! {
                biased;
                received = receive(vital) => (0, received),
                received = receive(chatter) => (1, received),
                received = receive(streams) => (2, received),
            };
            match received {
                Ok(event) => self.heads[ring] = Some(event),
                Err(RecvError::Lagged(count)) => return Some(Event::Lagged { count }),
                Err(RecvError::Closed) => self.receivers[ring] = None,
            }
        }
    }

    /// Takes the oldest event out of each ring. Repeated until nothing comes: a ring that was found empty may have got an
    /// event that is older than one that was found after it.
    fn fill(&mut self) -> Option<Event> {
        loop {
            let mut found = false;
            for (head, receiver) in self.heads.iter_mut().zip(&mut self.receivers) {
                let Some(ring) = receiver.as_mut().filter(|_| head.is_none()) else { continue };
                match ring.try_recv() {
                    Ok(event) => {
                        *head = Some(event);
                        found = true;
                    }
                    Err(TryRecvError::Lagged(count)) => return Some(Event::Lagged { count }),
                    Err(TryRecvError::Closed) => *receiver = None,
                    Err(TryRecvError::Empty) => {}
                }
            }
            if !found {
                return None;
            }
        }
    }
}

async fn receive(ring: &mut Option<Receiver<Numbered>>) -> Result<Numbered, RecvError> {
    match ring {
        Some(ring) => ring.recv().await,
        None => std::future::pending().await,
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.rings.0.state.lock();
        for ring in (0..RINGS).filter(|ring| self.counted[*ring]) {
            if self.rings.0.listeners[ring].fetch_sub(1, Ordering::Relaxed) == 1 {
                state.senders[ring] = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

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
        assert!(rings.0.state.lock().senders[Ring::Streams as usize].is_none(), "nobody listens, nothing is kept");
        drop(two);
        assert!(!rings.are_heard());
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
        assert!(rings.listen(&[Ring::Vital]).next().now_or_never().is_some_and(|end| end.is_none()));
    }
}
