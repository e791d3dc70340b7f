//! A node behind a NAT finds out where others see it, and believes four networks, not one peer.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use stackwire_core::{
    Dial, Dialed, Event, ExternalAddress, Incoming, Listen, Listener, Multiaddr, Opened, Result, Stage, Transport,
    address,
};
use stackwire_node::Reason;
use stackwire_sim::SimNode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

/// A machine's way to the Internet: what is `here` in its own network others see `outside`. Its packets leave from the port
/// that it listens on.
struct Street {
    below: Arc<dyn Transport>,
    here: SocketAddr,
    outside: SocketAddr,
    /// Whom it takes everybody for, if it does.
    blind: Option<SocketAddr>,
}

fn number(at: SocketAddr) -> Multiaddr {
    let SocketAddr::V4(at) = at else { panic!("this street has IPv4 only") };
    format!("/memory/{}", u64::from(u32::from(*at.ip())) << 16 | u64::from(at.port())).parse().expect("a number")
}

fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let (socket, kind, rest) = address::split_socket(address)?;
    (kind == address::Transport::Tcp && rest.is_empty()).then_some(socket)
}

#[async_trait]
impl Transport for Street {
    fn name(&self) -> &'static str {
        "street"
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        socket(address).is_some()
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        socket(address).is_some()
    }

    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let to = number(socket(dial.address).expect("it was asked"));
        let dialed = self.below.dial(Dial::new(&to, dial.identity, dial.env)).await?;
        let Stage::Raw(mut pipe) = dialed.stage else { panic!("memory is raw") };
        let SocketAddr::V4(outside) = self.outside else { panic!("this street has IPv4 only") };
        pipe.write_u32(u32::from(*outside.ip())).await?;
        pipe.write_u16(outside.port()).await?;
        pipe.flush().await?;
        Ok(Dialed { stage: Stage::Raw(pipe), local: Some(address::tcp(self.here)), round_trips: 1 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let at = number(self.outside);
        let below = self.below.listen(Listen::new(&at, listen.identity, listen.env)).await?;
        Ok(Box::new(Door { below, here: self.here, blind: self.blind }))
    }
}

struct Door {
    below: Box<dyn Listener>,
    here: SocketAddr,
    blind: Option<SocketAddr>,
}

#[async_trait]
impl Listener for Door {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![address::tcp(self.here)]
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let Incoming { remote, open, .. } = self.below.accept().await?;
        let blind = self.blind;
        let open = async move {
            let Stage::Raw(mut pipe) = open.await?.stage else { panic!("memory is raw") };
            let ip = Ipv4Addr::from(pipe.read_u32().await?);
            let from = SocketAddr::V4(SocketAddrV4::new(ip, pipe.read_u16().await?));
            Ok(Opened { stage: Stage::Raw(pipe), remote: Some(address::tcp(blind.unwrap_or(from))) })
        };
        Ok(Incoming { remote, local: address::tcp(self.here), open: open.boxed() })
    }
}

async fn node(number: u8, here: &str, outside: &str, blind: Option<&str>) -> SimNode {
    let text =
        "[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n".to_string();
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let (here, outside, blind) = (at(here), at(outside), blind.map(at));
    let started = SimNode::start_changed(14, number, &text, vec![], |stack| {
        let below = stack.parts.transports.remove(0);
        stack.parts.transports.push(Arc::new(Street { below, here, outside, blind }));
        stack.settings.listen = vec![address::tcp(here)];
    });
    started.await.expect("a node starts")
}

const HOME: &str = "192.168.1.5:4001";
const OUTSIDE: &str = "203.0.113.7:31000";

/// A peer in the world, which sees everybody as they are or as somebody else.
async fn peer(number: u8, ip: &str, blind: Option<&str>) -> SimNode {
    let at = format!("{ip}:9");
    node(number, &at, &at, blind).await
}

async fn meet(node: &SimNode, peer: &SimNode) {
    node.node.connect(&peer.addresses()[0]).await.expect("it listens");
    // Identify goes its way.
    sleep(Duration::from_secs(1)).await;
}

