//! What the machine allows: TCP alone, and TCP with every byte sealed into records.
//!
//! No handshake, no streams, no flow control but TCP's. A "stream" of these is a connection of its own, so only the rows
//! that move bytes on few streams mean anything with them.

mod cipher;
mod records;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use stackwire_contest::{Connection, ContestStream, Contestant, Ready, Result, Stack};
use tokio::net::{TcpListener, TcpStream};

use self::{
    cipher::Cipher,
    records::{Records, Side},
};

/// Their names, with what seals their records.
const STACKS: [(&str, Option<Cipher>); 3] =
    [("tcp", None), ("tcp-chacha", Some(Cipher::ChaCha20)), ("tcp-aesgcm", Some(Cipher::Aes256))];

/// How long a listener that could not accept (out of file descriptors, say) waits before it tries again.
const RETRY: std::time::Duration = std::time::Duration::from_millis(10);

/// Dials limits.
pub struct Limit {
    cipher: Option<Cipher>,
}

/// Where a limit's streams lead.
pub struct LimitConnection {
    address: SocketAddr,
    cipher: Option<Cipher>,
}

/// The names of the limits.
pub fn names() -> impl Iterator<Item = &'static str> {
    STACKS.iter().map(|(name, _)| *name)
}

fn named(stack: &str) -> Result<Option<Cipher>> {
    let found = STACKS.iter().find(|(name, _)| *name == stack);
    found.map(|(_, cipher)| *cipher).ok_or_else(|| format!("there is no limit `{stack}`").into())
}

impl Contestant for Limit {
    type Connection = LimitConnection;

    fn stacks() -> Vec<Stack> {
        let version = |cipher: &Option<Cipher>| match cipher {
            None => "the kernel's TCP",
            Some(_) => "the kernel's TCP, 64 KiB records sealed with aws-lc-rs",
        };
        STACKS.iter().map(|(name, cipher)| Stack::new(*name, version(cipher))).collect()
    }

    async fn serve(stack: &str, listen: SocketAddr) -> Result<Ready> {
        let cipher = named(stack)?;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let running = tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else {
                    tokio::time::sleep(RETRY).await;
                    continue;
                };
                let Ok(()) = socket.set_nodelay(true) else { continue };
                match cipher {
                    None => tokio::spawn(stackwire_contest::serve(LimitStream::Plain(socket))),
                    Some(cipher) => {
                        let sealed = Records::new(socket, cipher, Side::Server);
                        tokio::spawn(stackwire_contest::serve(LimitStream::Sealed(Box::new(sealed))))
                    }
                };
            }
        });
        Ok(Ready::new(address, "", running))
    }

    async fn client(stack: &str) -> Result<Self> {
        Ok(Self { cipher: named(stack)? })
    }

    async fn dial(&self, address: SocketAddr, _: &str) -> Result<LimitConnection> {
        Ok(LimitConnection { address, cipher: self.cipher })
    }
}

impl Connection for LimitConnection {
    type Stream = LimitStream;

    async fn open(&self) -> io::Result<LimitStream> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        Ok(match self.cipher {
            None => LimitStream::Plain(socket),
            Some(cipher) => LimitStream::Sealed(Box::new(Records::new(socket, cipher, Side::Client))),
        })
    }

    async fn close(self) {}
}

/// A limit's stream.
pub enum LimitStream {
    /// TCP alone.
    Plain(TcpStream),
    /// TCP with records.
    Sealed(Box<Records<TcpStream>>),
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            LimitStream::Plain(socket) => {
                let $stream = Pin::new(socket);
                $call
            }
            LimitStream::Sealed(records) => {
                let $stream = Pin::new(&mut **records);
                $call
            }
        }
    };
}

impl tokio::io::AsyncRead for LimitStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut tokio::io::ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl tokio::io::AsyncWrite for LimitStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, data))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}

impl ContestStream for LimitStream {
    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            LimitStream::Plain(socket) => {
                let mut buf = tokio::io::ReadBuf::new(scratch);
                std::task::ready!(tokio::io::AsyncRead::poll_read(Pin::new(socket), cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
            LimitStream::Sealed(records) => records.poll_record(cx),
        }
    }
}
