//! What is particular to uTP, and what strangers may send.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use futures::future::join;
use stackwire_conformance::{
    in_time,
    transport::{LAWS, Subject},
};
use stackwire_core::{
    AddressPart, BoxPipe, Dial, Env, Error, Incoming, Keypair, Kind, Listener, Multiaddr, Runtime, Stage, Transport,
    address, reset_code,
};
use stackwire_plugin::{Catalogue, Plugin};
use stackwire_transport_utp::{Utp, UtpConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

fn subject(config: UtpConfig, listen: &str) -> Subject {
    let transport = Utp::new(config).expect("the options are in range");
    Subject::new(Arc::new(transport), listen.parse().expect("an address"))
}

fn on_loopback() -> Subject {
    subject(UtpConfig::default(), "/ip4/127.0.0.1/udp/0/utp")
}

/// Both ends of a connection of `from` to `listener`, and where the listener saw it come from.
async fn connect(
    from: &Subject,
    listener: &mut Box<dyn Listener>,
    address: &Multiaddr,
) -> (BoxPipe, BoxPipe, Multiaddr) {
    let (dialed, incoming) = in_time("a connection", join(from.dial(address), listener.accept())).await;
    let Incoming { remote, open, .. } = incoming.unwrap();
    match (dialed.unwrap().stage, open.await.unwrap().stage) {
        (Stage::Raw(a), Stage::Raw(b)) => (a, b, remote),
        _ => panic!("uTP gives bytes"),
    }
}

async fn listen(subject: &Subject) -> (Box<dyn Listener>, Multiaddr) {
    let listener = subject.listen_on(&subject.listen).await.unwrap();
    let address = listener.addresses().remove(0);
    (listener, address)
}

fn socket_of(address: &Multiaddr) -> SocketAddr {
    address::split_socket(address).unwrap().0
}

async fn refusal(subject: &Subject, address: &Multiaddr) -> Error {
    in_time("a dial", subject.dial(address)).await.err().expect("a dial to nobody fails")
}

async fn ping(a: &mut BoxPipe, b: &mut BoxPipe) {
    let ping = async {
        a.write_all(b"ping").await.unwrap();
        a.flush().await.unwrap();
        assert_eq!(b.read_u32().await.unwrap(), u32::from_be_bytes(*b"ping"));
    };
    in_time("a ping", ping).await;
}

#[test]
fn it_is_registered_with_an_example_that_means_the_defaults() {
    let catalogue = Catalogue::linked().unwrap();
    let descriptor = catalogue.named("utp").next().unwrap();
    descriptor.build_from(descriptor.summary.example).unwrap();
}

#[test]
fn options_out_of_range_are_refused_with_a_reason() {
    let normal = UtpConfig::default();
    for (config, option) in [
        (UtpConfig { target_delay_ms: 0, ..normal }, "target_delay_ms"),
        (UtpConfig { target_delay_ms: 101, ..normal }, "target_delay_ms"),
        (UtpConfig { send_buffer: 0, ..normal }, "send_buffer"),
        (UtpConfig { receive_buffer: u32::MAX, ..normal }, "receive_buffer"),
        (UtpConfig { packet_size: 20, ..normal }, "packet_size"),
        (UtpConfig { packet_size: 65_535, ..normal }, "packet_size"),
        (UtpConfig { backlog: 0, ..normal }, "backlog"),
        (UtpConfig { max_connections: 0, ..normal }, "max_connections"),
        (UtpConfig { timeout_secs: 0, ..normal }, "timeout_secs"),
        (UtpConfig { keepalive_secs: 0, ..normal }, "keepalive_secs"),
        (UtpConfig { socket_buffer: 0, ..normal }, "socket_buffer"),
    ] {
        let error = config.build().err().unwrap();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains(option), "{error}");
    }
}

mod between_two_nodes {
    //! The laws let a transport dial itself; here the dialer has a socket of its own, for that connection alone.

    use super::*;

