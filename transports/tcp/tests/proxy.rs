//! Listeners behind a load balancer that speaks the PROXY protocol.

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_conformance::{
    in_time,
    transport::{LAWS, Subject},
};
use stackwire_core::{
    Dial, Dialed, Error, Kind, Layer, Listen, Listener, Multiaddr, Opened, Result, Stage, Transport, Violation, address,
};
use stackwire_transport_tcp::{ProxyProtocol, Tcp, TcpConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const AT: &str = "/ip4/127.0.0.1/tcp/0";

fn tcp() -> Tcp {
    let config = TcpConfig { proxy_protocol: ProxyProtocol::Require, ..TcpConfig::default() };
    Tcp::new(config).expect("the options are in range")
}

/// A listener that requires the header.
async fn listening() -> (Box<dyn Listener>, Multiaddr) {
    let subject = Subject::new(Arc::new(tcp()), AT.parse().unwrap());
    let listener = subject.listen_on(&subject.listen).await.unwrap();
    let address = listener.addresses().remove(0);
    (listener, address)
}

/// What the listener makes of a connection that begins with these bytes, and the other end.
async fn connection(bytes: &[u8]) -> (Result<Opened>, TcpStream, Multiaddr) {
    let (mut listener, address) = listening().await;
    let mut stream = TcpStream::connect(address::split_socket(&address).unwrap().0).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let incoming = in_time("accepting", listener.accept()).await.unwrap();
    let remote = incoming.remote.clone();
    assert_eq!(remote, address::tcp(stream.local_addr().unwrap()), "before the header it is the proxy's connection");
    (in_time("opening", incoming.open).await, stream, remote)
}

/// A connection of 192.0.2.1:54321, passed on, with a value behind the addresses.
const HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x10\xc0\x00\x02\x01\xc6\x33\x64\x02\xd4\x31\x01\xbb\x04\x00\x01x";

#[tokio::test]
async fn the_true_source_is_told_and_the_bytes_behind_the_header_stay() {
    let (opened, mut stream, _) = connection(&[HEADER, b"hello"].concat()).await;
    let Opened { stage: Stage::Raw(mut pipe), remote } = opened.unwrap() else { panic!("TCP gives bytes") };
    assert_eq!(remote.unwrap().to_string(), "/ip4/192.0.2.1/tcp/54321");
    stream.write_all(b" world").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    in_time("the bytes", pipe.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "hello world");
}

#[tokio::test]
async fn the_proxys_own_connections_keep_their_address() {
    let (opened, _stream, _) = connection(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00").await;
    assert_eq!(opened.unwrap().remote, None);
}

#[tokio::test]
async fn connections_past_the_proxy_are_refused() {
    let (opened, mut stream, _) = connection(b"\x13/multistream/1.0.0\n").await;
    let error = opened.err().unwrap();
    assert_eq!(
        (error.kind(), error.layer(), error.plugin()),
        (&Kind::PeerMisbehaved(Violation::Malformed), Some(Layer::Transport), Some("tcp"))
    );
    assert!(error.to_string().contains("proxy_protocol"), "{error}");
    let ended = in_time("the end", stream.read(&mut [0; 8])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

/// TCP whose dials come through a proxy.
struct Proxied(Tcp);

#[async_trait]
impl Transport for Proxied {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn can_dial(&self, address: &Multiaddr) -> bool {
        self.0.can_dial(address)
    }
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let mut dialed = self.0.dial(dial).await?;
        if let Stage::Raw(pipe) = &mut dialed.stage {
            pipe.write_all(HEADER).await.map_err(|e| Error::io("sending the header", e))?;
        }
        Ok(dialed)
    }
    fn can_listen(&self, address: &Multiaddr) -> bool {
        self.0.can_listen(address)
    }
    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        self.0.listen(listen).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_through_a_proxy_obey_the_laws() {
    for (name, law) in LAWS {
        eprintln!("{name}");
        law(Subject::new(Arc::new(Proxied(tcp())), AT.parse().unwrap())).await;
    }
}
