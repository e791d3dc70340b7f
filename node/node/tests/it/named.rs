//! A muxer whose wire names the protocol of each stream: nothing is negotiated.

use std::task::{Context, Poll};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use stackwire_muxer_yamux::Yamux;
use stackwire_node::{
    BoxPipe, Chosen, Direction, Driver, Error, Host, Kind, Muxer, MuxerContext, Prefaced, ProtocolId, Result, Session,
    SessionExt, Stream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Yamux, with a byte for the name of each stream's protocol.
struct Naming(Arc<Yamux>);

/// What this wire has names for.
const NAMES: [&str; 2] = ["/known/1", "/known/2"];

#[async_trait]
impl Muxer for Naming {
    fn name(&self) -> &'static str {
        "naming"
    }
    fn id(&self) -> ProtocolId {
        "/naming/1".into()
    }
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let (inner, driver) = self.0.start(pipe, context);
        (Arc::new(NamingSession { inner, accepting: Mutex::default() }), driver)
    }
}

type Accepting = BoxFuture<'static, Result<(ProtocolId, BoxPipe)>>;

struct NamingSession {
    inner: Arc<dyn Session>,
    accepting: Mutex<Option<Accepting>>,
}

impl Session for NamingSession {
    fn names_protocols(&self) -> bool {
        true
    }
    fn poll_open(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        panic!("the node knows that streams have names here")
    }
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        panic!("the node knows that streams have names here")
    }
    fn poll_open_named(&self, cx: &mut Context<'_>, protocol: &ProtocolId) -> Poll<Result<BoxPipe>> {
        let Some(name) = NAMES.iter().position(|known| *known == protocol.as_str()) else {
            let (offered, supported) = (vec![protocol.to_string()], Vec::new());
            return Poll::Ready(Err(Error::new(Kind::NoCommonProtocol { offered, supported }, "naming a stream")));
        };
        self.inner.poll_open(cx).map_ok(|pipe| Box::new(Prefaced::new(pipe, vec![name as u8])) as BoxPipe)
    }
    fn poll_accept_named(&self, cx: &mut Context<'_>) -> Poll<Result<(ProtocolId, BoxPipe)>> {
        let mut accepting = self.accepting.lock();
        let inner = self.inner.clone();
        let next = accepting.get_or_insert_with(|| {
            async move {
                let mut pipe = inner.accept().await?;
                let name = usize::from(pipe.read_u8().await.map_err(|e| Error::io("reading a name", e))?);
                Ok((NAMES.get(name).copied().unwrap_or("/unknown").into(), pipe))
            }
            .boxed()
        });
        let accepted = futures::ready!(next.poll_unpin(cx));
        *accepting = None;
        Poll::Ready(accepted)
    }
    fn close(&self, code: u32) {
        self.inner.close(code);
    }
}

/// Answers with the id under which it was asked.
struct Says;

#[async_trait]
impl Protocol for Says {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/known/2".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let id = stream.protocol().to_string();
        stream.write_all(id.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }
}

async fn naming() -> Node {
    Node::builder()
        .listen("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .transport(stackwire_transport_tcp::Tcp::new(Default::default()).unwrap())
        .security(stackwire_security_noise::Noise::new())
        .muxer(Naming(Arc::new(Yamux::new(Default::default()).unwrap())))
        .negotiator(stackwire_negotiator_multistream::Multistream)
        .protocol(Says)
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_stream_is_named_by_its_wire() {
    let (server, client) = (naming().await, naming().await);
    let mut events = server.events();
    let path = client.connect(&address(&server)).await.unwrap().path.to_string();
    assert_eq!(path, "tcp / noise / naming");
    let peer = server.peer_id();
    let ids: Vec<ProtocolId> = vec!["/no/name/for/this".into(), "/known/2".into()];
    let mut stream = client.open_stream(peer, &ids).await.unwrap();
    assert_eq!((stream.protocol(), stream.chosen()), (&ids[1], Some(&Chosen::Muxer)));
    stream.flush().await.unwrap();
    let mut said = String::new();
    in_time("the answer", stream.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "/known/2");
    let (protocol, direction) = event(&mut events, |event| match event {
        Event::StreamOpened { protocol, direction, .. } => Some((protocol, direction)),
        _ => None,
    })
    .await;
    assert_eq!((protocol.as_str(), direction), ("/known/2", Direction::Inbound));
    let error = client.open_stream(peer, &["/no/name".into()]).await.err().expect("the wire has no name for it");
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error}");
    // The wire has a name for it, and the peer does not serve it: that shows on the stream.
    let mut unserved = client.open_stream(peer, &["/known/1".into()]).await.unwrap();
    unserved.flush().await.unwrap();
    assert!(in_time("the refusal", unserved.read_u8()).await.is_err());
}