    #[tokio::test]
    async fn a_closed_port_refuses_at_once() {
        let (ours, theirs) = (on_loopback(), on_loopback());
        let (listener, address) = listen(&theirs).await;
        drop(listener);
        let error = refusal(&ours, &address).await;
        assert_eq!(error.kind(), &Kind::Refused, "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_port_whose_listener_is_gone_refuses_at_once() {
        let (ours, theirs) = (on_loopback(), on_loopback());
        let (mut listener, address) = listen(&theirs).await;
        let (mut a, mut b, _) = connect(&ours, &mut listener, &address).await;
        drop(listener);
        assert_eq!(refusal(&ours, &address).await.kind(), &Kind::Refused);
        ping(&mut a, &mut b).await;
    }

    #[tokio::test]
    async fn ends_are_felt_on_the_other_side() {
        let (ours, theirs) = (on_loopback(), on_loopback());
        let (mut listener, address) = listen(&theirs).await;

        let (mut a, mut b, _) = connect(&ours, &mut listener, &address).await;
        a.write_all(b"bye").await.unwrap();
        in_time("a shutdown", a.shutdown()).await.unwrap();
        drop(a);
        let mut text = String::new();
        in_time("the end", b.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "bye");

        let (mut a, mut b, _) = connect(&ours, &mut listener, &address).await;
        a.reset(9);
        assert_eq!(reset_code(&in_time("a reset", b.read_u8()).await.unwrap_err()), Some(0));
        assert_eq!(reset_code(&a.write_u8(1).await.unwrap_err()), Some(9), "our own side remembers its code");

        let (mut a, b, _) = connect(&ours, &mut listener, &address).await;
        drop(b);
        let written = async {
            loop {
                if let Err(error) = a.write_all(&[0; 10_000]).await {
                    return error;
                }
            }
        };
        in_time("the end of writing", written).await;
    }

    #[tokio::test]
    async fn a_dial_that_is_given_up_is_told_to_the_peer() {
        let (ours, theirs) = (on_loopback(), on_loopback());
        let (mut listener, address) = listen(&theirs).await;
        let incoming = {
            let mut dial = std::pin::pin!(ours.dial(&address));
            // Until the other side has heard of it; whether we have its answer is a matter of chance.
            tokio::select! {
                biased;
                incoming = listener.accept() => incoming.unwrap(),
                _ = &mut dial => listener.accept().await.unwrap(),
            }
        };
        let Stage::Raw(mut pipe) = incoming.open.await.unwrap().stage else { panic!("uTP gives bytes") };
        let mut nothing = Vec::new();
        let _either_end = in_time("the end", pipe.read_to_end(&mut nothing)).await;
        assert!(nothing.is_empty());
    }

    #[tokio::test]
    async fn a_connection_of_a_runtime_that_is_gone_fails() {
        let theirs = on_loopback();
        let (mut listener, address) = listen(&theirs).await;
        let (pipe, other) = std::sync::mpsc::channel();
        let dialer = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let Stage::Raw(dialed) = on_loopback().dial(&address).await.unwrap().stage else { panic!("bytes") };
                pipe.send(dialed).unwrap();
            });
        });
        in_time("a connection", listener.accept()).await.unwrap();
        tokio::task::spawn_blocking(|| dialer.join().unwrap()).await.unwrap();
        let mut pipe: BoxPipe = other.recv().unwrap();
        let error = Error::from(pipe.read_u8().await.unwrap_err());
        assert_eq!(error.kind(), &Kind::Closed, "{error}");
        drop(pipe);
    }
}

#[tokio::test]
async fn dials_leave_from_a_listeners_port() {
    let (ours, theirs) = (on_loopback(), on_loopback());
    let (our_listener, our_address) = listen(&ours).await;
    let (mut listener, address) = listen(&theirs).await;
    let mut pipes = Vec::new();
    for _ in 0..3 {
        let (a, b, remote) = connect(&ours, &mut listener, &address).await;
        assert_eq!(remote, our_address);
        pipes.push((a, b));
    }
    for (a, b) in &mut pipes {
        ping(a, b).await;
    }
    drop(our_listener);
    let (_a, _b, remote) = connect(&ours, &mut listener, &address).await;
    assert_ne!(remote, our_address, "nothing new leaves from a port that we no longer listen on");
    for (a, b) in &mut pipes {
        ping(a, b).await;
    }
}

#[tokio::test]
async fn a_taken_port_is_named_together_with_the_fix() {
    let (ours, theirs) = (on_loopback(), on_loopback());
    let (_listener, address) = listen(&ours).await;
    for subject in [ours, theirs] {
        let error = subject.listen_on(&address).await.err().unwrap();
        assert_eq!(error.kind(), &Kind::AddressInUse);
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("another port, or 0"), "{text}");
    }
    let error = on_loopback().listen_on(&"/ip4/203.0.113.77/udp/0/utp".parse().unwrap()).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::AddressInvalid, "{error}");
}

