//! The events of all networks of a node, of those that come later, too.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use stackwire_core::{Event, EventStream};
use tokio::sync::watch;

use crate::network::Network;

/// An event, and the name of its network.
pub(crate) type Named = (String, Event);

/// Events of one network, with its name.
pub(crate) fn named(name: &str, events: EventStream) -> BoxStream<'static, Named> {
    let name = name.to_string();
    events.map(move |event| (name.clone(), event)).boxed()
}

/// The events of `streams`, and of the networks that come beside those that there are.
pub(crate) fn all(
    streams: Vec<BoxStream<'static, Named>>,
    mut networks: watch::Receiver<Vec<Arc<Network>>>,
) -> BoxStream<'static, Named> {
    let known = names(&networks.borrow_and_update());
    let all = All { known, networks, streams: stream::select_all(streams) };
    // Whoever asks once more after the end hears of it again.
    stream::unfold(all, |mut all| async move { Some((all.next().await?, all)) }).fuse().boxed()
}

struct All {
    known: Vec<String>,
    networks: watch::Receiver<Vec<Arc<Network>>>,
    streams: SelectAll<BoxStream<'static, Named>>,
}

impl All {
    async fn next(&mut self) -> Option<Named> {
        loop {
            tokio::select! {
                biased;
                // Fails when the node is gone: then the streams end, too.
                Ok(()) = self.networks.changed() => {
                    let networks = self.networks.borrow_and_update().clone();
                    for network in networks.iter().filter(|network| !self.known.iter().any(|name| name == network.name())) {
                        self.streams.push(named(network.name(), network.events()));
                    }
                    self.known = names(&networks);
                }
                event = self.streams.next() => return event,
            }
        }
    }
}

fn names(networks: &[Arc<Network>]) -> Vec<String> {
    networks.iter().map(|network| network.name().to_string()).collect()
}
