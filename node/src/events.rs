//! Events: one sender, any number of subscribers, nobody waits for a slow one.

use futures::{StreamExt, stream};
use stackwire_core::{Event, EventStream};
use tokio::sync::broadcast::{self, error::RecvError};

/// Events a subscriber may fall behind before it misses some.
const BACKLOG: usize = 1024;

pub(crate) struct Events {
    all: broadcast::Sender<Event>,
    /// All but those of streams. Who cares only about connections is not woken for every stream, and where nobody cares
    /// about streams their events are not even made.
    connections: broadcast::Sender<Event>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { all: broadcast::Sender::new(BACKLOG), connections: broadcast::Sender::new(BACKLOG) }
    }

    /// Tells everyone; the event is only made where someone listens.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        let (all, connections) = (self.all.receiver_count() > 0, self.connections.receiver_count() > 0);
        if all || connections {
            let event = event();
            tracing::debug!(?event);
            // Sending fails only where the last subscriber has just left.
            if connections && !event.is_of_stream() {
                let _ = self.connections.send(event.clone());
            }
            if all {
                let _ = self.all.send(event);
            }
        }
    }

    /// Tells everyone of something that happened to a stream; such an event is not made for who cares only about
    /// connections.
    pub(crate) fn emit_of_stream(&self, event: impl FnOnce() -> Event) {
        if self.all.receiver_count() > 0 {
            self.emit(event);
        }
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        stream_of(self.all.subscribe())
    }

    pub(crate) fn subscribe_to_connections(&self) -> EventStream {
        stream_of(self.connections.subscribe())
    }
}

fn stream_of(receiver: broadcast::Receiver<Event>) -> EventStream {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(count)) => Some((Event::Missed { count }, receiver)),
            Err(RecvError::Closed) => None,
        }
    })
    .boxed()
}