#[tokio::test]
async fn a_wildcard_stands_for_all_addresses_of_the_machine() {
    let subject = subject(UtpConfig::default(), "/ip4/0.0.0.0/udp/0/utp");
    let (mut listener, _) = listen(&subject).await;
    let addresses = listener.addresses();
    let loopback = AddressPart::Ip4(Ipv4Addr::LOCALHOST);
    assert!(addresses.iter().any(|a| a.iter().next() == Some(loopback.clone())), "{addresses:?}");
    for address in &addresses {
        let incoming = async {
            let incoming = listener.accept().await.unwrap();
            assert!(addresses.contains(&incoming.local), "{} is one of ours", incoming.local);
        };
        let (dialed, ()) = in_time("a connection", join(on_loopback().dial(address), incoming)).await;
        dialed.unwrap();
    }
}

/// `/ip4/127.0.0.2/…` with the port of `address`, which the system takes for no answer of its own accord. `None`, said
/// aloud, where loopback has one address only.
async fn another(address: &Multiaddr) -> Option<Multiaddr> {
    let ip = Ipv4Addr::new(127, 0, 0, 2);
    if let Err(error) = UdpSocket::bind((ip, 0)).await {
        eprintln!("skipped: this machine has no {ip} ({error})");
        return None;
    }
    Some(address::udp(SocketAddr::new(ip.into(), socket_of(address).port())).with(AddressPart::Utp))
}

#[tokio::test]
async fn a_wildcard_answers_from_the_address_that_was_asked() {
    let subject = subject(UtpConfig::default(), "/ip4/0.0.0.0/udp/0/utp");
    let (mut listener, address) = listen(&subject).await;
    let Some(other) = another(&address).await else { return };
    let first = AddressPart::Ip4(Ipv4Addr::LOCALHOST);
    let first = listener.addresses().into_iter().find(|a| a.iter().next() == Some(first.clone())).unwrap();

    // The sockets hear nothing from other addresses than they ask.
    let strangers = [stranger(&first).await, stranger(&other).await];
    for stranger in &strangers {
        stranger.send(&packet(STATE, 9, 1, 1)).await.unwrap();
        assert_eq!(answer(stranger).await, (RESET, 9));
    }
    for (stranger, address) in strangers.iter().zip([&first, &other]) {
        let ack = ask(stranger, 10).await;
        prove(stranger, 10, ack).await;
        let incoming = in_time("a connection", listener.accept()).await.unwrap();
        assert_eq!(&incoming.local, address);
        drop(incoming);
        let (kind, connection) = answer(stranger).await;
        assert_eq!(connection, 10, "the end of the connection, a packet of type {kind}");
    }

    // A dialer with a socket for this connection alone.
    let (mut a, mut b, _) = connect(&on_loopback(), &mut listener, &other).await;
    ping(&mut a, &mut b).await;
    ping(&mut b, &mut a).await;
}

/// One socket may ask two addresses of ours for a connection of the same number.
#[tokio::test]
async fn connections_at_two_addresses_are_two() {
    let subject = subject(UtpConfig::default(), "/ip4/0.0.0.0/udp/0/utp");
    let (mut listener, address) = listen(&subject).await;
    let Some(other) = another(&address).await else { return };
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket_of(&address).port();
    let mut pipes = Vec::new();
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), socket_of(&other)] {
        stranger.connect(address).await.unwrap();
        let ack = ask(&stranger, 10).await;
        prove(&stranger, 10, ack).await;
        let incoming = in_time("a connection", listener.accept()).await.unwrap();
        assert_eq!(socket_of(&incoming.local), address);
        let Stage::Raw(pipe) = incoming.open.await.unwrap().stage else { panic!("uTP gives bytes") };
        pipes.push(pipe);
    }
}

