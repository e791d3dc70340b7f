//! A decorator of pipes passes every method on.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::noop_waker_ref;
use parking_lot::Mutex;
use stackwire_core::{
    BoxPipe, Buffer, Datagrams, Driver, Error, Muxer, MuxerContext, Pipe, Priority, ProtocolId, Result, Session,
    poll_read_buffered, total_len,
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// What a [`Probe`]'s reader gets again and again.
const WORD: &[u8] = b"word";

/// What was asked of a probe.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn add(&self, call: impl Into<String>) {
        self.0.lock().push(call.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A pipe that does what it is asked at once, and remembers what that was.
struct Probe {
    /// Read before all words.
    prelude: Vec<u8>,
    /// Bytes that were read.
    at: usize,
    calls: Calls,
}

/// A pipe that does what it is asked at once, and what was asked of it. Gives `prelude` to its reader, then words without
/// end.
pub fn probe(prelude: &[u8]) -> (BoxPipe, Calls) {
    let calls = Calls::default();
    (Box::new(Probe { prelude: prelude.to_vec(), at: 0, calls: calls.clone() }), calls)
}

impl Probe {
    /// What is read next, up to the end of the prelude or of a word.
    fn rest(&self) -> &[u8] {
        match self.at.checked_sub(self.prelude.len()) {
            Some(at) => &WORD[at % WORD.len()..],
            None => &self.prelude[self.at..],
        }
    }
}

impl AsyncRead for Probe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let calls = self.calls.clone();
        let read = poll_read_buffered(self, cx, out);
        calls.take();
        calls.add("poll_read");
        read
    }
}

impl AsyncBufRead for Probe {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        this.calls.add("poll_fill_buf");
        Poll::Ready(Ok(this.rest()))
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.calls.add(format!("consume {n}"));
        self.at += n;
    }
}

impl AsyncWrite for Probe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.calls.add(format!("poll_write {}", data.len()));
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.calls.add(format!("poll_write_vectored {}", total_len(slices)));
        Poll::Ready(Ok(total_len(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        self.calls.add("is_write_vectored");
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.calls.add("poll_flush");
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.calls.add("poll_shutdown");
        Poll::Ready(Ok(()))
    }
}

// A method that the probe leaves out can't be missed by the law.
#[deny(clippy::missing_trait_methods)]
impl Pipe for Probe {
    fn reset(&mut self, code: u32) {
        self.calls.add(format!("reset {code}"));
    }

    fn close_read(&mut self) {
        self.calls.add("close_read");
    }

    fn poll_take(&mut self, most: usize, _: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.calls.add(format!("poll_take {most}"));
        let rest = self.rest();
        let mut taken = Buffer::with_capacity(rest.len());
        taken.extend_from_slice(&rest[..most.min(rest.len())]);
        self.at += taken.len();
        Poll::Ready(Ok(Some(taken)))
    }

    fn set_priority(&mut self, priority: Priority) {
        self.calls.add(format!("set_priority {priority:?}"));
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.calls.add(format!("set_rate {bytes_per_second:?}"));
    }

    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        self.calls.add("datagrams");
        Some(Arc::new(Seventeen))
    }
}

struct Seventeen;

impl Datagrams for Seventeen {
    fn max_size(&self) -> usize {
        17
    }
    fn send(&self, _: Bytes) -> Result<()> {
        Ok(())
    }
    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<Result<Bytes>> {
        Poll::Ready(Err(Error::closed("a probe's datagrams")))
    }
}

/// Whatever is asked of `pipe`, a decorator over the probe of `calls`, is asked of the probe, and the probe's answer is
/// given. What the decorator does once, at the beginning, may come before.
pub fn everything_passes(pipe: BoxPipe, calls: &Calls) {
    everything_passes_but(pipe, calls, &[]);
}

