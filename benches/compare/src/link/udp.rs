//! UDP through a link.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet, time::Instant};

use super::{
    Link,
    line::{Line, until},
    trips::{End, Trips},
};

/// The longest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// What the kernel may hold of a socket, as far as it allows so much.
const SOCKET: usize = 8 << 20;
/// Flows at once; datagrams of further ones are dropped.
const MAX_FLOWS: usize = 16_384;
/// How long a socket that failed waits before it is read again.
const RETRY: Duration = Duration::from_millis(1);

/// Binds where the link is to be dialed.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    let options = socket2::SockRef::from(&socket);
    // Where the kernel allows less, it takes what it allows.
    let _ = options.set_recv_buffer_size(SOCKET);
    let _ = options.set_send_buffer_size(SOCKET);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Carries the datagrams of every flow, until it is dropped.
pub async fn run(link: Arc<Link>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let Ok((n, client)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        if !flows.contains_key(&client) {
            match Flow::open(&link, &socket, client, &mut tasks).await {
                Ok(flow) if flows.len() < MAX_FLOWS => flows.insert(client, flow),
                _ => continue,
            };
        }
        if let Some(flow) = flows.get(&client) {
            flow.up.push(&link.up, &flow.trips, End::Client, &buffer[..n]);
        }
    }
}

/// What one client sends and receives.
struct Flow {
    up: Queue,
    trips: Arc<Trips>,
}

impl Flow {
    async fn open(
        link: &Arc<Link>,
        outside: &Arc<UdpSocket>,
        client: SocketAddr,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Self> {
        let any: SocketAddr = if link.to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let inside = Arc::new(bind(any)?);
        inside.connect(link.to).await?;
        let trips = link.ledger.begin(Instant::now(), &[]);
        let (up, from_client) = Queue::new(link.shape.capacity());
        let (down, from_server) = Queue::new(link.shape.capacity());
        let (to_server, account) = (inside.clone(), trips.clone());
        tasks.spawn(from_client.deliver(account, End::Server, async move |datagram| {
            let _ = to_server.send(datagram).await;
        }));
        let (to_client, account) = (outside.clone(), trips.clone());
        tasks.spawn(from_server.deliver(account, End::Client, async move |datagram| {
            let _ = to_client.send_to(datagram, client).await;
        }));
        let (link, account) = (link.clone(), trips.clone());
        tasks.spawn(async move {
            let mut buffer = vec![0; MAX_DATAGRAM];
            loop {
                match inside.recv(&mut buffer).await {
                    Ok(n) => down.push(&link.down, &account, End::Server, &buffer[..n]),
                    // Nobody is there (yet), says the other machine.
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
            }
        });
        Ok(Self { up, trips })
    }
}

/// Where datagrams wait, at most so many bytes of them.
struct Queue {
    sender: mpsc::UnboundedSender<Datagram>,
    waiting: Arc<AtomicUsize>,
    capacity: usize,
}

/// The other end of it.
struct Delivery {
    receiver: mpsc::UnboundedReceiver<Datagram>,
    waiting: Arc<AtomicUsize>,
}

struct Datagram {
    due: Instant,
    depth: u32,
    bytes: Box<[u8]>,
}

/// What a datagram counts for beyond its bytes, so that empty ones are bounded too.
const OVERHEAD: usize = 28;

impl Queue {
    fn new(capacity: usize) -> (Self, Delivery) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        (Self { sender, waiting: waiting.clone(), capacity }, Delivery { receiver, waiting })
    }

    /// Sends a datagram; drops it where too many wait.
    fn push(&self, line: &Line, trips: &Trips, from: End, datagram: &[u8]) {
        let length = datagram.len() + OVERHEAD;
        if self.waiting.load(Ordering::Relaxed) + length > self.capacity {
            return;
        }
        self.waiting.fetch_add(length, Ordering::Relaxed);
        let due = line.send(Instant::now(), length);
        let _ = self.sender.send(Datagram { due, depth: trips.sent(from), bytes: datagram.into() });
    }
}

impl Delivery {
    async fn deliver(mut self, trips: Arc<Trips>, to: End, send: impl AsyncFn(&[u8])) {
        while let Some(datagram) = self.receiver.recv().await {
            until(datagram.due).await;
            trips.arrived(to, datagram.depth);
            send(&datagram.bytes).await;
            self.waiting.fetch_sub(datagram.bytes.len() + OVERHEAD, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::line::Shape, *};

    #[tokio::test]
    async fn a_full_queue_drops_what_comes_last() {
        let shape = Shape { delay: Duration::from_secs(1), rate: Some(1_000_000) };
        let (line, trips) = (Line::new(shape), Trips::begin(Instant::now(), &[]));
        let (queue, mut delivery) = Queue::new(2 * (100 + OVERHEAD));
        for n in 0..3 {
            queue.push(&line, &trips, End::Client, &[n; 100]);
        }
        let mut kept = Vec::new();
        while let Ok(datagram) = delivery.receiver.try_recv() {
            kept.push(datagram.bytes[0]);
        }
        assert_eq!(kept, [0, 1]);
    }

    #[tokio::test]
    async fn datagrams_go_through_and_back_for_each_client() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let shape = Shape { delay: Duration::from_millis(2), rate: None };
        let link = Arc::new(Link::new(shape, server.local_addr().unwrap()));
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let serve = async {
            let mut buffer = [0; 64];
            loop {
                let (n, from) = server.recv_from(&mut buffer).await.unwrap();
                server.send_to(&buffer[..n], from).await.unwrap();
            }
        };
        let talk = async {
            let clients =
                [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
            for (n, client) in clients.iter().enumerate() {
                client.send_to(&[n as u8], address).await.unwrap();
            }
            for (n, client) in clients.iter().enumerate() {
                let mut buffer = [0; 64];
                assert_eq!(client.recv(&mut buffer).await.unwrap(), 1);
                assert_eq!(buffer[0], n as u8);
            }
        };
        tokio::select! {
            () = run(link.clone(), socket) => unreachable!("it runs until it is dropped"),
            () = serve => unreachable!("it serves for ever"),
            () = talk => {}
        }
        let reached = link.ledger.reached_ms();
        assert_eq!(reached.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    }
}