/// Whether this machine has IPv6, said aloud where it has not.
async fn has_ipv6() -> bool {
    let subject = subject(UtpConfig::default(), "/ip6/::1/udp/0/utp");
    match subject.listen_on(&subject.listen).await {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: this machine has no IPv6 ({error})");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_obeys_the_laws() {
    if has_ipv6().await {
        for (name, law) in LAWS {
            eprintln!("{name}");
            law(subject(UtpConfig::default(), "/ip6/::1/udp/0/utp")).await;
        }
    }
}

#[tokio::test]
async fn an_ipv6_wildcard_takes_ipv4_only_if_it_is_told_to() {
    if !has_ipv6().await {
        return;
    }
    let loopback = AddressPart::Ip4(Ipv4Addr::LOCALHOST);
    for dual_stack in [false, true] {
        let subject = subject(UtpConfig { dual_stack, ..UtpConfig::default() }, "/ip6/::/udp/0/utp");
        let (mut listener, _) = listen(&subject).await;
        let addresses = listener.addresses();
        let ipv4 = addresses.iter().find(|a| a.iter().next() == Some(loopback.clone()));
        assert_eq!(ipv4.is_some(), dual_stack, "{addresses:?}");
        if let Some(ipv4) = ipv4 {
            let (mut a, mut b, remote) = connect(&subject, &mut listener, ipv4).await;
            assert!(address::ip_of(&remote).is_some_and(|ip| ip.is_ipv4()), "{remote} is shown as what it is");
            ping(&mut a, &mut b).await;
            if let Some(other) = another(ipv4).await {
                let (mut a, mut b, _) = connect(&on_loopback(), &mut listener, &other).await;
                ping(&mut a, &mut b).await;
                let (mut a, mut b, _) = connect(&subject, &mut listener, &other).await;
                ping(&mut a, &mut b).await;
            }
        }
    }
}

/// A packet of version 1 without payload.
fn packet(kind: u8, connection: u16, seq: u16, ack: u16) -> Vec<u8> {
    let words = [0u32, 0, 1 << 20].map(u32::to_be_bytes).concat();
    [&[kind << 4 | 1, 0][..], &connection.to_be_bytes(), &words, &seq.to_be_bytes(), &ack.to_be_bytes()].concat()
}

const STATE: u8 = 2;
const RESET: u8 = 3;
const SYN: u8 = 4;

/// The type, connection and sequence number of the next packet that comes.
async fn answer_with_seq(stranger: &UdpSocket) -> (u8, u16, u16) {
    let mut buffer = [0; 2000];
    let n = in_time("an answer", stranger.recv(&mut buffer)).await.unwrap();
    assert!(n >= 20);
    let u16_at = |at: usize| u16::from_be_bytes([buffer[at], buffer[at + 1]]);
    (buffer[0] >> 4, u16_at(2), u16_at(16))
}

async fn answer(stranger: &UdpSocket) -> (u8, u16) {
    let (kind, connection, _) = answer_with_seq(stranger).await;
    (kind, connection)
}

/// Asks for a connection. The number that shows that the answer came.
async fn ask(stranger: &UdpSocket, connection: u16) -> u16 {
    stranger.send(&packet(SYN, connection, 1, 0)).await.unwrap();
    let (kind, answered, seq) = answer_with_seq(stranger).await;
    assert_eq!((kind, answered), (STATE, connection));
    seq.wrapping_sub(1)
}

/// Shows that the answer came.
async fn prove(stranger: &UdpSocket, connection: u16, ack: u16) {
    stranger.send(&packet(STATE, connection + 1, 2, ack)).await.unwrap();
}

async fn stranger(to: &Multiaddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(socket_of(to)).await.unwrap();
    socket
}

#[tokio::test]
async fn noise_and_packets_of_no_connection_disturb_nobody() {
    let subject = on_loopback();
    let (mut listener, address) = listen(&subject).await;
    let (mut a, mut b, _) = connect(&on_loopback(), &mut listener, &address).await;
    let stranger = stranger(&address).await;
    for noise in [&b""[..], b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", &[0x21; 20], &[0xff; 1400]] {
        stranger.send(noise).await.unwrap();
    }
    stranger.send(&packet(RESET, 7, 1, 1)).await.unwrap();
    stranger.send(&packet(STATE, 9, 1, 1)).await.unwrap();
    assert_eq!(answer(&stranger).await, (RESET, 9), "only the packet of a connection that does not exist is answered");
    ping(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_full_backlog_answers_nobody_until_there_is_room() {
    let subject = subject(UtpConfig { backlog: 2, ..UtpConfig::default() }, "/ip4/127.0.0.1/udp/0/utp");
    let (mut listener, address) = listen(&subject).await;
    let stranger = stranger(&address).await;
    for connection in [10, 20] {
        let ack = ask(&stranger, connection).await;
        prove(&stranger, connection, ack).await;
    }
    stranger.send(&packet(SYN, 30, 1, 0)).await.unwrap();
    // This one is answered in any case, so the third was not.
    stranger.send(&packet(STATE, 99, 1, 1)).await.unwrap();
    assert_eq!(answer(&stranger).await, (RESET, 99));
    let first = in_time("a connection", listener.accept()).await.unwrap();
    assert_eq!(socket_of(&first.remote), stranger.local_addr().unwrap());
    let ack = ask(&stranger, 30).await;
    assert_eq!(ask(&stranger, 30).await, ack, "asking again is answered again");
    drop(listener);
    assert_eq!(answer(&stranger).await, (RESET, 20), "what was not accepted is reset");
    prove(&stranger, 30, ack).await;
    assert_eq!(answer(&stranger).await, (RESET, 31), "who proves too late is told so");
}

#[tokio::test]
async fn connections_that_nobody_has_any_more_make_room() {
    let subject = subject(UtpConfig { max_connections: 2, ..UtpConfig::default() }, "/ip4/127.0.0.1/udp/0/utp");
    let (mut listener, address) = listen(&subject).await;
    let mut strangers = Vec::new();
    for connection in [10, 20] {
        let stranger = stranger(&address).await;
        let ack = ask(&stranger, connection).await;
        prove(&stranger, connection, ack).await;
        let incoming = in_time("a connection", listener.accept()).await.unwrap();
        let Stage::Raw(mut pipe) = incoming.open.await.unwrap().stage else { panic!("uTP gives bytes") };
        // The stranger never acknowledges it, so that it is sent again and again after the pipe is gone.
        pipe.write_all(b"goodbye").await.unwrap();
        pipe.flush().await.unwrap();
        strangers.push(stranger);
    }
    let (mut a, mut b, _) = connect(&on_loopback(), &mut listener, &address).await;
    ping(&mut a, &mut b).await;
}

#[tokio::test]
async fn nobody_arrives_who_shows_the_wrong_number() {
    let subject = on_loopback();
    let (mut listener, address) = listen(&subject).await;
    let stranger = stranger(&address).await;
    for connection in (0..3000).step_by(10) {
        let ack = ask(&stranger, connection).await;
        for wrong in 1..=4 {
            prove(&stranger, connection, ack.wrapping_add(wrong * 1000)).await;
        }
    }
    let (mut a, mut b, _) = connect(&on_loopback(), &mut listener, &address).await;
    ping(&mut a, &mut b).await;
    assert!(futures::poll!(std::pin::pin!(listener.accept())).is_pending(), "nobody else has arrived");
}

#[tokio::test]
async fn a_peer_that_never_answers_is_unreachable() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let utp = Utp::new(UtpConfig { timeout_secs: 1, ..UtpConfig::default() }).unwrap();
    let address = format!("/ip4/127.0.0.1/udp/{port}/utp").parse().unwrap();
    let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), stackwire_conformance::env());
    let dial = Dial::new(&address, &identity, &env);
    let error = in_time("a dial", utp.dial(dial)).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::Unreachable, "{error}");
}

