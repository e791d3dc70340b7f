//! Plug-ins of several parts, services, and what plug-ins register while the node runs.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use stackwire_config::Parts;
use stackwire_node::{
    CandidateSink, Discovery, Error, Host, Kind, Nat, PeerId, ProtocolId, Registration, Result, Route, Router, Stream,
    Target, address::Origin,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::*;

/// A little of everything: knows one peer, serves a protocol, finds candidates, and says how often each part was run.
#[derive(Default)]
struct Oracle {
    known: parking_lot::Mutex<Option<(PeerId, Multiaddr)>>,
    runs: AtomicUsize,
    ran: Notify,
}

/// How others find the oracle.
trait Knows: Send + Sync {
    fn knows(&self, peer: PeerId, address: Multiaddr);
}

impl Oracle {
    async fn run_a_part(&self) {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.ran.notify_waiters();
        // Until it is dropped.
        let _running = Running(self);
        std::future::pending::<()>().await;
    }

    async fn runs(&self, count: usize) {
        in_time("the parts", async {
            loop {
                let changed = self.ran.notified();
                if self.runs.load(Ordering::SeqCst) == count {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }
}

struct Running<'a>(&'a Oracle);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::SeqCst);
        self.0.ran.notify_waiters();
    }
}

impl Knows for Oracle {
    fn knows(&self, peer: PeerId, address: Multiaddr) {
        *self.known.lock() = Some((peer, address));
    }
}

#[async_trait]
impl Router for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }
    fn find<'a>(&'a self, target: &Target, _: &'a Host) -> BoxStream<'a, Result<Route>> {
        let known = self.known.lock().clone().filter(|(peer, _)| *target == Target::Peer(*peer));
        stream::iter(known.map(|(peer, address)| Ok(Route::new(peer, address, Origin::Operator, "oracle")))).boxed()
    }
}

#[async_trait]
impl Discovery for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }
    async fn run(&self, _: &dyn CandidateSink, _: &Host) -> Result<()> {
        self.run_a_part().await;
        Ok(())
    }
}

#[async_trait]
impl Nat for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }
    async fn run(&self, host: &Host) -> Result<()> {
        let _mapped = host.advertise("/ip4/192.0.2.7/tcp/7".parse().expect("an address"), "mapper")?;
        self.run_a_part().await;
        Ok(())
    }
}

#[async_trait]
impl Protocol for Oracle {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/oracle".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        stream.write_all(b"yes").await?;
        Ok(stream.shutdown().await?)
    }
    async fn run(&self, _: &Host) {
        self.run_a_part().await;
    }
}

async fn ask(node: &Node, peer: PeerId, id: &'static str) -> Result<String> {
    let mut stream = node.open_stream(peer, &[id.into()]).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Until `node` says of itself what `fits`.
async fn told(node: &Node, fits: impl Fn(&stackwire_node::LocalInfo) -> bool) {
    let mut events = node.host().connection_events();
    while !fits(&node.host().local()) {
        event(&mut events, |event| matches!(event, Event::LocalChanged).then_some(())).await;
    }
}

#[tokio::test]
async fn a_plug_in_of_several_parts_is_one_thing_with_one_state() {
    let oracle = Arc::new(Oracle::default());
    let parts = Parts::new().router(oracle.clone()).discovery(oracle.clone()).nat(oracle.clone());
    let parts = parts.protocol(oracle.clone()).service::<dyn Knows>(oracle.clone());
    let builder = stackwire_node::Builder::from_config(&config("", ""), &catalogue()).expect("the config is good");
    let with_oracle = builder.parts(parts).start().await.expect("the node starts");
    // Three parts of one object run side by side.
    oracle.runs(3).await;
    let other = super::node("", "").await;
    assert!(with_oracle.connect_peer(other.peer_id()).await.is_err(), "nobody knows where it is");
    let service = with_oracle.host().service::<dyn Knows>().expect("the oracle is a service");
    service.knows(other.peer_id(), stackwire_node::address::split_peer(&address(&other)).0);
    with_oracle.connect_peer(other.peer_id()).await.expect("the router part shares what the service was told");
    accepted(&other).await;
    assert_eq!(ask(&other, with_oracle.peer_id(), "/oracle").await.unwrap(), "yes");
    with_oracle.shutdown().await;
    oracle.runs(0).await;
}

#[tokio::test]
async fn parts_that_code_adds_run_until_the_node_stops_through_every_reload() {
    let oracle = Arc::new(Oracle::default());
    let parts = Parts::new().nat(oracle.clone()).service::<dyn Knows>(oracle.clone());
    let text = config("", "");
    let builder = stackwire_node::Builder::from_config(&text, &catalogue()).expect("the config is good");
    let node = builder.parts(parts).start().await.expect("the node starts");
    oracle.runs(1).await;
    node.reload(&text, &catalogue()).await.expect("the same config is good");
    oracle.runs(1).await;
    assert!(node.host().service::<dyn Knows>().is_some(), "services of code survive a reload");
    drop(node);
    oracle.runs(0).await;
}

#[tokio::test]
async fn what_is_advertised_is_told_until_it_is_withdrawn() {
    let (node, mapped) = (super::node("", "").await, "/ip4/192.0.2.9/tcp/9".parse::<Multiaddr>().unwrap());
    let first = node.host().advertise(mapped.clone(), "test").unwrap();
    let second = node.host().advertise(mapped.clone(), "test").unwrap();
    told(&node, |local| local.listen.contains(&mapped)).await;
    assert_eq!(node.host().local().listen.iter().filter(|address| **address == mapped).count(), 1);
    assert!(node.addresses().iter().any(|address| address.to_string().starts_with("/ip4/192.0.2.9")));
    drop(first);
    assert!(node.host().local().listen.contains(&mapped), "somebody still advertises it");
    drop(second);
    told(&node, |local| !local.listen.contains(&mapped)).await;
    node.host().advertise(mapped.clone(), "test").unwrap().keep();
    assert!(node.host().local().listen.contains(&mapped), "until the node stops");
}

#[tokio::test]
async fn protocols_come_and_go_while_the_node_runs() {
    let (server, client) = (super::node("", "").await, super::node("", "").await);
    client.connect(&address(&server)).await.unwrap();
    let (peer, host) = (server.peer_id(), server.host());
    assert!(ask(&client, peer, "/oracle").await.is_err());
    let oracle = Arc::new(Oracle::default());
    let serving: Registration = host.serve(oracle.clone()).unwrap();
    oracle.runs(1).await;
    assert!(host.local().protocols.contains(&"/oracle".into()));
    assert_eq!(ask(&client, peer, "/oracle").await.unwrap(), "yes");

    // One server for an id.
    let error = host.serve(oracle.clone()).unwrap_err();
    assert!(*error.kind() == Kind::ConfigInvalid && error.to_string().contains("/oracle"), "{error}");
    // A new config leaves it alone.
    server.reload(&config("", ""), &catalogue()).await.unwrap();
    assert_eq!(ask(&client, peer, "/oracle").await.unwrap(), "yes");

    // A stream that is open goes on.
    let mut open = client.open_stream(peer, &["/oracle".into()]).await.unwrap();
    let mut first = [0];
    open.read_exact(&mut first).await.unwrap();
    drop(serving);
    oracle.runs(0).await;
    let mut rest = String::new();
    open.read_to_string(&mut rest).await.unwrap();
    assert_eq!((first, rest.as_str()), (*b"y", "es"));
    told(&server, |local| !local.protocols.contains(&"/oracle".into())).await;
    let error: Error = in_time("a refusal", ask(&client, peer, "/oracle")).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error}");
}
