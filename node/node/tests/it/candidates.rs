//! What discoveries offer, withdraw and replace, and what becomes of it.

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_node::{
    Candidate, CandidateSink, Discovery, Host, Keypair, Kind, PeerId, Result,
    address::{self, Origin},
};
use tokio::sync::{mpsc, oneshot};

use super::*;

/// What a test has its discovery say.
enum Say {
    Offer(Candidate),
    Withdraw(Option<PeerId>, Multiaddr),
    Replace(Vec<Candidate>),
}

/// What to say, and who waits until it is said.
type Order = (Say, oneshot::Sender<()>);

/// Says what it is told to.
struct Told(&'static str, Mutex<Option<mpsc::UnboundedReceiver<Order>>>);

#[async_trait]
impl Discovery for Told {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn run(&self, sink: &dyn CandidateSink, _: &Host) -> Result<()> {
        let mut orders = self.1.lock().take().expect("it runs once");
        while let Some((say, done)) = orders.recv().await {
            match say {
                Say::Offer(candidate) => sink.offer(candidate).await,
                Say::Withdraw(peer, address) => sink.withdraw(peer, &address).await,
                Say::Replace(candidates) => sink.replace(candidates).await,
            }
            done.send(()).expect("the test waits");
        }
        Ok(())
    }
}

struct Source(mpsc::UnboundedSender<Order>);

impl Source {
    async fn say(&self, say: Say) {
        let (done, said) = oneshot::channel();
        assert!(self.0.send((say, done)).is_ok(), "the discovery runs");
        in_time("the node to take it", said).await.expect("the discovery runs");
    }
}

fn source(name: &'static str) -> (Source, Told) {
    let (orders, told) = mpsc::unbounded_channel();
    (Source(orders), Told(name, Mutex::new(Some(told))))
}

fn candidate(peer: PeerId, address: &Multiaddr, expires_in: Option<Duration>) -> Candidate {
    let address = address::split_peer(address).0;
    Candidate { peer: Some(peer), address, source: "test", origin: Origin::Operator, expires_in }
}

/// A peer that nobody is.
fn nobody(seed: u8) -> PeerId {
    Keypair::ed25519_from_seed([seed; 32]).peer_id()
}

/// Until the node knows an address of `peer`, or knows none.
async fn until_known(node: &Node, peer: PeerId, known: bool) {
    in_time("the address book", async {
        loop {
            let error = node.connect_peer(peer).await.expect_err("nobody is there");
            if matches!(error.kind(), Kind::DialFailed(_)) == known {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// An address at which nobody listens.
const DEAD: &str = "/ip4/127.0.0.1/tcp/1";

async fn start(discovery: Told, more: Option<Told>) -> Node {
    let builder = stackwire_node::Builder::from_config(&config("", ""), &catalogue()).expect("the config is good");
    let builder = builder.discovery(discovery);
    let builder = match more {
        Some(more) => builder.discovery(more),
        None => builder,
    };
    builder.start().await.expect("the node starts")
}

#[tokio::test]
async fn what_is_withdrawn_by_all_is_forgotten() {
    let ((one, first), (other, second)) = (source("one"), source("other"));
    let node = start(first, Some(second)).await;
    let (peer, dead) = (nobody(1), DEAD.parse::<Multiaddr>().unwrap());
    one.say(Say::Offer(candidate(peer, &dead, None))).await;
    other.say(Say::Offer(candidate(peer, &dead, None))).await;
    until_known(&node, peer, true).await;
    one.say(Say::Withdraw(Some(peer), dead.clone())).await;
    // What one source says is done in order.
    one.say(Say::Offer(candidate(nobody(2), &dead, None))).await;
    until_known(&node, nobody(2), true).await;
    until_known(&node, peer, true).await;
    other.say(Say::Withdraw(Some(peer), dead)).await;
    until_known(&node, peer, false).await;
}

#[tokio::test]
async fn a_set_takes_the_place_of_the_last_one() {
    let (source, discovery) = source("one");
    let node = start(discovery, None).await;
    let dead: Multiaddr = DEAD.parse().unwrap();
    let set = |seeds: &[u8]| Say::Replace(seeds.iter().map(|seed| candidate(nobody(*seed), &dead, None)).collect());
    source.say(set(&[1, 2])).await;
    until_known(&node, nobody(1), true).await;
    until_known(&node, nobody(2), true).await;
    source.say(set(&[2, 3])).await;
    until_known(&node, nobody(1), false).await;
    until_known(&node, nobody(2), true).await;
    until_known(&node, nobody(3), true).await;
    // A source that the config no longer has vouches for nobody.
    node.reload_stack(stackwire_config::Plan::parse(&config("", ""), &catalogue()).unwrap().stack()).await.unwrap();
    until_known(&node, nobody(3), false).await;
}

#[tokio::test]
async fn a_candidate_expires_and_one_that_is_connected_stays_so() {
    let (source, discovery) = source("one");
    let node = start(discovery, None).await;
    let dead: Multiaddr = DEAD.parse().unwrap();
    let other = super::node("", "").await;
    source.say(Say::Offer(candidate(other.peer_id(), &address(&other), Some(Duration::from_millis(300))))).await;
    source.say(Say::Offer(candidate(nobody(1), &dead, Some(Duration::from_millis(300))))).await;
    accepted(&other).await;
    until_known(&node, nobody(1), false).await;
    let connection = accepted(&node).await;
    assert_eq!(connection.peer, other.peer_id());
}
