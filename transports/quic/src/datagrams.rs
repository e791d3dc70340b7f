//! Datagrams beside streams.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::SendDatagramError;
use stackwire_core::{Datagrams, Error, Kind, Result};

use crate::{errors::named, shared::Shared, wire};

/// The most bytes that one stream holds for its reader.
const MAX_WAITING: usize = 256 * 1024;
/// The most bytes that a connection holds for streams whose datagrams nobody has asked for yet.
const MAX_EARLY: usize = 64 * 1024;
/// What a datagram counts beside its bytes, so that empty ones are bounded, too.
const OVERHEAD: usize = 64;

/// Received datagrams, the oldest first, up to a number of bytes.
#[derive(Debug, Default)]
struct Queue<T> {
    items: VecDeque<(T, Bytes)>,
    bytes: usize,
}

impl<T> Queue<T> {
    /// Adds one. The oldest go where there is no room.
    fn push(&mut self, key: T, datagram: Bytes, max: usize) {
        self.bytes += datagram.len() + OVERHEAD;
        self.items.push_back((key, datagram));
        while self.bytes > max {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<(T, Bytes)> {
        let (key, datagram) = self.items.pop_front()?;
        self.bytes -= datagram.len() + OVERHEAD;
        Some((key, datagram))
    }
}

/// Hands each datagram of a connection to its stream.
#[derive(Debug, Default)]
pub struct Demultiplexer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    inboxes: HashMap<u64, Arc<Inbox>>,
    /// For streams whose datagrams nobody has asked for yet: the first of them may overtake the stream itself.
    early: Queue<u64>,
    ended: Option<Error>,
}

impl Demultiplexer {
    /// Takes a datagram from the wire. One that belongs to no stream is dropped: other protocols may have a use for it.
    pub fn deliver(&self, datagram: Bytes) {
        let Some((id, payload)) = wire::decode(datagram) else { return };
        // What came keeps a whole batch of packets.
        let payload = Bytes::copy_from_slice(&payload);
        let mut state = self.0.lock();
        match state.inboxes.get(&id) {
            Some(inbox) => inbox.push(payload),
            None => state.early.push(id, payload, MAX_EARLY),
        }
    }

    /// From now on the datagrams of the stream `id` are held for it.
    pub fn open(&self, id: u64) -> Arc<Inbox> {
        let mut state = self.0.lock();
        let inbox = Arc::new(Inbox::default());
        if let Some(error) = &state.ended {
            inbox.end(error);
            return inbox;
        }
        let early = std::mem::take(&mut state.early);
        for (of, payload) in early.items {
            match of == id {
                true => inbox.push(payload),
                false => state.early.push(of, payload, MAX_EARLY),
            }
        }
        state.inboxes.insert(id, inbox.clone());
        inbox
    }

    /// The stream `id` is over, by `error`.
    pub fn close(&self, id: u64, error: &Error) {
        if let Some(inbox) = self.0.lock().inboxes.remove(&id) {
            inbox.end(error);
        }
    }

    /// The connection is over, by `error`.
    pub fn end(&self, error: &Error) {
        let mut state = self.0.lock();
        state.ended.get_or_insert_with(|| error.clone());
        state.early = Queue::default();
        state.inboxes.drain().for_each(|(_, inbox)| inbox.end(error));
    }
}

/// The datagrams of one stream that were received and not yet taken.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    queue: Queue<()>,
    reader: Option<Waker>,
    ended: Option<Error>,
}

