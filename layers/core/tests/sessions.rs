//! Sessions that name the protocols of their streams, and those that do not.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use stackwire_core::{BoxPipe, Buffered, Error, Kind, ProtocolId, Result, Session, SessionExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a chain's wire calls the protocols that it has.
const NAMES: [(&str, u8); 2] = [("/ping", 5), ("/mempool", 2)];

/// What one end of the wire has sent to the other: a protocol's number, and its stream.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<(u8, BoxPipe)>,
    acceptor: Option<Waker>,
}

/// A message wire in memory: a number comes with each stream, and nothing else.
struct MessageWire {
    out: Arc<Mutex<Lane>>,
    inbound: Arc<Mutex<Lane>>,
}

fn wire() -> (MessageWire, MessageWire) {
    let [one, two] = [(); 2].map(|()| Arc::new(Mutex::new(Lane::default())));
    (MessageWire { out: one.clone(), inbound: two.clone() }, MessageWire { out: two, inbound: one })
}

fn negotiates() -> Error {
    Error::new(Kind::Unsupported, "this wire has no stream without a protocol")
}

impl Session for MessageWire {
    fn poll_open(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Ready(Err(negotiates()))
    }
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Ready(Err(negotiates()))
    }
    fn close(&self, _: u32) {}

    fn names_protocols(&self) -> bool {
        true
    }
    fn poll_open_named(&self, _: &mut Context<'_>, protocol: &ProtocolId) -> Poll<Result<BoxPipe>> {
        let Some((_, number)) = NAMES.iter().find(|(name, _)| *name == protocol.as_str()) else {
            let kind = Kind::NoCommonProtocol { offered: vec![protocol.to_string()], supported: Vec::new() };
            return Poll::Ready(Err(Error::new(kind, "naming a stream's protocol")));
        };
        let (ours, theirs) = tokio::io::duplex(1024);
        let mut lane = self.out.lock();
        lane.waiting.push_back((*number, Box::new(Buffered::new(theirs))));
        if let Some(acceptor) = lane.acceptor.take() {
            acceptor.wake();
        }
        Poll::Ready(Ok(Box::new(Buffered::new(ours))))
    }
    fn poll_accept_named(&self, cx: &mut Context<'_>) -> Poll<Result<(ProtocolId, BoxPipe)>> {
        let mut lane = self.inbound.lock();
        match lane.waiting.pop_front() {
            Some((number, pipe)) => {
                let name = NAMES.iter().find(|(_, known)| *known == number).expect("both ends have one list").0;
                Poll::Ready(Ok((name.into(), pipe)))
            }
            None => {
                lane.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[tokio::test]
async fn a_stream_comes_with_its_protocol_and_its_first_byte_is_the_protocols() {
    let (ours, theirs) = wire();
    let opening = async {
        for (protocol, said) in [("/mempool", "transactions"), ("/ping", "hello")] {
            let mut stream = ours.open_named(&protocol.into()).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    };
    let accepting = async {
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (protocol, mut stream) = theirs.accept_named().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            heard.push((protocol.to_string(), text));
        }
        heard
    };
    let (heard, ()) = tokio::join!(accepting, opening);
    assert_eq!(heard, [("/mempool".into(), "transactions".into()), ("/ping".into(), "hello".into())]);
}

#[tokio::test]
async fn what_a_wire_has_no_name_for_is_not_opened() {
    let (ours, _theirs) = wire();
    let error = ours.open_named(&"/other".into()).await.err().unwrap();
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error}");
    assert_eq!(ours.open().await.err().unwrap().kind(), &Kind::Unsupported);
    assert_eq!(ours.accept().await.err().unwrap().kind(), &Kind::Unsupported);
}

/// A session of whatever is negotiated.
struct Plain;

impl Session for Plain {
    fn poll_open(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Ready(Ok(Box::new(Buffered::new(tokio::io::duplex(1).0))))
    }
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Pending
    }
    fn close(&self, _: u32) {}
}

#[tokio::test]
async fn other_sessions_say_that_they_name_nothing() {
    assert!(!Plain.names_protocols() && Plain.open().await.is_ok());
    for error in [Plain.open_named(&"/ping".into()).await.err(), Plain.accept_named().await.err()] {
        let error = error.unwrap();
        assert_eq!(error.kind(), &Kind::Unsupported);
        assert!(error.to_string().contains("does not name protocols"), "{error}");
    }
}
