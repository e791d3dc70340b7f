//! `iroh` over direct addresses: no relay, nothing that looks addresses up. Otherwise it does what it does.

mod stream;

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{QuicTransportConfig, VarInt, presets},
};
use stackwire_contest::{Connection, Contestant, Ready, Result, Stack};

use crate::stream::Stream;

const ALPN: &[u8] = b"contest";

/// More than are ever open at once on one connection; not many more, because a connection prepares for all of them.
const STREAMS: u32 = 512;

fn main() -> ExitCode {
    stackwire_contest::main::<Iroh>()
}

/// An endpoint that dials.
struct Iroh(Endpoint);

impl Contestant for Iroh {
    type Connection = Connected;

    fn stacks() -> Vec<Stack> {
        vec![Stack::new("iroh", "iroh 1.4, aws-lc-rs, direct addresses only, no resumption")]
    }

    async fn serve(_: &str, listen: SocketAddr) -> Result<Ready> {
        let endpoint = endpoint(listen).await?;
        let address = endpoint.bound_sockets().into_iter().find(|bound| bound.ip() == listen.ip());
        tokio::spawn(accept(endpoint.clone()));
        Ok(Ready::new(address.ok_or("it does not listen")?, endpoint.id().to_string(), endpoint))
    }

    async fn client(_: &str) -> Result<Self> {
        Ok(Self(endpoint(SocketAddr::from(([127, 0, 0, 1], 0))).await?))
    }

    async fn dial(&self, address: SocketAddr, peer: &str) -> Result<Connected> {
        let address = EndpointAddr::new(peer.parse()?).with_ip_addr(address);
        Ok(Connected(self.0.connect(address, ALPN).await?))
    }
}

async fn endpoint(bind: SocketAddr) -> Result<Endpoint> {
    let transport = QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        // The most that is safe: a stream that lost packets holds at most 1024 pieces beside gaps, or its connection ends.
        .stream_receive_window(VarInt::from_u32(2 << 20))
        .receive_window(VarInt::from_u32(64 << 20))
        .send_window(64 << 20)
        .datagram_receive_buffer_size(None)
        // It keeps its paths alive by itself, every few seconds.
        .max_idle_timeout(Some(Duration::from_secs(180).try_into()?))
        .build();
    let endpoint = Endpoint::builder(presets::Minimal)
        .clear_relay_transports()
        .clear_address_lookup()
        .clear_ip_transports()
        .bind_addr(bind)?
        .alpns(vec![ALPN.to_vec()])
        .max_tls_tickets(0)
        .transport_config(transport)
        .bind()
        .await?;
    Ok(endpoint)
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
struct Connected(iroh::endpoint::Connection);

impl Connection for Connected {
    type Stream = Stream;

    async fn open(&self) -> io::Result<Stream> {
        let (send, receive) = self.0.open_bi().await?;
        Ok(Stream { send, receive })
    }

    async fn close(self) {
        self.0.close(VarInt::from_u32(0), b"");
    }
}
