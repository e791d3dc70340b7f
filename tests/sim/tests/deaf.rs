//! Peers that never read what is sent to them lose their connection, whatever the muxer, however much they say.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use stackwire_bundle as _;
use stackwire_core::{
    BoxPipe, Buffer, End, Event, Host, Kind, Layer, Pipe, PipeDecorator, Protocol, ProtocolId, Result, Stream,
    pipe_decorator,
};
use stackwire_plugin::Catalogue;
use stackwire_sim::SimNode;
use stackwire_wrap::over_transport;
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWriteExt, ReadBuf},
    time::{Instant, sleep},
};

/// What the node under test gives a peer that takes nothing.
const LIMIT: Duration = Duration::from_secs(30);
/// What a deaf peer hears before it is: enough for a handshake and the streams.
const HEARS: usize = 64 * 1024;
const STREAMS: usize = 20;

/// Writes as much as anybody reads.
struct Spring;

#[async_trait]
impl Protocol for Spring {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/spring".into()]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        loop {
            stream.write_all(&[7; 4096]).await?;
            stream.flush().await?;
        }
    }
}

/// A pipe that can be written to, and read until so many bytes have come; then its reader waits for ever.
struct Deaf {
    inner: BoxPipe,
    hears: usize,
}

pipe_decorator!(Deaf { inner: BoxPipe });

impl PipeDecorator for Deaf {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.hears == 0 {
            return Poll::Pending;
        }
        let before = out.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, out);
        self.hears = self.hears.saturating_sub(out.filled().len() - before);
        result
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.hears == 0 { Poll::Pending } else { Pin::new(&mut self.inner).poll_fill_buf(cx) }
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        if self.hears == 0 {
            return Poll::Pending;
        }
        let taken = ready!(self.inner.poll_take(most, cx))?;
        self.hears = self.hears.saturating_sub(taken.as_ref().map_or(0, |taken| taken.len()));
        Poll::Ready(Ok(taken))
    }

    fn consume(&mut self, n: usize) {
        self.hears = self.hears.saturating_sub(n);
        Pin::new(&mut self.inner).consume(n);
    }
}

fn config(muxer: &str, security: &str) -> String {
    format!(
        "protocol = []\n[node]\nlisten = [\"/memory/0\"]\n[[transport]]\nuse = \"memory\"\n\
         [[security]]\nuse = \"{security}\"\n[[muxer]]\nuse = \"{muxer}\"\n"
    )
}

/// Returns how long the connection lasted from its first stream on, and what ended it.
async fn last_of_a_deaf_peer(muxer: &str, security: &str) -> (Duration, Option<Kind>) {
    let text = config(muxer, security);
    let server = SimNode::start(1, 1, &text, vec![Arc::new(Spring)]).await.expect("it starts");
    let deaf = |stack: &mut stackwire_config::Stack| {
        for transport in &mut stack.parts.transports {
            *transport = over_transport(transport.clone(), |inner, _| Box::new(Deaf { inner, hears: HEARS }));
        }
    };
    let client = SimNode::start_changed(1, 2, &text, Vec::new(), deaf).await.expect("it starts");
    let mut events = server.node.events();
    client.node.connect(&server.addresses()[0]).await.expect("they connect");
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = client.node.open_stream(server.peer_id(), &["/spring".into()]).await.expect("it opens");
        stream.flush().await.expect("the request goes out");
        streams.push(stream);
    }
    let begin = Instant::now();
    // It talks all the time; only then it is not merely a peer that has gone.
    let talking = tokio::spawn(async move {
        loop {
            for stream in &mut streams {
                let _ = stream.write_all(b".").now_or_never();
                let _ = stream.flush().now_or_never();
            }
            sleep(Duration::from_secs(5)).await;
        }
    });
    let ended = async {
        loop {
            if let Event::Disconnected { end: End { error, .. }, .. } = events.next().await.expect("the node runs") {
                return error.map(|error| error.kind().clone());
            }
        }
    };
    let error = tokio::time::timeout(LIMIT * 10, ended).await.expect("it is not kept for ever");
    talking.abort();
    (begin.elapsed(), error)
}

#[test]
fn peers_that_never_read_are_let_go_in_time() {
    for muxer in Catalogue::linked().expect("no two plug-ins clash").layer(Layer::Muxer) {
        for security in ["noise", "ecies"] {
            let name = muxer.summary.name;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let (lasted, error) = runtime.expect("a runtime starts").block_on(last_of_a_deaf_peer(name, security));
            println!("{name} over {security}: {lasted:?}, {error:?}");
            assert!(lasted <= LIMIT + Duration::from_secs(1), "{name} over {security} kept it for {lasted:?}");
            assert!(matches!(error, Some(Kind::Timeout { .. })), "{name} over {security}: {error:?}");
        }
    }
}
