//! A node, as its users meet it: made of text or in code, over loopback.

mod admission;
mod bad_input;
mod candidates;
mod configure;
mod connectivity;
mod dialing;
mod endings;
mod files;
mod floods;
mod foreign;
mod gate;
mod host;
mod known;
mod leaks;
mod life;
mod limits;
mod named;
mod networks;
mod parts;
mod protocols;
mod runtimes;
mod trust;

// Links the plug-ins that the configs name.
use stackwire_bundle as _;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use stackwire_node::{Catalogue, ConnectionInfo, Event, EventStream, Multiaddr, Node, Protocol};

/// Far above anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everyone's config: `node` goes into `[node]`, `rest` to the end.
fn config(node: &str, rest: &str) -> String {
    format!(
        "[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n{node}\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n\
         [[muxer]]\nuse = \"yamux\"\n{rest}\n"
    )
}

fn catalogue() -> Catalogue {
    Catalogue::linked().expect("no two plug-ins of the bundle clash")
}

async fn node(node: &str, rest: &str) -> Node {
    Node::from_config(&config(node, rest), &catalogue()).await.expect("the config is good")
}

/// A node with protocols that were written here.
async fn node_with(settings: &str, protocols: Vec<Arc<dyn Protocol>>) -> Node {
    let text = format!("protocol = []\n{}", config(settings, ""));
    let mut stack = stackwire_config::Plan::parse(&text, &catalogue()).expect("the config is good").stack();
    stack.parts.protocols = protocols;
    Node::start(stack).await.expect("the node starts")
}

fn address(node: &Node) -> Multiaddr {
    node.addresses().into_iter().next().expect("it listens")
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// The oldest connection; a listener's end may be a moment behind the dialer's.
async fn accepted(node: &Node) -> Arc<ConnectionInfo> {
    in_time("a connection", async {
        loop {
            if let Some(connection) = node.connections().into_iter().next() {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
}

/// The first event that `pick` takes.
async fn event<T>(events: &mut EventStream, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    in_time("an event", async {
        loop {
            let event = events.next().await.expect("the node runs");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    })
    .await
}
