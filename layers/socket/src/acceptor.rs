//! Accepting TCP connections.

use std::{fmt, io, net::SocketAddr};

use stackwire_core::Env;
use tokio::net::{TcpListener, TcpStream};

use crate::{Bound, Pause, TcpOptions, bind_tcp, canonical};

/// A socket that TCP connections arrive at. Dropping it frees its port.
pub struct Acceptor {
    socket: TcpListener,
    bound: Bound,
    pause: Pause,
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
        Ok(Self { socket, bound, pause: Pause::new(env) })
    }

    /// Where it is, and what it is reachable at.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Waits for the next connection. Cancel-safe. Fails only where the socket itself is of no more use; a machine that
    /// lacks something for now, such as file descriptors, is waited for.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        loop {
            self.pause.over().await;
            match self.socket.accept().await {
                Ok((stream, remote)) => {
                    // Who is gone before we ask where it arrived is no connection any more.
                    if let Ok(local) = stream.local_addr() {
                        return Ok(Accepted { stream, remote: canonical(remote), local: canonical(local) });
                    }
                }
                Err(error) => self.pause.after(error)?,
            }
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acceptor({})", self.bound.local())
    }
}

#[cfg(test)]
mod tests {
    use stackwire_conformance::{env, in_time};

    use super::*;
    use crate::connect_tcp;

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
