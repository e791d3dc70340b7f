//! Sockets, and where they come from.

use std::{
    fmt, io,
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use parking_lot::RwLock;
use quinn::{
    AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use stackwire_core::Env;
use stackwire_socket::{UdpOptions, bind_udp, source_towards};

use crate::unproven::Unproven;

/// The most bytes that the system takes in one call, which it splits into packets: what an IPv4 packet can hold. More
/// is refused as a whole, which quinn takes for a loss.
const BATCH: usize = 65_507;

/// Where UDP sockets come from: this machine, or a simulated network.
pub trait Sockets: fmt::Debug + Send + Sync + 'static {
    /// Binds `address`; port 0 asks for a free one. `buffer`: bytes to hold in each direction, as far as possible.
    fn bind(&self, address: SocketAddr, buffer: usize) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// The address that packets to `remote` leave from, on a socket that is bound to a wildcard. Fails where there is no
    /// way to `remote`.
    fn source(&self, remote: SocketAddr) -> io::Result<IpAddr>;
}

/// The sockets of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineSockets;

impl Sockets for MachineSockets {
    /// Must be called within a tokio runtime.
    fn bind(&self, address: SocketAddr, buffer: usize) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let buffer = Some(buffer);
        let options = UdpOptions { receive_buffer: buffer, send_buffer: buffer, ..UdpOptions::default() };
        TokioRuntime.wrap_udp_socket(bind_udp(address, options)?)
    }

    /// Asks the operating system's routes; sends nothing.
    fn source(&self, remote: SocketAddr) -> io::Result<IpAddr> {
        source_towards(remote)
    }
}

/// The wildcard of the family of `remote`, any port.
pub(crate) fn wildcard(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

/// A socket that can be closed while others still know it: every stream that an application has kept does, long after
/// its connection has ended.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: RwLock<Option<Arc<dyn AsyncUdpSocket>>>,
    local: SocketAddr,
    /// How many of the largest packets the system takes at once.
    segments: usize,
    /// The system took no more at the last send, so that pollers must ask it before the next.
    full: AtomicBool,
    pub(crate) unproven: Arc<Unproven>,
}

impl Socket {
    /// A socket for packets of up to `payload` bytes.
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>, payload: u16, env: Env) -> io::Result<Self> {
        let local = inner.local_addr()?;
        let segments = (BATCH / usize::from(payload)).max(1);
        let (inner, full) = (RwLock::new(Some(inner)), AtomicBool::new(false));
        Ok(Self { local, segments, inner, full, unproven: Arc::new(Unproven::new(env)) })
    }

    /// Frees the address.
    pub(crate) fn close(&self) {
        *self.inner.write() = None;
    }

    /// What the socket inside says now: a system's may find out by and by what it can't do.
    fn property<T>(&self, f: impl FnOnce(&dyn AsyncUdpSocket) -> T, otherwise: T) -> T {
        self.inner.read().as_ref().map_or(otherwise, |inner| f(&**inner))
    }

    fn with<T>(&self, f: impl FnOnce(&Arc<dyn AsyncUdpSocket>) -> io::Result<T>) -> io::Result<T> {
        match &*self.inner.read() {
            Some(inner) => f(inner),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, inner: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        let allowed = self.unproven.allowed(transmit.destination, transmit.contents, size);
        // What may not go counts as lost.
        let sent = match allowed {
            0 => Ok(()),
            _ if allowed == transmit.contents.len() => self.with(|inner| inner.try_send(transmit)),
            _ => {
                let (contents, segment_size) =
                    (&transmit.contents[..allowed], Some(size).filter(|size| *size < allowed));
                self.with(|inner| inner.try_send(&Transmit { contents, segment_size, ..*transmit }))
            }
        };
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.full.store(true, Ordering::Release);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        match &*self.inner.read() {
            Some(inner) => {
                let received = inner.poll_recv(cx, buffers, meta);
                if let Poll::Ready(Ok(count)) = received {
                    for (buffer, meta) in buffers.iter().zip(meta).take(count) {
                        let datagrams = buffer[..meta.len].chunks(meta.stride.max(1));
                        datagrams.for_each(|datagram| self.unproven.received(meta.addr, datagram));
                    }
                }
                received
            }
            // Nothing arrives any more; whoever waits for it is about to end.
            None => Poll::Pending,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        self.property(|inner| inner.max_transmit_segments(), 1).min(self.segments)
    }

    fn max_receive_segments(&self) -> usize {
        self.property(|inner| inner.max_receive_segments(), 1)
    }

    fn may_fragment(&self) -> bool {
        self.property(|inner| inner.may_fragment(), true)
    }
}

/// Waits until a socket takes more. Knows the socket inside only while it waits.
#[derive(Debug)]
struct Poller {
    socket: Arc<Socket>,
    inner: Option<Pin<Box<dyn UdpPoller>>>,
}

impl UdpPoller for Poller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.socket.full.load(Ordering::Acquire) {
            this.inner = None;
            return Poll::Ready(Ok(()));
        }
        let inner = match &mut this.inner {
            Some(inner) => inner,
            None => this.inner.insert(this.socket.with(|inner| Ok(inner.clone().create_io_poller()))?),
        };
        let polled = inner.as_mut().poll_writable(cx);
        if polled.is_ready() {
            this.socket.full.store(false, Ordering::Release);
            this.inner = None;
        }
        polled
    }
}
