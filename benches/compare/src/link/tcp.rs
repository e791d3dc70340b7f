//! TCP through a link.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::{
    Link,
    line::{Line, until},
    trips::{End, Trips},
};

/// What is read at once.
const CHUNK: usize = 64 << 10;
/// What the kernel may hold of each of our sockets, so that bytes wait in the link's queue and not beside it.
const SOCKET: u32 = 256 << 10;
const BACKLOG: u32 = 4096;
/// How long a listener that could not accept waits before it tries again.
const RETRY: Duration = Duration::from_millis(10);

/// Listens where the link is to be dialed.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(SOCKET)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Carries every connection, until it is dropped.
pub async fn run(link: Arc<Link>, listener: TcpListener) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                let link = link.clone();
                connections.spawn(async move { connection(&link, client).await });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Carries one connection. An end that fails takes the other with it.
async fn connection(link: &Link, client: TcpStream) -> io::Result<()> {
    let (begin, delay) = (Instant::now(), link.shape.delay);
    let trips = link.ledger.begin(begin, &[2 * delay]);
    let socket = if link.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(SOCKET)?;
    let server = socket.connect(link.to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The kernels have shaken hands with us, which took no time. On a real link the client may speak after one round
    // trip, and the server hears of the connection half a one later.
    let up = Way { line: &link.up, trips: &trips, from: End::Client, not_before: begin + 2 * delay };
    let down = Way { line: &link.down, trips: &trips, from: End::Server, not_before: begin + 3 * delay };
    let capacity = link.shape.capacity();
    tokio::try_join!(up.carry(from_client, to_server, capacity), down.carry(from_server, to_client, capacity))?;
    Ok(())
}

/// One direction of one connection.
struct Way<'a> {
    line: &'a Line,
    trips: &'a Trips,
    from: End,
    not_before: Instant,
}

/// Bytes under way.
struct Chunk {
    due: Instant,
    depth: u32,
    /// Empty: the end.
    bytes: Bytes,
}

impl Way<'_> {
    /// Moves bytes until the sender ends; then tells the receiver. At most `capacity` are under way: the sender waits.
    async fn carry(
        &self,
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
        capacity: usize,
    ) -> io::Result<()> {
        let space = Semaphore::new(capacity.max(CHUNK));
        // Bounded by `space`: every chunk but the last holds at least a byte.
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::try_join!(self.take(from, sender, &space), self.give(to, receiver, &space))?;
        Ok(())
    }

    async fn take(
        &self,
        mut from: impl AsyncRead + Unpin,
        queue: mpsc::UnboundedSender<Chunk>,
        space: &Semaphore,
    ) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            let permit = space.acquire_many(CHUNK as u32).await.map_err(io::Error::other)?;
            buffer.reserve(CHUNK);
            let n = (&mut from).take(CHUNK as u64).read_buf(&mut buffer).await?;
            let ready = Instant::now().max(self.not_before);
            let chunk = Chunk {
                due: self.line.send(ready, n),
                depth: self.trips.sent(self.from),
                bytes: buffer.split().freeze(),
            };
            permit.forget();
            space.add_permits(CHUNK - n);
            if queue.send(chunk).is_err() || n == 0 {
                return Ok(());
            }
        }
    }

    async fn give(
        &self,
        mut to: impl AsyncWrite + Unpin,
        mut queue: mpsc::UnboundedReceiver<Chunk>,
        space: &Semaphore,
    ) -> io::Result<()> {
        let other = if self.from == End::Client { End::Server } else { End::Client };
        while let Some(chunk) = queue.recv().await {
            until(chunk.due).await;
            if chunk.bytes.is_empty() {
                return to.shutdown().await;
            }
            // Before the write: whoever answers it does so afterwards.
            self.trips.arrived(other, chunk.depth);
            to.write_all(&chunk.bytes).await?;
            space.add_permits(chunk.bytes.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::{super::line::Shape, *};

    const SHAPE: Shape = Shape { delay: Duration::from_millis(30), rate: Some(1_000_000) };

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_in_order_after_the_delay_and_then_the_end() {
        let (mut client, from) = duplex(1 << 20);
        let (to, mut server) = duplex(1 << 20);
        let (line, begin) = (Line::new(SHAPE), Instant::now());
        let trips = Trips::begin(begin, &[]);
        let way = Way { line: &line, trips: &trips, from: End::Client, not_before: begin };
        let sent: Vec<u8> = (0..200_000).map(|n| n as u8).collect();
        let talk = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), 0);
            assert!(begin.elapsed() >= Duration::from_millis(29), "{:?}", begin.elapsed());
            let mut received = vec![0];
            server.read_to_end(&mut received).await.unwrap();
            assert!(received == sent);
            let took = begin.elapsed();
            assert!((Duration::from_millis(229)..Duration::from_millis(235)).contains(&took), "{took:?}");
        };
        let (carried, ()) = tokio::join!(way.carry(from, to, SHAPE.capacity()), talk);
        carried.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_link_makes_the_sender_wait() {
        let (mut client, from) = duplex(1);
        let (to, server) = duplex(1);
        let (line, begin) = (Line::new(SHAPE), Instant::now());
        let trips = Trips::begin(begin, &[]);
        let way = Way { line: &line, trips: &trips, from: End::Client, not_before: begin };
        let mut sent = 0;
        let talk = async {
            // The server does not read, so this ends with the clock.
            let flood = async {
                loop {
                    sent += client.write(&[0; 4096]).await.unwrap();
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(60), flood).await;
        };
        tokio::select! {
            _ = way.carry(from, to, CHUNK) => unreachable!("nobody has ended"),
            () = talk => {}
        }
        assert!((1..=CHUNK + 2).contains(&sent), "{sent}");
        drop(server);
    }

    #[tokio::test]
    async fn round_trips_are_counted_and_a_connection_costs_one() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shape = Shape { delay: Duration::from_millis(5), rate: None };
        let link = Arc::new(Link::new(shape, echo.local_addr().unwrap()));
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (mut socket, _) = echo.accept().await.unwrap();
            let (mut read, mut write) = socket.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let talk = async {
            let mut client = TcpStream::connect(address).await.unwrap();
            for n in 0..3 {
                client.write_u8(n).await.unwrap();
                assert_eq!(client.read_u8().await.unwrap(), n);
            }
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        };
        tokio::select! {
            () = run(link.clone(), listener) => unreachable!("it runs until it is dropped"),
            _ = async { tokio::join!(serve, talk) } => {}
        }
        let [ref reached] = link.ledger.reached_ms()[..] else { panic!("one connection") };
        assert_eq!(reached.len(), 4);
        assert_eq!(reached[0], 10.0, "the kernels' handshake takes a round trip too");
        assert!(reached[1] >= 19.0, "{reached:?}");
    }
}
