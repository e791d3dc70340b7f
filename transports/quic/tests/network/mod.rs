//! A network in memory: datagrams arrive in order, a little later, and time may be paused.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::{HashMap, VecDeque},
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{future::join, task::AtomicWaker};
use parking_lot::Mutex;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use stackwire_conformance::{env_seeded, muxer::Half};
use stackwire_core::{Dial, Keypair, Listen, Multiplexed, Stage, Transport};
use stackwire_transport_quic::{Quic, QuicConfig, Sockets};
use tokio::time::{Instant, Sleep, sleep_until};

/// Datagrams that a socket holds, as a system's would; further ones are lost.
const MAX_WAITING: usize = 4096;
/// Where ports that nobody asked for begin.
const FIRST_FREE: u16 = 50_000;
/// How long a datagram is on its way. With none, paused time would never move on while QUIC paces its packets.
const LATENCY: Duration = Duration::from_millis(1);

/// Sockets by their addresses.
#[derive(Debug, Default)]
pub struct Network {
    ports: Mutex<HashMap<SocketAddr, Arc<Port>>>,
    next: AtomicU16,
    /// Every so manieth datagram is lost; 0: none.
    lost: AtomicUsize,
    sent: AtomicUsize,
    /// Whose datagrams are all lost.
    mute: Mutex<Option<SocketAddr>>,
    /// Sockets stay on the addresses that they ask for, and packets to others leave by this one.
    way_out: Mutex<Option<IpAddr>>,
}

impl Network {
    /// From now on loses whatever leaves from `address`.
    pub fn mute(&self, address: SocketAddr) {
        *self.mute.lock() = Some(address);
    }

    /// From now on the machine has several interfaces, and packets that leave it have this address.
    pub fn leaves_by(&self, way_out: IpAddr) {
        *self.way_out.lock() = Some(way_out);
    }

    /// From now on loses every so manieth datagram: 0 none, 1 all.
    pub fn lose_every(&self, lost: usize) {
        self.lost.store(lost, Ordering::Relaxed);
    }

    fn loses_next(&self) -> bool {
        let (lost, sent) = (self.lost.load(Ordering::Relaxed), self.sent.fetch_add(1, Ordering::Relaxed) + 1);
        lost > 0 && sent.is_multiple_of(lost)
    }
}

/// When a datagram arrives, and where it comes from.
type Datagram = (Instant, SocketAddr, Vec<u8>);

/// What is on its way to an address.
#[derive(Debug, Default)]
struct Port {
    waiting: Mutex<VecDeque<Datagram>>,
    reader: AtomicWaker,
    arrival: Mutex<Option<Pin<Box<Sleep>>>>,
}

#[derive(Debug)]
struct NetworkSocket {
    network: Arc<Network>,
    local: SocketAddr,
    port: Arc<Port>,
}

/// [`Sockets`] of a network.
#[derive(Clone, Debug, Default)]
pub struct Host(pub Arc<Network>);

impl Sockets for Host {
    fn bind(&self, mut address: SocketAddr, _: usize) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // One machine is enough.
        if self.0.way_out.lock().is_none() || address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        if address.port() == 0 {
            address.set_port(FIRST_FREE + self.0.next.fetch_add(1, Ordering::Relaxed));
        }
        let port = Arc::new(Port::default());
        let mut ports = self.0.ports.lock();
        if ports.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        ports.insert(address, port.clone());
        Ok(Arc::new(NetworkSocket { network: self.0.clone(), local: address, port }))
    }

    fn source(&self, _: SocketAddr) -> io::Result<IpAddr> {
        Ok(self.0.way_out.lock().unwrap_or(Ipv4Addr::LOCALHOST.into()))
    }
}

impl Drop for NetworkSocket {
    fn drop(&mut self) {
        self.network.ports.lock().remove(&self.local);
    }
}

impl AsyncUdpSocket for NetworkSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if transmit.contents.len() > 65_507 {
            // So says Linux of a batch that does not fit into an IPv4 packet; a lost packet, as quinn passes it over.
            return Ok(());
        }
        if *self.network.mute.lock() == Some(self.local) {
            return Ok(());
        }
        let Some(port) = self.network.ports.lock().get(&transmit.destination).cloned() else { return Ok(()) };
        let arrives = Instant::now() + LATENCY;
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        {
            let mut waiting = port.waiting.lock();
            for segment in transmit.contents.chunks(size) {
                if waiting.len() < MAX_WAITING && !self.network.loses_next() {
                    waiting.push_back((arrives, self.local, segment.to_vec()));
                }
            }
        }
        port.reader.wake();
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.port.reader.register(cx.waker());
        let mut waiting = self.port.waiting.lock();
        let (mut received, now) = (0, Instant::now());
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            if waiting.front().is_none_or(|(arrives, ..)| *arrives > now) {
                break;
            }
            let Some((_, addr, datagram)) = waiting.pop_front() else { break };
            let len = datagram.len().min(buffer.len());
            buffer[..len].copy_from_slice(&datagram[..len]);
            *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: Some(self.local.ip()) };
            received += 1;
        }
        if received > 0 {
            return Poll::Ready(Ok(received));
        }
        let next = waiting.front().map(|(arrives, ..)| *arrives);
        drop(waiting);
        let mut arrival = self.port.arrival.lock();
        *arrival = next.map(|next| Box::pin(sleep_until(next)));
        if arrival.as_mut().is_some_and(|arrival| arrival.as_mut().poll(cx).is_ready()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        10
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Who dials.
pub fn us() -> Keypair {
    Keypair::ed25519_from_seed([1; 32])
}

/// Who listens.
pub fn them() -> Keypair {
    Keypair::ed25519_from_seed([2; 32])
}

/// Both ends of a connection over a network of its own: first the dialer's.
pub async fn connect(dialer: QuicConfig, listener: QuicConfig) -> (Multiplexed, Multiplexed) {
    connect_on(&Host::default(), dialer, listener).await
}

/// Both ends of a connection over this network: first the dialer's.
pub async fn connect_on(host: &Host, dialer: QuicConfig, listener: QuicConfig) -> (Multiplexed, Multiplexed) {
    let host = Arc::new(host.clone());
    let transport = |config| Quic::over(config, host.clone()).expect("the options are in range");
    let (dialer, listener) = (transport(dialer), transport(listener));
    let (us, them, here, there) = (us(), them(), env_seeded(1), env_seeded(2));
    let address = "/ip4/127.0.0.1/udp/4001/quic-v1".parse().expect("an address");
    let listen = Listen::new(&address, &them, &there);
    let mut listener = listener.listen(listen).await.expect("listening works");
    let dial = dialer.dial(Dial::new(&address, &us, &here).to(them.peer_id()));
    let accept = async { listener.accept().await.expect("accepting works").open.await };
    let (dialed, accepted) = join(dial, accept).await;
    (top(dialed.expect("dialing works").stage), top(accepted.expect("opening works").stage))
}

/// What a QUIC connection always is.
pub fn top(stage: Stage) -> Multiplexed {
    match stage {
        Stage::Multiplexed(top) => top,
        _ => panic!("QUIC reaches the top"),
    }
}

/// The session and driver of an end.
pub fn half(top: Multiplexed) -> Half {
    (top.session, top.driver)
}
