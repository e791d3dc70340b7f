//! Events: one sender, any number of subscribers, nobody waits for a slow one.

use futures::{StreamExt, stream};
use stackwire_core::{Event, EventStream};
use tokio::sync::broadcast::{self, error::RecvError};

/// Events a subscriber may fall behind before it misses some.
const BACKLOG: usize = 1024;

pub(crate) struct Events(broadcast::Sender<Event>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    /// Tells everyone; the event is only made where someone listens.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.0.receiver_count() > 0 {
            let event = event();
            tracing::debug!(?event);
            // Fails only where the last subscriber has just left.
            let _ = self.0.send(event);
        }
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        stream::unfold(self.0.subscribe(), |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(count)) => Some((Event::Missed { count }, receiver)),
                Err(RecvError::Closed) => None,
            }
        })
        .boxed()
    }
}
