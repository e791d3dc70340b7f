//! Which sockets are used, and what becomes of them. Over a network in memory.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod network;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join;
use network::{Host, them, us};
use stackwire_conformance::{env, env_seeded, in_time, muxer::Side};
use stackwire_core::{
    BoxPipe, Dial, Dialed, Incoming, Kind, Listen, Listener, Multiaddr, Opened, Result, SessionExt, Transport,
};
use stackwire_plugin::{Descriptor, Plugin};
use stackwire_transport_quic::{Quic, QuicConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn quic(host: &Host) -> Quic {
    with(host, QuicConfig::default())
}

fn with(host: &Host, config: QuicConfig) -> Quic {
    Quic::over(config, Arc::new(host.clone())).unwrap()
}

fn at(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap()
}

async fn listen(quic: &Quic, port: u16) -> Result<Box<dyn Listener>> {
    quic.listen(Listen::new(&at(port), &them(), &env())).await
}

async fn dial(quic: &Quic, address: &Multiaddr) -> Result<Dialed> {
    static SEED: AtomicU64 = AtomicU64::new(0);
    let (us, env) = (us(), env_seeded(SEED.fetch_add(1, Ordering::Relaxed)));
    quic.dial(Dial::new(address, &us, &env).to(them().peer_id())).await
}

/// A dial to `listener`, both ends; also where it came from.
async fn connect(quic: &Quic, listener: &mut Box<dyn Listener>) -> (Dialed, Opened, Multiaddr) {
    let address = listener.addresses().remove(0);
    let accept = async {
        let Incoming { open, remote, .. } = listener.accept().await.unwrap();
        (open.await.unwrap(), remote)
    };
    let (dialed, (opened, remote)) = in_time("a connection", join(dial(quic, &address), accept)).await;
    (dialed.unwrap(), opened, remote)
}

fn run(dialed: Dialed, opened: Opened) -> (Side, Side) {
    let run = |stage| Side::run(network::half(network::top(stage)));
    (run(dialed.stage), run(opened.stage))
}

async fn ping(ours: &mut BoxPipe, listener: &Side) {
    ours.write_all(b"ping").await.unwrap();
    let mut theirs = listener.session.accept().await.unwrap();
    theirs.read_exact(&mut [0; 4]).await.unwrap();
    theirs.write_all(b"pong").await.unwrap();
    theirs.shutdown().await.unwrap();
    in_time("a pong", ours.read_exact(&mut [0; 4])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dials_leave_from_the_socket_of_a_listener() {
    let host = Host::default();
    let (here, there) = (quic(&host), quic(&host));
    let mut theirs = listen(&there, 2).await.unwrap();
    let (dialed, _opened, remote) = connect(&here, &mut theirs).await;
    let first = dialed.local.unwrap();
    assert_eq!(first, remote);
    let (dialed, ..) = connect(&here, &mut theirs).await;
    assert_eq!(dialed.local.unwrap(), first, "one socket for all dials");

    let mut ours = listen(&here, 1).await.unwrap();
    let (dialed, _opened, remote) = connect(&here, &mut theirs).await;
    assert_eq!((dialed.local.unwrap(), remote), (at(1), at(1)));
    // Others still reach us there.
    connect(&there, &mut ours).await;
    drop(ours);
    let (dialed, ..) = connect(&here, &mut theirs).await;
    assert_eq!(dialed.local.unwrap(), first, "it is not listened on any more");
}

#[tokio::test(start_paused = true)]
async fn a_dial_leaves_from_a_listener_only_by_the_interface_that_the_route_takes() {
    let host = Host::default();
    host.0.leaves_by("192.0.2.7".parse().unwrap());
    let (here, there) = (quic(&host), quic(&host));
    let listen_at = async |quic: &Quic, at: &str| {
        let address = at.parse().unwrap();
        quic.listen(Listen::new(&address, &them(), &env())).await.unwrap()
    };
    let mut theirs = listen_at(&there, "/ip4/192.0.2.1/udp/2/quic-v1").await;
    let _elsewhere = listen_at(&here, "/ip4/10.0.0.7/udp/1/quic-v1").await;
    let (_dialed, _opened, remote) = connect(&here, &mut theirs).await;
    assert!(!remote.to_string().starts_with("/ip4/10.0.0.7"), "{remote} would not be answered");
    let _on_the_way = listen_at(&here, "/ip4/192.0.2.7/udp/3/quic-v1").await;
    let (dialed, _opened, remote) = connect(&here, &mut theirs).await;
    assert_eq!(remote.to_string(), "/ip4/192.0.2.7/udp/3/quic-v1");
    assert_eq!(dialed.local, Some(remote));
}

#[tokio::test(start_paused = true)]
async fn a_socket_whose_listener_is_gone_refuses_until_it_is_listened_on_again() {
    let host = Host::default();
    let (here, there) = (quic(&host), quic(&host));
    let mut listener = listen(&there, 1).await.unwrap();
    let (dialed, opened, _) = connect(&here, &mut listener).await;
    let (dialer, accepted) = run(dialed, opened);
    drop(listener);
    let refused = in_time("a dial", dial(&here, &at(1))).await.err().unwrap();
    assert_eq!(refused.kind(), &Kind::Refused, "{refused}");
    let mut listener = listen(&there, 1).await.unwrap();
    let taken = listen(&there, 1).await.err().unwrap();
    assert_eq!(taken.kind(), &Kind::AddressInUse, "{taken}");
    connect(&here, &mut listener).await;
    // The connection from before goes on beside.
    ping(&mut dialer.session.open().await.unwrap(), &accepted).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_is_free_after_the_last_connection_whatever_is_kept_of_that() {
    let host = Host::default();
    let (here, there) = (quic(&host), quic(&host));
    let mut listener = listen(&there, 1).await.unwrap();
    let (dialed, opened, _) = connect(&here, &mut listener).await;
    let (dialer, accepted) = run(dialed, opened);
    let mut kept = dialer.session.open().await.unwrap();
    kept.write_all(b"!").await.unwrap();
    let kept = (kept, accepted.session.accept().await.unwrap(), accepted.session.clone());
    drop(listener);
    accepted.session.close(0);
    accepted.end().await.unwrap();
    let mut waited = 0;
    // Somebody else's transport, so that it can't take the socket up.
    while let Err(error) = listen(&quic(&host), 1).await {
        assert_eq!(error.kind(), &Kind::AddressInUse, "{error}");
        assert!(waited < 100, "the address is still taken");
        waited += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(kept);
}

#[tokio::test(start_paused = true)]
async fn when_many_shake_hands_dialers_must_prove_their_address() {
    let host = Host::default();
    let strict = with(&host, QuicConfig { retry_above: 0, ..QuicConfig::default() });
    let mut listener = listen(&strict, 1).await.unwrap();
    let (dialed, opened, _) = connect(&quic(&host), &mut listener).await;
    let (dialer, accepted) = run(dialed, opened);
    ping(&mut dialer.session.open().await.unwrap(), &accepted).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_is_given_up() {
    let host = Host::default();
    let (here, there) = (quic(&host), with(&host, QuicConfig { retry_above: 0, ..QuicConfig::default() }));
    let mut listener = listen(&there, 1).await.unwrap();
    let address = at(1);
    let dialing = dial(&here, &address);
    let accepting = async { listener.accept().await.unwrap().open.await };
    // The Retry and its answer take three milliseconds.
    let stalling = async {
        tokio::time::sleep(Duration::from_micros(2500)).await;
        host.0.lose_every(1);
    };
    let ((dialed, opened), ()) = in_time("giving up", join(join(dialing, accepting), stalling)).await;
    assert_eq!(dialed.err().unwrap().kind(), &Kind::Unreachable);
    assert_eq!(opened.err().unwrap().kind(), &Kind::Timeout { limit: Duration::from_secs(10) });
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_a_dialer_that_never_answers() {
    let host = Host::default();
    let (here, there) = (quic(&host), quic(&host));
    let mut listener = listen(&there, 1).await.unwrap();
    host.0.mute("127.0.0.1:1".parse().unwrap());
    let address = at(1);
    let dialing = dial(&here, &address);
    let accepting = async {
        tokio::time::timeout(Duration::from_secs(60), listener.accept()).await.map(|incoming| incoming.map(|_| ()))
    };
    let (dialed, accepted) = join(dialing, accepting).await;
    assert_eq!(dialed.err().unwrap().kind(), &Kind::Unreachable);
    assert!(accepted.is_err(), "{accepted:?}");
}

#[test]
fn options_out_of_range_are_named() {
    let quic = Descriptor::of::<QuicConfig>("this crate");
    for (options, named) in [
        ("handshake_timeout_secs = 0", "handshake_timeout_secs"),
        ("idle_timeout_secs = 0", "idle_timeout_secs"),
        ("keep_alive_secs = 30", "keep_alive_secs"),
        ("ack_timeout_secs = 4", "ack_timeout_secs"),
        ("max_streams = 0", "max_streams"),
        ("max_streams = 70000", "max_streams"),
        ("stream_window = 100", "stream_window"),
        ("connection_window = 100000", "connection_window"),
        ("max_udp_payload = 1199", "max_udp_payload"),
        ("backlog = 0", "backlog"),
        ("congestion = \"none\"", "congestion"),
    ] {
        let problem = quic.build_from(options).err().unwrap();
        assert!(problem.message.contains(named) || options.contains("none"), "{options}: {problem}");
    }
    for congestion in ["cubic", "bbr", "newreno"] {
        assert!(quic.build_from(&format!("congestion = \"{congestion}\"")).is_ok());
    }
    assert!(quic.build_from(QuicConfig::SUMMARY.example).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_congestion_controller_moves_bytes_over_large_packets() {
    use stackwire_transport_quic::Congestion::{Bbr, Cubic, NewReno};
    for congestion in [Cubic, Bbr, NewReno] {
        let config = QuicConfig { congestion, max_udp_payload: 9000, ..QuicConfig::default() };
        let quic = Quic::new(config).unwrap();
        let mut listener = listen(&quic, 0).await.unwrap();
        let (dialed, opened, _) = connect(&Quic::new(config).unwrap(), &mut listener).await;
        let (dialer, accepted) = run(dialed, opened);
        let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
        let mut ours = dialer.session.open().await.unwrap();
        let sending = async {
            ours.write_all(&sent).await.unwrap();
            ours.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut got = Vec::new();
            accepted.session.accept().await.unwrap().read_to_end(&mut got).await.unwrap();
            got
        };
        let ((), got) = in_time("three megabytes", join(sending, receiving)).await;
        assert!(got == sent);
    }
}