/// The same, but for the methods named: those are answered by the decorator itself.
pub fn everything_passes_but(mut pipe: BoxPipe, calls: &Calls, but: &[&str]) {
    let cx = &mut Context::from_waker(noop_waker_ref());
    // Prefaces go out, answers come in, bytes that were looked at are taken.
    assert!(matches!(Pin::new(&mut pipe).poll_write(cx, b"!"), Poll::Ready(Ok(1))));
    assert!(matches!(Pin::new(&mut pipe).poll_flush(cx), Poll::Ready(Ok(()))));
    let Poll::Ready(Ok(first)) = Pin::new(&mut pipe).poll_fill_buf(cx) else { panic!("nothing to read") };
    let first = first.len();
    Pin::new(&mut pipe).consume(first);

    let passed = |call: &str| {
        let asked = calls.take();
        let method = call.split(' ').next().unwrap_or_default();
        assert!(but.contains(&method) || asked.iter().any(|asked| asked == call), "{call}: {asked:?}");
    };
    // Two methods are those that others can stand for.
    let passed_as = |calls_for: [&str; 2]| {
        let asked = calls.take();
        assert!(asked.iter().any(|asked| calls_for.contains(&asked.as_str())), "{calls_for:?}: {asked:?}");
    };
    calls.take();

    let mut bytes = [0; 4];
    let mut out = ReadBuf::new(&mut bytes);
    assert!(matches!(Pin::new(&mut pipe).poll_read(cx, &mut out), Poll::Ready(Ok(()))));
    assert_eq!(out.filled(), WORD);
    passed_as(["poll_read", "consume 4"]);
    let Poll::Ready(Ok(seen)) = Pin::new(&mut pipe).poll_fill_buf(cx) else { panic!("nothing to read") };
    assert_eq!(seen, WORD);
    passed("poll_fill_buf");
    Pin::new(&mut pipe).consume(1);
    passed("consume 1");
    let Poll::Ready(Ok(taken)) = pipe.poll_take(3, cx) else { panic!("nothing to take") };
    assert_eq!(taken.as_deref().map(|taken| &taken[..]), (!but.contains(&"poll_take")).then_some(&WORD[1..]));
    passed("poll_take 3");

    assert!(matches!(Pin::new(&mut pipe).poll_write(cx, b"hello"), Poll::Ready(Ok(5))));
    passed_as(["poll_write 5", "poll_write_vectored 5"]);
    let both = [IoSlice::new(b"he"), IoSlice::new(b"llo!")];
    assert!(matches!(Pin::new(&mut pipe).poll_write_vectored(cx, &both), Poll::Ready(Ok(6))));
    passed("poll_write_vectored 6");
    assert!(pipe.is_write_vectored());
    passed("is_write_vectored");
    assert!(matches!(Pin::new(&mut pipe).poll_flush(cx), Poll::Ready(Ok(()))));
    passed("poll_flush");

    pipe.set_priority(Priority::Urgent);
    passed("set_priority Urgent");
    pipe.set_rate(NonZeroU64::new(9));
    passed("set_rate Some(9)");
    assert_eq!(pipe.datagrams().expect("the probe has datagrams").max_size(), 17);
    passed("datagrams");
    pipe.close_read();
    passed("close_read");
    assert!(matches!(Pin::new(&mut pipe).poll_shutdown(cx), Poll::Ready(Ok(()))));
    passed("poll_shutdown");
    pipe.reset(7);
    passed("reset 7");
}

/// A muxer whose one stream is the pipe itself, and whose driver has nothing to do: for decorators of muxers.
pub struct Whole;

struct One(Mutex<Option<BoxPipe>>);

impl Session for One {
    fn poll_open(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Ready(Ok(self.0.lock().take().expect("one is opened")))
    }
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Pending
    }
    fn close(&self, _: u32) {}
}

impl Muxer for Whole {
    fn name(&self) -> &'static str {
        "whole"
    }
    fn id(&self) -> ProtocolId {
        ProtocolId::new("/whole")
    }
    fn start(&self, pipe: BoxPipe, _: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        (Arc::new(One(Some(pipe).into())), Box::pin(std::future::ready(Ok(()))))
    }
}
