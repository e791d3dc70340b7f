//! The end of a lazy dialer's side: it never overtakes the listener's answer.

use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, poll, stream::FuturesUnordered};
use stackwire_core::{BoxPipe, Buffered, Error, Kind, Role, SelectContext, Wait};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{NegotiatorUnderTest, answer_to_a_lazy_proposal, answers_lazy_proposals, ids};
use crate::{in_time, pipes};

/// Notes how many bytes had arrived when our side was ended.
struct Tap {
    pipe: BoxPipe,
    received: usize,
    ended: Arc<OnceLock<usize>>,
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        let result = Pin::new(&mut this.pipe).poll_read(cx, out);
        this.received += out.filled().len() - before;
        result
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().pipe).poll_write(cx, data)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ended.get_or_init(|| this.received);
        Pin::new(&mut this.pipe).poll_shutdown(cx)
    }
}

/// A lazy dialer over one end of `pair`, the other end, and what had arrived when the dialer's side ended.
async fn dial(n: &NegotiatorUnderTest, pair: (BoxPipe, BoxPipe)) -> (BoxPipe, BoxPipe, Arc<OnceLock<usize>>) {
    let ended = Arc::new(OnceLock::new());
    let tap = Buffered::new(Tap { pipe: pair.0, received: 0, ended: ended.clone() });
    let dialing = n.select(Box::new(tap), SelectContext::new(Role::Dialer, &ids(&["/a"])).waiting(Wait::Lazy)).await;
    (dialing.unwrap().pipe, pair.1, ended)
}

async fn listen(n: &NegotiatorUnderTest, pipe: BoxPipe) -> BoxPipe {
    in_time("the listener", n.select(pipe, SelectContext::new(Role::Listener, &ids(&["/a"])))).await.unwrap().pipe
}

/// Law 52: whatever the dialer wrote before, in whatever pieces it and the answer travel, and however often somebody
/// gives up waiting. Where a listener does not answer, there is nothing to wait for.
pub async fn a_lazy_end_follows_the_answer(n: NegotiatorUnderTest) {
    let answer = answer_to_a_lazy_proposal(&n).await;
    for pair in [pipes::pair, || pipes::pair_in_chunks(1), || pipes::pair_in_chunks(7)] {
        for content in [&b""[..], b"a request"] {
            let (mut a, b, ended) = dial(&n, pair()).await;
            a.write_all(content).await.unwrap();
            if answer == 0 {
                in_time("an end that waits for nobody", a.shutdown()).await.unwrap();
            }
            for _ in 0..100 {
                // Given up each time: nothing is lost by that.
                let _ = poll!(pin!(a.shutdown()));
                tokio::task::yield_now().await;
            }
            assert_eq!(ended.get().is_some(), answer == 0, "the listener has not said anything");
            let serve = async {
                let mut b = listen(&n, b).await;
                let mut all = Vec::new();
                b.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, content);
                b.write_all(b"a reply").await.unwrap();
                b.shutdown().await.unwrap();
            };
            let ask = async {
                a.shutdown().await.unwrap();
                let mut all = Vec::new();
                a.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, b"a reply");
            };
            in_time("an exchange", async { tokio::join!(ask, serve) }).await;
            assert!(*ended.get().unwrap() >= answer, "ended after {ended:?} of the {answer} bytes of the answer");
        }
    }
}

