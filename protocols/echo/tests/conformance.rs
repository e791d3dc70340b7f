//! What `echo` promises.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use stackwire_conformance::{
    env,
    host::{FakeHost, connect, connection_info, handler},
    in_time, pipes,
};
use stackwire_core::{BoxPipe, Buffered, Error, Event, Kind, Layer, Pipe, Protocol, Stream, Violation, reset_error};
use stackwire_plugin::Catalogue;
use stackwire_protocol_echo::{Echo, EchoConfig, ID, echo};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

fn stream(pipe: BoxPipe) -> Stream {
    Stream::new(pipe, ID.into(), connection_info(1, FakeHost::new(9, vec![]).peer()))
}

/// A stream to a host that serves `peer`.
async fn asking(peer: Arc<dyn Protocol>) -> (Arc<FakeHost>, Arc<FakeHost>, Stream) {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![peer]));
    let (connection, _) = connect(&a, &b);
    let stream = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    (a, b, stream)
}

/// Echoes `bytes` between the two ends of a pipe.
async fn over(pair: (BoxPipe, BoxPipe), bytes: u64, half_close: bool) {
    let (near, far) = (stream(pair.0), stream(pair.1));
    let server = Echo::new(vec![ID.into()]);
    let host = FakeHost::new(1, vec![]).host();
    let (asked, served) = in_time("an echo", async {
        let env = env();
        tokio::join!(echo(near, bytes, half_close, &env), server.serve(far, &host))
    })
    .await;
    asked.unwrap();
    served.unwrap();
}

#[tokio::test]
async fn everything_comes_back_with_and_without_half_close() {
    for half_close in [true, false] {
        for bytes in [0, 1, 1000, 65_521, 65_522, 3_000_000] {
            over(pipes::pair(), bytes, half_close).await;
        }
    }
}

#[tokio::test]
async fn pipes_that_move_a_few_bytes_at_a_time_are_fine() {
    for chunk in [1, 2, 7, 1500] {
        over(pipes::pair_in_chunks(chunk), 5000, true).await;
        over(pipes::pair_in_chunks(chunk), 5000, false).await;
    }
}

#[tokio::test]
async fn through_two_hosts() {
    let (_a, b, stream) = asking(Arc::new(Echo::new(vec![ID.into()]))).await;
    in_time("an echo", echo(stream, 1 << 20, true, &env())).await.unwrap();
    assert!(!b.emitted().iter().any(|event| matches!(event, Event::StreamFailed { .. })));
}

