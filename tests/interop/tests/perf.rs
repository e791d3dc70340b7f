//! The published client and server of perf, which are for an older version of `libp2p` than the rest: so that meets
//! us, too.

use std::time::Duration;

use futures::StreamExt;
use libp2p_of_perf::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use libp2p_perf::{RunParams, RunUpdate, client, server};
use stackwire_interop::{Muxer, Ours, Peer, Security, Stack, Transport, in_time};
use stackwire_node::address;
use tokio::sync::oneshot;

const STACK: Stack = Stack { transport: Transport::Tcp, security: Security::Tls, muxer: Muxer::Yamux };
const UP: usize = 8 << 20;
const DOWN: usize = 5 << 20;

fn swarm<B: NetworkBehaviour>(behaviour: B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), tls::Config::new, yamux::Config::default)
        .expect("a key makes a certificate")
        .with_behaviour(|_| behaviour)
        .expect("this can't fail")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("it listens");
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

async fn connected<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> PeerId {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => return peer_id,
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
            SwarmEvent::IncomingConnectionError { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
}

/// Dials `address` and measures.
async fn measure(address: Multiaddr) {
    let mut swarm = swarm(client::Behaviour::new());
    swarm.dial(address).expect("it dials");
    let peer = connected(&mut swarm).await;
    swarm.behaviour_mut().perf(peer, RunParams { to_send: UP, to_receive: DOWN }).expect("it is connected");
    loop {
        match swarm.select_next_some().await {
            // It counts what it receives until it has what it asked for.
            SwarmEvent::Behaviour(event) => match event.result.expect("everything arrives") {
                RunUpdate::Final(_) => return,
                RunUpdate::Intermediate(_) => {}
            },
            SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
            _ => {}
        }
    }
}

/// Listens, tells where, serves one measurement, and returns the swarm: it must outlive what is still under way, or its
/// socket is reset with bytes in it.
async fn serve(listening: oneshot::Sender<(Multiaddr, PeerId)>) -> Swarm<server::Behaviour> {
    let mut swarm = swarm(server::Behaviour::new());
    let address = listen(&mut swarm).await;
    listening.send((address, *swarm.local_peer_id())).expect("somebody wants to know");
    connected(&mut swarm).await;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(event) => {
                // Seen from the server.
                assert_eq!((event.stats.params.to_receive, event.stats.params.to_send), (UP, DOWN));
                return swarm;
            }
            SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn their_client_measures_our_server() {
    let ours = Ours::start(STACK).await;
    let address = address::with_peer(&ours.address(), ours.id()).to_string();
    in_time("measuring", measure(address.parse().expect("an address"))).await;
}

#[tokio::test]
async fn our_client_measures_their_server() {
    let ours = Ours::start(STACK).await;
    let (listening, heard) = oneshot::channel::<(Multiaddr, PeerId)>();
    let measure = async {
        let (address, peer) = heard.await.expect("it listens");
        ours.connect(format!("{address}/p2p/{peer}").parse().expect("an address")).await;
        let peer = peer.to_string().parse().expect("a peer id");
        ours.perf(peer, UP as u64, DOWN as u64).await;
    };
    in_time("measuring", async { tokio::join!(serve(listening), measure) }).await;
}

#[tokio::test]
async fn their_client_measures_their_server() {
    let (listening, heard) = oneshot::channel::<(Multiaddr, PeerId)>();
    let measure = async {
        let (address, _) = heard.await.expect("it listens");
        measure(address).await;
    };
    in_time("measuring", async { tokio::join!(serve(listening), measure) }).await;
}
