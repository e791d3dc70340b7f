//! Accepting TCP connections.

use std::{fmt, io, net::SocketAddr, time::Duration};

use futures::future::BoxFuture;
use stackwire_core::Env;
use tokio::net::{TcpListener, TcpStream};

use crate::{Bound, TcpOptions, bind_tcp, canonical};

/// How long accepting pauses when the machine has no means for another connection, such as a file descriptor. The
/// connections stay queued meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that TCP connections arrive at. Dropping it frees its port.
pub struct Acceptor {
    socket: TcpListener,
    bound: Bound,
    env: Env,
    /// Kept between calls, so that a caller who gives up and comes back does not shorten it.
    pause: Option<BoxFuture<'static, ()>>,
}

/// A connection that arrived.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Where it came from, [`canonical`].
    pub remote: SocketAddr,
    /// The address it arrived at, [`canonical`].
    pub local: SocketAddr,
}

impl Acceptor {
    /// Listens on `address`; port 0 asks for a free one. Must be called within a tokio runtime.
    pub fn bind(address: SocketAddr, options: TcpOptions, env: &Env) -> io::Result<Self> {
        let socket = bind_tcp(address, options)?;
        let bound = Bound::new(socket.local_addr()?, options.dual_stack);
        Ok(Self { socket, bound, env: env.clone(), pause: None })
    }

    /// Where it is, and what it is reachable at.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Waits for the next connection. Cancel-safe. Fails only where the socket itself is of no more use; a machine that
    /// lacks something for now, such as file descriptors, is waited for.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        loop {
            if let Some(pause) = &mut self.pause {
                pause.await;
                self.pause = None;
            }
            match self.socket.accept().await {
                Ok((stream, remote)) => {
                    // Who is gone before we ask where it arrived is no connection any more.
                    if let Ok(local) = stream.local_addr() {
                        return Ok(Accepted { stream, remote: canonical(remote), local: canonical(local) });
                    }
                }
                Err(error) => match after(&error) {
                    After::Next => {}
                    After::Pause => self.pause = Some(self.env.sleep(PAUSE)),
                    After::End => return Err(error),
                },
            }
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acceptor({})", self.bound.local())
    }
}

/// What to do after accepting failed.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// That one connection failed before it was ours; take the next.
    Next,
    /// The machine lacks something; try again a little later.
    Pause,
    /// The socket itself is of no more use.
    End,
}

fn after(error: &io::Error) -> After {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted => After::Next,
        // The socket does not listen.
        io::ErrorKind::InvalidInput => After::End,
        // Whatever else the system complains of (file descriptors, memory, the network) is its state and not ours.
        _ if error.raw_os_error().is_some() => After::Pause,
        _ => After::End,
    }
}

#[cfg(test)]
mod tests {
    use stackwire_conformance::{env, in_time};

    use super::*;
    use crate::connect_tcp;

    #[test]
    fn only_a_broken_socket_ends_a_listener() {
        assert_eq!(after(&io::ErrorKind::ConnectionAborted.into()), After::Next);
        const EMFILE: i32 = 24;
        assert_eq!(after(&io::Error::from_raw_os_error(EMFILE)), After::Pause);
        assert_eq!(after(&io::ErrorKind::InvalidInput.into()), After::End);
        assert_eq!(after(&io::Error::other("the runtime is gone")), After::End);
    }

    #[tokio::test]
    async fn every_reported_address_is_where_connections_arrive() {
        for (at, dual_stack) in
            [("0.0.0.0:0", false), ("[::]:0", false), ("[::]:0", true), ("[::ffff:127.0.0.1]:0", false)]
        {
            let options = TcpOptions { dual_stack, ..TcpOptions::default() };
            let mut acceptor = match Acceptor::bind(at.parse().unwrap(), options, &env()) {
                Ok(acceptor) => acceptor,
                Err(error) => {
                    eprintln!("skipped {at}: {error}");
                    continue;
                }
            };
            for address in acceptor.bound().addresses() {
                let dialed = in_time("a dial", connect_tcp(address, None)).await.unwrap();
                let accepted = in_time("accepting", acceptor.accept()).await.unwrap();
                assert_eq!(accepted.local, address, "a connection arrives where it was dialed");
                assert_eq!(accepted.remote, dialed.local_addr().unwrap());
            }
        }
    }
}