/// To a peer that is known to bear it, our side ends at once. The listener gets all that came before, and its answer is
/// still checked: a refusal shows on the first read.
pub async fn a_lazy_end_may_come_early_if_that_is_said(n: NegotiatorUnderTest) {
    for pair in [pipes::pair, || pipes::pair_in_chunks(1), || pipes::pair_in_chunks(7)] {
        for content in [&b""[..], b"a request"] {
            for served in [true, false] {
                if !served && (!n.chooses() || !answers_lazy_proposals(&n).await) {
                    continue;
                }
                let (near, far) = pair();
                let offers = ids(&["/a"]);
                let context = SelectContext::new(Role::Dialer, &offers).waiting(Wait::Lazy).with_early_end(true);
                let mut a = n.select(near, context).await.unwrap().pipe;
                let ask = async {
                    a.write_all(content).await.unwrap();
                    a.shutdown().await.unwrap();
                    let mut all = Vec::new();
                    a.read_to_end(&mut all).await.map(|_| all)
                };
                let listener_offers = ids(&[if served { "/a" } else { "/b" }]);
                let serve = async {
                    let mut b = n.select(far, SelectContext::new(Role::Listener, &listener_offers)).await?.pipe;
                    let mut all = Vec::new();
                    b.read_to_end(&mut all).await.unwrap();
                    assert_eq!(all, content);
                    b.write_all(b"a reply").await.unwrap();
                    b.shutdown().await.unwrap();
                    Ok::<_, Error>(())
                };
                let (asked, serving) = in_time("an exchange", async { tokio::join!(ask, serve) }).await;
                assert_eq!(serving.is_ok(), served);
                match asked {
                    Ok(reply) => assert!(served && reply == b"a reply"),
                    Err(error) => {
                        let error = Error::io("reading", error);
                        assert!(!served && matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");
                    }
                }
            }
        }
    }
}

/// Two tasks wait for one answer, one to read on and one to end: both go on.
pub async fn a_lazy_end_waits_beside_a_reader(n: NegotiatorUnderTest) {
    for ends_first in [true, false] {
        let (a, b, _) = dial(&n, pipes::pair()).await;
        let (mut reader, mut writer) = tokio::io::split(a);
        let reading = async move {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"a reply");
        };
        let ending = async move {
            writer.write_all(b"a request").await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let halves = match ends_first {
            true => [ending.boxed(), reading.boxed()],
            false => [reading.boxed(), ending.boxed()],
        };
        // Each is polled in turn, and from then on only after a wake of its own.
        let mut halves: FuturesUnordered<_> = halves.into_iter().collect();
        let _ = poll!(halves.next());
        let serve = async {
            let mut b = listen(&n, b).await;
            let mut all = Vec::new();
            b.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"a request");
            b.write_all(b"a reply").await.unwrap();
            b.shutdown().await.unwrap();
        };
        let ask = async { while halves.next().await.is_some() {} };
        in_time("an exchange by halves", async { tokio::join!(ask, serve) }).await;
    }
}

/// Law 52: who ends its side of what was refused is told so, and has not ended it before.
pub async fn a_lazy_end_tells_a_refusal(n: NegotiatorUnderTest) {
    if !n.chooses() || !answers_lazy_proposals(&n).await {
        return;
    }
    for content in [&b""[..], b"a request"] {
        let (mut a, b, ended) = dial(&n, pipes::pair()).await;
        let offers = ids(&["/b"]);
        let listening = n.select(b, SelectContext::new(Role::Listener, &offers));
        let asking = async move {
            a.write_all(content).await.unwrap();
            for _ in 0..2 {
                let error = Error::io("ending", a.shutdown().await.expect_err("nothing is common"));
                let offered = matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered == &["/a"]);
                assert!(offered, "{error:?}");
            }
            assert_eq!(ended.get(), None, "what was refused ends when it is dropped");
        };
        let (listened, ()) = in_time("a refusal", async { tokio::join!(listening, asking) }).await;
        assert!(listened.is_err());
    }
}

/// A peer that is gone answers nothing: an error, in time.
pub async fn a_lazy_end_does_not_outlive_the_peer(n: NegotiatorUnderTest) {
    if !answers_lazy_proposals(&n).await {
        return;
    }
    let (mut a, b, _) = dial(&n, pipes::pair()).await;
    a.write_all(b"a request").await.unwrap();
    let leaving = async {
        tokio::task::yield_now().await;
        drop(b);
    };
    let work = async { tokio::join!(a.shutdown(), leaving) };
    let error = in_time("an end", work).await.0.expect_err("nobody answered");
    let error = Error::io("ending", error);
    assert!(matches!(error.kind(), Kind::Closed | Kind::Reset { .. }), "{error:?}");
}

/// Who wants to read nothing needs the answer all the same, before its end or without one.
pub async fn a_lazy_pipe_that_nobody_reads_still_ends(n: NegotiatorUnderTest) {
    let (mut a, b, ended) = dial(&n, pipes::pair()).await;
    let answer = answer_to_a_lazy_proposal(&n).await;
    a.close_read();
    a.write_all(b"a ").await.unwrap();
    a.flush().await.unwrap();
    let serve = async {
        let mut b = listen(&n, b).await;
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"a message");
    };
    let tell = async {
        a.write_all(b"message").await.unwrap();
        a.shutdown().await.unwrap();
        assert!(*ended.get().unwrap() >= answer);
    };
    in_time("a message", async { tokio::join!(tell, serve) }).await;
}