fn told(node: &SimNode) -> Vec<(String, &'static str, u32)> {
    let told = |external: ExternalAddress| (external.address.to_string(), external.source, external.confidence);
    node.node.external_addresses().into_iter().map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn four_networks_make_an_address_ours_and_it_goes_with_them() {
    let home = node(1, HOME, OUTSIDE, None).await;
    let outside = "/ip4/203.0.113.7/tcp/31000";
    let mut events = home.node.events();
    let mut peers = Vec::new();
    for (number, ip) in (2..).zip(["198.51.100.1", "198.51.100.2", "198.51.100.3"]) {
        peers.push(peer(number, ip, None).await);
        meet(&home, peers.last().expect("it was put there")).await;
    }
    // Others of the same network add nothing.
    let neighbour = node(10, "198.51.100.3:10", "198.51.100.3:10", None).await;
    meet(&home, &neighbour).await;
    assert!(told(&home).is_empty(), "three are not enough: {:?}", told(&home));
    peers.push(peer(5, "198.51.100.4", None).await);
    meet(&home, &peers[3]).await;
    assert_eq!(told(&home), [(outside.to_string(), "observed", 4)]);
    let confirmed = async {
        loop {
            if let Some(Event::ExternalAddress { address, source, confidence }) = events.next().await {
                return (address.to_string(), source, confidence);
            }
        }
    };
    assert_eq!(confirmed.await, (outside.to_string(), "observed", 4));
    // Those who are connected are told, and others find us there.
    let known = peers[0].node.remote(&home.peer_id()).expect("it has been identified").listen.clone();
    assert_eq!(known, [outside.parse().expect("an address")]);
    let stranger = peer(6, "198.51.100.9", None).await;
    stranger.node.connect(&known[0]).await.expect("the NAT lets it in");

    for peer in &peers {
        home.node.host().disconnect(&peer.peer_id(), Reason::Normal, "the test is over");
    }
    sleep(Duration::from_secs(29 * 60)).await;
    assert_eq!(told(&home).len(), 1, "it outlives its connections for a while");
    sleep(Duration::from_secs(2 * 60)).await;
    assert!(told(&home).is_empty());
    let gone = async {
        loop {
            if let Some(Event::ExternalAddressGone { address, source }) = events.next().await {
                return (address.to_string(), source);
            }
        }
    };
    assert_eq!(gone.await, (outside.to_string(), "observed"));
}

#[tokio::test(start_paused = true)]
async fn who_lies_does_no_harm() {
    let home = node(1, HOME, "203.0.113.7:31001", None).await;
    let victim = "198.51.101.66:666";
    // Numbers of the memory belong to the process: no address is one of the other test.
    // One host with many peers that all say the same, and three more hosts' worth of lies that differ.
    for number in 0..12 {
        let at = format!("198.51.101.1:{}", 100 + u16::from(number));
        let liar = node(20 + number, &at, &at, Some(victim)).await;
        meet(&home, &liar).await;
    }
    for (number, ip) in (50..).zip(["198.51.101.2", "198.51.101.3"]) {
        meet(&home, &peer(number, ip, Some(victim)).await).await;
    }
    assert!(told(&home).is_empty(), "{:?}", told(&home));
    for (number, ip) in (60..).zip(["198.51.101.11", "198.51.101.12", "198.51.101.13", "198.51.101.14"]) {
        meet(&home, &peer(number, ip, None).await).await;
    }
    let told: Vec<_> = told(&home).into_iter().map(|(address, ..)| address).collect();
    assert_eq!(told, ["/ip4/203.0.113.7/tcp/31001"], "the truth comes through");
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_names_is_told_at_once() {
    let text = |external: &str| {
        format!(
            "[node]\nexternal = [{external}]\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n\
             [[muxer]]\nuse = \"yamux\"\n"
        )
    };
    let node = SimNode::start(3, 1, &text("\"/ip4/203.0.113.7/tcp/1\""), vec![]).await.expect("it starts");
    assert_eq!(told(&node), [("/ip4/203.0.113.7/tcp/1".to_string(), "config", 1)]);
    assert_eq!(node.node.host().local().listen.len(), 1);
    node.configure(&text("\"/dns4/node.example/tcp/1\"")).await.expect("it is good");
    assert_eq!(told(&node), [("/dns4/node.example/tcp/1".to_string(), "config", 1)]);
    node.configure(&text("")).await.expect("it is good");
    assert!(told(&node).is_empty());
}
