//! The floods.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use stackwire_core::{Multiaddr, address};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::Instant,
};

use crate::{
    HONEST, Victim, connect_from, host,
    identities::{identity, stack},
    initials::initials,
};

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP connections that say nothing.
    Silent,
    /// TCP connections that send a byte every two seconds.
    Dripping,
    /// QUIC Initials, each of another connection, that nothing follows.
    Initials,
    /// uTP SYNs, each of another connection, that nothing follows.
    Syns,
    /// Whole connections, each of another identity, that are kept and not used.
    Identities,
}

/// How much comes.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What comes.
    pub kind: Kind,
    /// So many at once.
    pub standing: usize,
    /// And so many more each second.
    pub rate: usize,
    /// From so many hosts; of one, from that of the honest peers where `same` says so.
    pub hosts: usize,
    /// Whether honest peers share a host with it.
    pub same: bool,
}

/// A flood that goes on until it is dropped.
pub struct Running {
    _tasks: JoinSet<()>,
    made: Arc<AtomicUsize>,
}

impl Running {
    /// Connections and packets that were made.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

/// At most so many connections are made at a time, so that the flooder itself keeps up.
const WORKERS: usize = 8;
/// No flood makes more than so many.
const MOST: usize = 200_000;

impl Flood {
    /// Begins. Returns when what stands is there.
    pub async fn start(self, victim: &Victim) -> Running {
        let made = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let target = |n: usize| address::split_socket(&victim.addresses[n]).expect("a socket address").0;
        match self.kind {
            Kind::Silent | Kind::Dripping | Kind::Identities => {
                for worker in 0..WORKERS {
                    let address = victim.addresses[0].clone();
                    tasks.spawn(self.connections(worker, target(0), address, made.clone()));
                }
            }
            Kind::Initials => {
                let packets = Arc::new(initials(2000).await);
                tasks.spawn(self.packets(target(1), made.clone(), move |n| packets[n % packets.len()].clone()));
            }
            Kind::Syns => {
                tasks.spawn(self.packets(target(2), made.clone(), syn));
            }
        }
        let standing = async {
            while made.load(Ordering::Relaxed) < self.standing {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // What the machine can't make in this time is not waited for; the table shows what there was.
        let _ = tokio::time::timeout(Duration::from_secs(60), standing).await;
        Running { _tasks: tasks, made }
    }

    fn from(self, n: usize) -> Ipv4Addr {
        if self.same && n.is_multiple_of(self.hosts) { HONEST } else { host(n % self.hosts) }
    }

    /// One worker's part of the connections: first those that stand, as quickly as can be, then at the rate.
    async fn connections(self, worker: usize, target: SocketAddr, address: Multiaddr, made: Arc<AtomicUsize>) {
        let stack = stack();
        let (mut held, mut silent): (JoinSet<()>, Vec<TcpStream>) = Default::default();
        let mut next = Instant::now();
        for n in (worker..MOST).step_by(WORKERS) {
            if n >= self.standing {
                if self.rate == 0 {
                    break;
                }
                next += Duration::from_secs_f64(WORKERS as f64 / self.rate as f64);
                tokio::time::sleep_until(next).await;
            } else {
                next = Instant::now();
            }
            // Those that the node has let go are forgotten here, too: a flooder has bounds of its own.
            if silent.len() > self.standing.max(self.rate) / WORKERS + 64 {
                silent.drain(..64);
            }
            while held.try_join_next().is_some() {}
            if let Ok(stream) = connect_from(self.from(n), target).await {
                match self.kind {
                    Kind::Silent => silent.push(stream),
                    Kind::Dripping => drop(held.spawn(drip(stream))),
                    _ => drop(held.spawn(identity(stack.clone(), stream, address.clone()))),
                }
            }
            made.fetch_add(1, Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    }

    async fn packets(
        self,
        target: SocketAddr,
        made: Arc<AtomicUsize>,
        packet: impl Fn(usize) -> Vec<u8> + Send + 'static,
    ) {
        let mut sockets = Vec::new();
        for n in 0..self.hosts.min(256) {
            sockets.push(UdpSocket::bind(SocketAddr::new(IpAddr::V4(self.from(n)), 0)).await.expect("a socket"));
        }
        let mut next = Instant::now();
        for n in 0..MOST {
            // Fails where the system has no room for it, as a network would.
            let _ = sockets[n % sockets.len()].send_to(&packet(n), target).await;
            made.fetch_add(1, Ordering::Relaxed);
            if n >= self.standing {
                next += Duration::from_secs_f64(1.0 / self.rate.max(1) as f64);
                tokio::time::sleep_until(next).await;
            } else {
                next = Instant::now();
                if n % 64 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }
}

/// A byte every two seconds, of a negotiation that would be as it should.
async fn drip(mut stream: TcpStream) {
    for byte in b"\x13/multistream/1.0.0\n\x07/noise\n" {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The first packet of a uTP connection (BEP 29).
fn syn(n: usize) -> Vec<u8> {
    let id = u16::try_from(n % 0xffff).unwrap_or(1);
    let mut packet = vec![0x41, 0];
    packet.extend(id.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend(0x0010_0000_u32.to_be_bytes());
    packet.extend([0, 1, 0, 0]);
    packet
}
