//! Places for dials that are under way: so many at once, of which those that nobody waits for may have half.
//!
//! A new configuration changes how many there are. Whoever has a place keeps it, so that after a smaller number came into
//! force no new dial begins until enough have ended.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The places.
pub(crate) struct DialPlaces(Mutex<State>);

struct State {
    most: usize,
    taken: usize,
    /// Those of them that are in the background.
    background: usize,
    /// Who waits, in order; whoever waits no longer has dropped its receiver.
    requests: VecDeque<oneshot::Sender<()>>,
    volunteers: VecDeque<oneshot::Sender<()>>,
}

/// A place. Dropping it gives it back.
pub(crate) struct DialPlace<'a> {
    places: &'a DialPlaces,
    background: bool,
}

impl DialPlaces {
    pub(crate) fn new(most: usize) -> Self {
        let (requests, volunteers) = Default::default();
        Self(Mutex::new(State { most: most.max(1), taken: 0, background: 0, requests, volunteers }))
    }

    /// From now on there are so many.
    pub(crate) fn resize(&self, most: usize) {
        let mut state = self.0.lock();
        state.most = most.max(1);
        state.wake();
    }

    /// Waits for a place. Cancel-safe.
    pub(crate) async fn take(&self, background: bool) -> DialPlace<'_> {
        loop {
            let free = {
                let mut state = self.0.lock();
                if state.has_room(background) {
                    state.taken += 1;
                    state.background += usize::from(background);
                    return DialPlace { places: self, background };
                }
                let (sender, receiver) = oneshot::channel();
                if background {
                    state.volunteers.push_back(sender)
                } else {
                    state.requests.push_back(sender)
                }
                receiver
            };
            // Dropped by nobody who waits: the places outlive it.
            let _ = Waking { places: self, free: Some(free) }.wait().await;
        }
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        self.0.lock().taken
    }
}

/// Waits to be woken. If it is given up after it was, another one is woken in its place.
struct Waking<'a> {
    places: &'a DialPlaces,
    free: Option<oneshot::Receiver<()>>,
}

impl Waking<'_> {
    async fn wait(mut self) {
        if let Some(free) = &mut self.free {
            let _ = free.await;
        }
        self.free = None;
    }
}

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        if let Some(mut free) = self.free.take() {
            free.close();
            if free.try_recv().is_ok() {
                self.places.0.lock().wake();
            }
        }
    }
}

impl State {
    fn has_room(&self, background: bool) -> bool {
        self.taken < self.most && (!background || self.background < self.most.div_ceil(2))
    }

    /// Wakes as many as there is room for; those who are waited for first.
    fn wake(&mut self) {
        let mut free = self.most.saturating_sub(self.taken);
        let mut for_background = self.most.div_ceil(2).saturating_sub(self.background);
        while free > 0
            && let Some(next) = self.requests.pop_front()
        {
            free -= usize::from(next.send(()).is_ok());
        }
        while free > 0
            && for_background > 0
            && let Some(next) = self.volunteers.pop_front()
        {
            let woken = usize::from(next.send(()).is_ok());
            free -= woken;
            for_background -= woken;
        }
    }
}

impl Drop for DialPlace<'_> {
    fn drop(&mut self) {
        let mut state = self.places.0.lock();
        state.taken -= 1;
        state.background -= usize::from(self.background);
        state.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{FutureExt, future::join_all};

    use super::*;

    #[tokio::test]
    async fn there_are_so_many_and_half_of_them_for_the_background() {
        let places = DialPlaces::new(4);
        let background = [places.take(true).await, places.take(true).await];
        assert!(places.take(true).now_or_never().is_none(), "the other half is for who waits");
        let requests = [places.take(false).await, places.take(false).await];
        assert!(places.take(false).now_or_never().is_none());
        let mut waiting = Box::pin(places.take(true));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(requests);
        assert!(waiting.as_mut().now_or_never().is_none(), "it may have none of those");
        drop(background);
        assert!(waiting.now_or_never().is_some());
        assert_eq!(places.taken(), 0);
    }

    #[tokio::test]
    async fn a_new_number_counts_those_that_are_taken() {
        let places = DialPlaces::new(2);
        let (one, two) = (places.take(false).await, places.take(false).await);
        places.resize(2);
        assert!(places.take(false).now_or_never().is_none(), "a reload makes no new places");
        let mut waiting = Box::pin(places.take(false));
        assert!(waiting.as_mut().now_or_never().is_none());
        places.resize(1);
        drop(one);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(two);
        let three = waiting.now_or_never().expect("there is one");
        places.resize(3);
        let _more = (places.take(false).await, places.take(false).await, three);
        assert_eq!(places.taken(), 3);
    }

    #[tokio::test]
    async fn a_wake_that_is_given_up_goes_to_the_next() {
        let places = DialPlaces::new(1);
        let taken = places.take(false).await;
        let mut first = Box::pin(places.take(false));
        let mut second = Box::pin(places.take(false));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        drop(taken);
        drop(first);
        assert!(second.now_or_never().is_some(), "the one that was woken had gone");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_ever() {
        let places = Arc::new(DialPlaces::new(3));
        let all = (0..300).map(|n| {
            let places = places.clone();
            tokio::spawn(async move {
                let place = places.take(n % 2 == 0);
                if n % 7 == 0 {
                    // Given up wherever it is.
                    tokio::select! {
                        biased;
                        () = tokio::task::yield_now() => {}
                        _ = place => {}
                    }
                } else {
                    let _place = place.await;
                    tokio::task::yield_now().await;
                }
            })
        });
        join_all(all).await;
        assert_eq!(places.taken(), 0);
    }
}