#[tokio::test]
async fn an_idle_socket_ends_with_its_last_connection() {
    let tasks = Arc::new(());
    let env = Env::new(Counting(tasks.clone()));
    let utp = Utp::default();
    let identity = Keypair::ed25519_from_seed([1; 32]);
    let theirs = on_loopback();
    let (mut listener, address) = listen(&theirs).await;
    let dial = Dial::new(&address, &identity, &env);
    let (dialed, incoming) = in_time("a connection", join(utp.dial(dial), listener.accept())).await;
    let Stage::Raw(mut a) = dialed.unwrap().stage else { panic!("uTP gives bytes") };
    let Stage::Raw(mut b) = incoming.unwrap().open.await.unwrap().stage else { panic!("uTP gives bytes") };
    in_time("closing", async {
        tokio::try_join!(a.shutdown(), b.shutdown()).unwrap();
        drop((a, env));
        // The task has its share until it ends; there is no event to wait for.
        while Arc::strong_count(&tasks) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// An environment whose tasks hold a share of something.
struct Counting(Arc<()>);

impl Runtime for Counting {
    fn now(&self) -> std::time::Instant {
        std::time::Instant::now()
    }
    fn unix_time(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    fn sleep(&self, duration: std::time::Duration) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
    fn spawn(&self, task: futures::future::BoxFuture<'static, ()>) {
        let share = self.0.clone();
        tokio::spawn(async move {
            task.await;
            drop(share);
        });
    }
}
