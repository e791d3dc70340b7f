//! What a stack implements to be compared.

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Any failure of a measurement; it ends the program.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A stack that a program offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// What `--stack` takes, such as `libp2p-noise`.
    pub name: String,
    /// What it is, for people: crate, version, and what sets this stack apart.
    pub version: String,
}

impl Stack {
    /// A stack that `--stack name` runs.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into() }
    }
}

/// A server that accepts connections.
pub struct Ready {
    /// Where it is dialed.
    pub address: SocketAddr,
    /// Whatever else the client has to know of it, such as its peer id; it is handed on as it is.
    pub peer: String,
    /// What serves; dropping it may stop the server.
    pub running: Box<dyn Any + Send>,
}

impl Ready {
    /// A server that serves as long as `running` is held.
    pub fn new(address: SocketAddr, peer: impl Into<String>, running: impl Any + Send) -> Self {
        Self { address, peer: peer.into(), running: Box::new(running) }
    }
}

/// Why something that was asked for can't be measured with a stack. Returned from anywhere in a [`Contestant`] (in
/// an [`io::Error`] too), it ends the program with the code [`NotSupported::EXIT`].
#[derive(Clone, Debug)]
pub struct NotSupported(pub String);

impl NotSupported {
    /// The exit code of the program.
    pub const EXIT: u8 = 3;

    /// The reason in `error`, where it is one.
    pub fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()))
    }
}

impl fmt::Display for NotSupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not supported: {}", self.0)
    }
}

impl Error for NotSupported {}

impl From<NotSupported> for io::Error {
    fn from(reason: NotSupported) -> Self {
        Self::new(io::ErrorKind::Unsupported, reason)
    }
}

/// A stack, or several of one program. The value itself is a client; it is kept until the program ends.
pub trait Contestant: Sized + Send + Sync + 'static {
    /// A connection, as the dialer sees it.
    type Connection: Connection;

    /// The stacks that `--stack` may name.
    fn stacks() -> Vec<Stack>;

    /// Starts a server of `stack` at `listen` (port 0 is any). It spawns [`serve`](crate::serve) for every stream that
    /// comes in, over any number of connections.
    fn serve(stack: &str, listen: SocketAddr) -> impl Future<Output = Result<Ready>> + Send;

    /// Makes a client of `stack`.
    fn client(stack: &str) -> impl Future<Output = Result<Self>> + Send;

    /// Makes a connection with the server at `address`. It is always a new one, with handshake and all, and may be
    /// one of thousands.
    fn dial(&self, address: SocketAddr, peer: &str) -> impl Future<Output = Result<Self::Connection>> + Send;
}

/// A connection, as the dialer sees it.
pub trait Connection: Send + Sync + 'static {
    /// Its streams.
    type Stream: ContestStream;

    /// Opens a stream. It may end before the server knows of the stream: what is written next tells it.
    fn open(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Closes the connection as the stack closes connections, and waits until that is done.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// A stream. `poll_shutdown` ends the writing side only.
pub trait ContestStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Receives some bytes in the cheapest way that the stack documents, and says how many; 0 at the end. Nobody
    /// looks at them. `scratch` (256 KiB, its content is anything) is there to be read into, which is what happens
    /// unless a stack does better.
    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(scratch);
        ready!(self.poll_read(cx, &mut into))?;
        Poll::Ready(Ok(into.filled().len()))
    }
}

impl ContestStream for tokio::net::TcpStream {}
impl ContestStream for tokio::io::DuplexStream {}
