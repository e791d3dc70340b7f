//! `quinn`: QUIC alone, the limit of every stack on it. Both sides prove a key, with certificates that they sign
//! themselves, as peers do; nobody checks names.

mod endpoint;
mod stream;
mod tls;

use std::{io, net::SocketAddr, process::ExitCode};

use quinn::Endpoint;
use stackwire_contest::{Connection, Contestant, Ready, Result, Stack};

use crate::stream::Stream;

fn main() -> ExitCode {
    stackwire_contest::main::<Quinn>()
}

/// An endpoint that dials.
struct Quinn(Endpoint);

impl Contestant for Quinn {
    type Connection = Connected;

    fn stacks() -> Vec<Stack> {
        vec![Stack::new("quinn", "quinn 0.11, rustls with aws-lc-rs, no resumption")]
    }

    async fn serve(_: &str, listen: SocketAddr) -> Result<Ready> {
        let endpoint = endpoint::server(listen)?;
        let address = endpoint.local_addr()?;
        tokio::spawn(accept(endpoint.clone()));
        Ok(Ready::new(address, "", endpoint))
    }

    async fn client(_: &str) -> Result<Self> {
        Ok(Self(endpoint::client()?))
    }

    async fn dial(&self, address: SocketAddr, _: &str) -> Result<Connected> {
        Ok(Connected(self.0.connect(address, "contest")?.await?))
    }
}

async fn accept(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let connection = match incoming.await {
                Ok(connection) => connection,
                Err(error) => return eprintln!("an incoming connection failed: {error}"),
            };
            while let Ok((send, receive)) = connection.accept_bi().await {
                tokio::spawn(stackwire_contest::serve(Stream { send, receive }));
            }
        });
    }
}

/// A connection.
struct Connected(quinn::Connection);

impl Connection for Connected {
    type Stream = Stream;

    async fn open(&self) -> io::Result<Stream> {
        let (send, receive) = self.0.open_bi().await?;
        Ok(Stream { send, receive })
    }

    async fn close(self) {
        self.0.close(0u32.into(), b"");
    }
}