#[tokio::test]
async fn a_small_message_comes_back_while_the_stream_stays_open() {
    let (_a, _b, mut near) = asking(Arc::new(Echo::new(vec![ID.into()]))).await;
    for message in [&b"one"[..], b"two", b"three"] {
        near.write_all(message).await.unwrap();
        near.flush().await.unwrap();
        let mut back = vec![0; message.len()];
        in_time("the message", near.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, message);
    }
    near.shutdown().await.unwrap();
    assert_eq!(in_time("the end", near.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_never_reads_stops_only_its_own_writing() {
    let (_a, b, mut near) = asking(Arc::new(Echo::new(vec![ID.into()]))).await;
    let mut taken = 0_usize;
    // Writes until nothing moves although the server had every chance to run.
    let mut idle = 0;
    while idle < 1000 {
        match futures::poll!(std::pin::pin!(near.write(&[0; 512]))) {
            std::task::Poll::Ready(n) => (taken, idle) = (taken + n.unwrap(), 0),
            std::task::Poll::Pending => idle += 1,
        }
        tokio::task::yield_now().await;
    }
    assert!(taken < 1024 * 1024, "took in {taken} bytes that nobody read back");
    drop(near);
    b.wait_for("the end", |event| matches!(event, Event::StreamFailed { .. }).then_some(())).await;
}

/// There is always more to read, and a write takes what there is room for.
#[derive(Default)]
struct Flood {
    taken: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
    room: usize,
}

impl AsyncRead for Flood {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        unreachable!("echo reads where the bytes lie")
    }
}

impl AsyncBufRead for Flood {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<&[u8]>> {
        Poll::Ready(Ok(&[7; 100_000]))
    }
    fn consume(self: Pin<&mut Self>, count: usize) {
        self.taken.fetch_add(count, Ordering::Relaxed);
    }
}

impl AsyncWrite for Flood {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.sent.fetch_add(count, Ordering::Relaxed);
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Pipe for Flood {}

#[tokio::test]
async fn what_cannot_be_sent_back_stays_with_the_stream() {
    let flood = Flood { room: 150_000, ..Flood::default() };
    let (taken, sent) = (flood.taken.clone(), flood.sent.clone());
    let (server, host) = (Echo::new(vec![ID.into()]), FakeHost::new(1, vec![]).host());
    let mut serving = server.serve(stream(Box::new(flood)), &host);
    for _ in 0..3 {
        assert!(futures::poll!(&mut serving).is_pending());
    }
    assert_eq!([taken, sent].map(|count| count.load(Ordering::Relaxed)), [150_000; 2]);
}

/// What `echo` says to a peer that answers 100 bytes like this.
async fn answered<F>(half_close: bool, answer: impl Fn(Stream) -> F + Send + Sync + 'static) -> Kind
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let peer = handler(ID, move |stream, _| {
        let answering = answer(stream);
        async move { Ok(answering.await?) }
    });
    let (_a, _b, stream) = asking(peer).await;
    let error = in_time("an error", echo(stream, 100, half_close, &env())).await.unwrap_err();
    assert_eq!((error.layer(), error.plugin()), (Some(Layer::Protocol), Some("echo")));
    error.kind().clone()
}

#[tokio::test]
async fn a_false_echo_is_noticed() {
    for half_close in [true, false] {
        let differs = answered(half_close, |mut stream| async move {
            let mut bytes = [0; 100];
            stream.read_exact(&mut bytes).await?;
            bytes[99] ^= 1;
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        });
        assert_eq!(differs.await, Kind::PeerMisbehaved(Violation::WrongAnswer));
        let longer = answered(half_close, |mut stream| async move {
            let mut bytes = [0; 101];
            stream.read_exact(&mut bytes[..100]).await?;
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        });
        assert_eq!(longer.await, Kind::PeerMisbehaved(Violation::WrongAnswer));
        let shorter = answered(half_close, |mut stream| async move {
            let mut bytes = [0; 100];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes[..99]).await?;
            stream.shutdown().await
        });
        assert_eq!(shorter.await, Kind::Closed);
    }
}

/// go-libp2p ends a whole stream, by a reset, when the other side ends its own.
#[tokio::test]
async fn without_half_close_a_reset_after_all_is_back_is_no_failure() {
    let resetting = |bytes: usize| {
        handler(ID, move |mut stream, _| async move {
            let mut held = vec![0; 100];
            stream.read_exact(&mut held).await?;
            stream.write_all(&held[..bytes]).await?;
            stream.flush().await?;
            if bytes == 100 {
                stream.read_to_end(&mut held).await?;
            }
            Err(Error::new(Kind::Reset { code: 0 }, "ending a whole stream"))
        })
    };
    let (_a, _b, stream) = asking(resetting(100)).await;
    in_time("an echo", echo(failing_at_the_end(stream), 100, false, &env())).await.unwrap();
    let (_a, _b, stream) = asking(resetting(99)).await;
    let error = in_time("an error", echo(failing_at_the_end(stream), 100, false, &env())).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Reset { code: 0 }, "a byte is missing");
}

/// A stream whose end is a reset, as muxers tell one; the pipes of these hosts know none.
fn failing_at_the_end(stream: Stream) -> Stream {
    stream.map_pipe(|pipe| Box::new(Buffered::new(FailingAtTheEnd(pipe))))
}

struct FailingAtTheEnd(BoxPipe);

impl AsyncRead for FailingAtTheEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = out.filled().len();
        let result = Pin::new(&mut self.get_mut().0).poll_read(cx, out);
        match result {
            Poll::Ready(Ok(())) if out.filled().len() == before => Poll::Ready(Err(reset_error(0))),
            result => result,
        }
    }
}

impl AsyncWrite for FailingAtTheEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, data)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn without_half_close_nothing_ends_before_all_is_back() {
    let (near, mut far) = pipes::pair();
    let env = env();
    let asking = echo(stream(near), 100, false, &env);
    let answering = async {
        let mut bytes = [0; 101];
        far.read_exact(&mut bytes[..100]).await.unwrap();
        assert!(futures::poll!(std::pin::pin!(far.read(&mut bytes[100..]))).is_pending(), "our side ended early");
        far.write_all(&bytes[..100]).await.unwrap();
        assert_eq!(far.read(&mut bytes).await.unwrap(), 0);
        far.shutdown().await.unwrap();
    };
    let (asked, ()) = in_time("an echo", async { tokio::join!(asking, answering) }).await;
    asked.unwrap();
}

#[test]
fn options_choose_the_ids() {
    let _ = EchoConfig::default();
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, "echo").unwrap();
    let ids = |options: &str| match plugin.build_from(options) {
        Ok(parts) => Ok(parts.protocols[0].ids().iter().map(ToString::to_string).collect::<Vec<_>>()),
        Err(problem) => Err(problem.message),
    };
    assert_eq!(ids("").unwrap(), [ID]);
    assert_eq!(ids(plugin.summary.example).unwrap(), [ID]);
    assert_eq!(ids(r#"ids = ["/a/1", "/b/2"]"#).unwrap(), ["/a/1", "/b/2"]);
    assert!(ids("ids = []").unwrap_err().contains("ids is empty"));
    assert!(ids(r#"ids = ["echo"]"#).unwrap_err().contains("“echo”"));
    assert!(ids(r#"ids = ["/a\n"]"#).is_err());
    assert!(ids("id = 1").unwrap_err().contains("unknown key"));
}