impl Inbox {
    fn push(&self, datagram: Bytes) {
        let reader = {
            let mut waiting = self.0.lock();
            waiting.queue.push((), datagram, MAX_WAITING);
            waiting.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }

    fn end(&self, error: &Error) {
        let reader = {
            let mut waiting = self.0.lock();
            waiting.ended.get_or_insert_with(|| error.clone());
            waiting.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }

    /// Why there will be no more, if so.
    fn ended(&self) -> Option<Error> {
        self.0.lock().ended.clone()
    }

    /// The oldest; after the end, those that were left, then why it ended.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut waiting = self.0.lock();
        if let Some(((), datagram)) = waiting.queue.pop() {
            return Poll::Ready(Ok(datagram));
        }
        if let Some(error) = &waiting.ended {
            return Poll::Ready(Err(error.clone()));
        }
        waiting.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The datagrams of one stream, both ways.
pub(crate) struct Flow {
    id: u64,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
}

impl Flow {
    pub(crate) fn new(id: u64, shared: Arc<Shared>) -> Self {
        Self { id, inbox: shared.datagrams.open(id), shared }
    }

    /// The stream is over, by `error`.
    pub(crate) fn end(&self, error: &Error) {
        self.shared.datagrams.close(self.id, error);
        self.inbox.end(error);
    }
}

impl Datagrams for Flow {
    fn max_size(&self) -> usize {
        let max = self.shared.connection.max_datagram_size().unwrap_or_default();
        max.saturating_sub(wire::id_len(self.id))
    }

    fn send(&self, data: Bytes) -> Result<()> {
        if let Some(error) = self.inbox.ended() {
            return Err(error);
        }
        self.shared.check_open()?;
        let too_large = || {
            let kind = Kind::LimitExceeded { limit: "max_size", max: self.max_size() as u64 };
            named(Error::new(kind, format!("sending a datagram of {} bytes", data.len())))
        };
        if data.len() > self.max_size() {
            return Err(too_large());
        }
        let sent = self.shared.connection.send_datagram(wire::encode(self.id, &data));
        sent.map_err(|error| match error {
            SendDatagramError::TooLarge => too_large(),
            SendDatagramError::ConnectionLost(error) => self.shared.lost(&error),
            error => named(Error::new(Kind::Unsupported, "sending a datagram").caused_by(error)),
        })
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        self.inbox.poll_receive(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn receive(inbox: &Inbox) -> Option<Result<Bytes>> {
        poll_fn(|cx| inbox.poll_receive(cx)).now_or_never()
    }

    fn received(inbox: &Inbox) -> Vec<Bytes> {
        std::iter::from_fn(|| receive(inbox)?.ok()).collect()
    }

    #[test]
    fn each_stream_gets_its_own_also_what_came_early() {
        let datagrams = Demultiplexer::default();
        for (id, text) in [(4, "a"), (0, "b"), (4, "c")] {
            datagrams.deliver(wire::encode(id, text.as_bytes()));
        }
        let four = datagrams.open(4);
        assert_eq!(received(&four), ["a", "c"]);
        let zero = datagrams.open(0);
        assert_eq!(received(&zero), ["b"]);
        datagrams.deliver(wire::encode(0, b"d"));
        datagrams.deliver(wire::encode(4, b""));
        assert_eq!((received(&zero), received(&four)), (vec![Bytes::from("d")], vec![Bytes::new()]));
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_go() {
        let datagrams = Demultiplexer::default();
        let fill = |id: u64, count: u32| {
            (0..count).for_each(|i| datagrams.deliver(wire::encode(id, &i.to_be_bytes().repeat(300))));
        };
        fill(8, 1000);
        let inbox = datagrams.open(8);
        let early = received(&inbox);
        assert_eq!(early.len(), MAX_EARLY / (1200 + OVERHEAD));
        assert_eq!(early.last().unwrap()[..4], 999_u32.to_be_bytes());
        fill(8, 1000);
        let waiting = received(&inbox);
        assert_eq!(waiting.len(), MAX_WAITING / (1200 + OVERHEAD));
        assert_eq!(waiting.last().unwrap()[..4], 999_u32.to_be_bytes());
        (0..100_000).for_each(|_| datagrams.deliver(wire::encode(8, b"")));
        assert!(received(&inbox).len() <= MAX_WAITING / OVERHEAD, "empty ones, too");
    }

    #[test]
    fn after_the_end_come_those_that_were_left_and_then_why() {
        let datagrams = Demultiplexer::default();
        let (one, other) = (datagrams.open(0), datagrams.open(4));
        datagrams.deliver(wire::encode(0, b"left"));
        datagrams.close(0, &Error::closed("the stream"));
        datagrams.deliver(wire::encode(0, b"late"));
        assert_eq!(received(&one), ["left"]);
        assert_eq!(receive(&one).unwrap().unwrap_err().during(), "the stream");
        assert!(receive(&other).is_none(), "the others go on");
        datagrams.end(&Error::closed("the connection"));
        for inbox in [other, datagrams.open(8)] {
            assert_eq!(receive(&inbox).unwrap().unwrap_err().during(), "the connection");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_datagrams_never_panic_and_are_bounded(datagrams: Vec<Vec<u8>>) {
            let demultiplexer = Demultiplexer::default();
            let inbox = demultiplexer.open(0);
            datagrams.into_iter().for_each(|datagram| demultiplexer.deliver(datagram.into()));
            let bytes: usize = received(&inbox).iter().map(|datagram| datagram.len() + OVERHEAD).sum();
            prop_assert!(bytes <= MAX_WAITING);
            prop_assert!(demultiplexer.0.lock().early.bytes <= MAX_EARLY);
        }
    }
}
