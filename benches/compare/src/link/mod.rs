//! A link with delay and rate between two processes, in user space, for machines whose kernel has no netem.
//!
//! It is one more process: whoever dials it, with TCP or UDP, reaches what it stands before. Both directions have a
//! one-way delay and, if wanted, a rate, and hold as much as fills them and a little more; then TCP's sender waits and
//! UDP's datagrams are lost. There is no loss otherwise and no congestion control of TCP's over the link, since each end
//! talks to us over loopback: what is measured is what a stack's own windows and round trips make of a long link.

mod line;
mod tcp;
mod trips;
mod udp;

use std::{net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use stackwire_contest::{Line, ReadyAt, Result};
use tokio::io::{AsyncBufReadExt, BufReader};

pub use self::line::Shape;
use self::trips::Ledger;

/// How often a port is looked for that is free for both TCP and UDP.
const ATTEMPTS: usize = 64;

/// A link's parts.
struct Link {
    shape: Shape,
    to: SocketAddr,
    /// From the clients to the server.
    up: line::Line,
    down: line::Line,
    ledger: Ledger,
}

/// What a link has seen.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// For each connection when each of its round trips was over for the client, in milliseconds from its beginning.
    /// TCP's own is the first.
    pub reached_ms: Vec<Vec<f64>>,
}

impl Link {
    fn new(shape: Shape, to: SocketAddr) -> Self {
        Self { shape, to, up: line::Line::new(shape), down: line::Line::new(shape), ledger: Ledger::default() }
    }
}

/// Runs a link before `to` until standard input ends. Says where it is to be dialed in a first line
/// (`{"ready":{"address":…}}`), and for each line on standard input what it has seen ([`Seen`]).
pub async fn run(shape: Shape, to: SocketAddr) -> Result<()> {
    let (tcp, udp) = bind()?;
    let link = Arc::new(Link::new(shape, to));
    let ready = ReadyAt { address: tcp.local_addr()?, peer: String::new() };
    println!("{}", serde_json::to_string(&Line::Ready { ready })?);
    let answer = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while lines.next_line().await?.is_some() {
            println!("{}", serde_json::to_string(&Seen { reached_ms: link.ledger.reached_ms() })?);
        }
        Ok(())
    };
    tokio::select! {
        () = tcp::run(link.clone(), tcp) => Ok(()),
        () = udp::run(link.clone(), udp) => Ok(()),
        result = answer => result,
    }
}

/// One port for both.
fn bind() -> std::io::Result<(tokio::net::TcpListener, tokio::net::UdpSocket)> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let tcp = tcp::listen(([127, 0, 0, 1], 0).into())?;
        match udp::bind(tcp.local_addr()?) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
}
