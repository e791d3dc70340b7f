//! Events: one sender, any number of subscribers, nobody waits for a slow one.
//!
//! There are three rings: what matters (connections, listeners, the configuration), chatter (what peers and plug-ins say, and
//! failures of dials and strangers), and what happens to streams. A subscriber reads several as one, in the order in which
//! events happened. Chatter that it is too slow for is lost to it; what matters is not lost with it. They hold something only
//! for subscribers that are behind.
//!
//! Failures that others cause are told of only so often for each host and peer, and counted beyond that: a stranger
//! decides neither how much the application hears nor how much is logged.

use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use futures::StreamExt;
use parking_lot::Mutex;
use stackwire_core::{Env, Event, EventStream, PeerId, RateLimiter};

use crate::{
    admission::Host,
    rings::{Ring, Rings},
};

/// Failures of one host or peer that are told of in a row, and how often one more after that.
const BURST: u32 = 64;
const PERIOD: Duration = Duration::from_millis(250);
/// Hosts and peers whose failures are counted one by one.
const MAX_SOURCES: usize = 4096;
/// How often it is said how many were left out, at most.
const SUMMARY: Duration = Duration::from_secs(1);
/// The most bytes of an event in the log; what peers tell about themselves alone may be a hundred times as much.
const MAX_LINE: usize = 2048;

pub(crate) struct Events {
    rings: Rings,
    env: Env,
    /// Made with the first failure.
    failures: Mutex<Option<Failures>>,
}

/// Who causes a failure.
#[derive(PartialEq, Eq, Hash)]
enum Source {
    Host(Host),
    Peer(PeerId),
}

struct Failures {
    limiter: RateLimiter<Source>,
    left_out: u64,
    summed_up: Option<Instant>,
}

impl Events {
    pub(crate) fn new(env: Env) -> Self {
        Self { rings: Rings::default(), env, failures: Mutex::default() }
    }

    /// Tells everyone; the event is only made where someone listens.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if self.rings.are_heard() {
            let event = event();
            let (told, left_out) = self.count(&event);
            if let Some(count) = left_out {
                self.send(Event::LeftOut { count });
            }
            if told {
                self.send(event);
            }
        }
    }

    /// Whether anybody cares about streams; their events need not be made for who cares only about connections.
    pub(crate) fn wants_streams(&self) -> bool {
        self.rings.is_heard(Ring::Streams)
    }

    fn send(&self, event: Event) {
        tracing::debug!(event = ?Short(&event));
        self.rings.send(ring_of(&event), event);
    }

    /// Whether `event` is to be told of, and how many before it were not, where it is time to say so.
    fn count(&self, event: &Event) -> (bool, Option<u64>) {
        let source = match event {
            Event::IncomingFailed { remote, .. } => Source::Host(Host::of(remote)),
            Event::StreamFailed { peer, .. } => Source::Peer(*peer),
            _ => return (true, None),
        };
        let now = self.env.now();
        let mut failures = self.failures.lock();
        let failures = failures.get_or_insert_with(|| {
            let limiter = RateLimiter::new(BURST, PERIOD, MAX_SOURCES);
            Failures { limiter, left_out: 0, summed_up: None }
        });
        let told = failures.limiter.allows(source, now);
        failures.left_out += u64::from(!told);
        let due = failures.summed_up.is_none_or(|last| now.saturating_duration_since(last) >= SUMMARY);
        if failures.left_out == 0 || !due {
            return (told, None);
        }
        failures.summed_up = Some(now);
        (told, Some(std::mem::take(&mut failures.left_out)))
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        self.listen(&[Ring::Vital, Ring::Chatter, Ring::Streams])
    }

    pub(crate) fn subscribe_to_connections(&self) -> EventStream {
        self.listen(&[Ring::Vital, Ring::Chatter])
    }

    fn listen(&self, rings: &[Ring]) -> EventStream {
        self.rings.listen(rings).boxed()
    }

    /// No more events: every subscriber hears those that there are, and then the end.
    pub(crate) fn close(&self) {
        self.rings.close();
    }
}

fn ring_of(event: &Event) -> Ring {
    match event {
        Event::Connected { .. }
        | Event::Disconnected { .. }
        | Event::NewPeer { .. }
        | Event::LostPeer { .. }
        | Event::Upgraded { .. }
        | Event::Listening { .. }
        | Event::ListenerClosed { .. }
        | Event::Banned { .. }
        | Event::Unbanned { .. }
        | Event::ExternalAddress { .. }
        | Event::ExternalAddressGone { .. }
        | Event::Configured
        | Event::LocalChanged => Ring::Vital,
        event if event.is_of_stream() => Ring::Streams,
        _ => Ring::Chatter,
    }
}

/// What it shows in at most [`MAX_LINE`] bytes, and a sign where that was not all. The rest is not even written.
struct Short<T>(T);

impl<T: fmt::Debug> fmt::Debug for Short<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { out: f, left: MAX_LINE, full: false };
        let written = write!(line, "{:?}", self.0);
        if line.full { f.write_str(" … (cut)") } else { written }
    }
}

struct Line<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    left: usize,
    full: bool,
}

impl fmt::Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = &text[..text.floor_char_boundary(self.left)];
        self.left -= fits.len();
        self.out.write_str(fits)?;
        self.full = fits.len() < text.len();
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use stackwire_core::{Error, Keypair};

    use super::*;
    use crate::TokioRuntime;

    fn failure(host: u8) -> Event {
        let remote = format!("/ip4/192.0.2.{host}/tcp/1").parse().unwrap();
        Event::IncomingFailed { remote, error: Error::misbehaved("a flood") }
    }

    fn told(stream: &mut EventStream) -> (usize, u64) {
        let (mut told, mut left_out) = (0, 0);
        // Not by the runtime's leave: it would have others go first after so many.
        while let Some(Some(event)) = tokio::task::unconstrained(stream.next()).now_or_never() {
            match event {
                Event::LeftOut { count } => left_out += count,
                _ => told += 1,
            }
        }
        (told, left_out)
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_one_source_are_told_so_often_and_counted() {
        let events = Events::new(Env::new(TokioRuntime::new()));
        let mut all = events.subscribe();
        let mut connections = events.subscribe_to_connections();
        (0..500).for_each(|_| events.emit(|| failure(1)));
        events.emit(|| failure(2));
        events.emit(|| Event::LocalChanged);
        let (first, left_out) = told(&mut all);
        assert_eq!(first, BURST as usize + 2, "others are told of as ever");
        tokio::time::sleep(SUMMARY).await;
        events.emit(|| failure(2));
        let (later, rest) = told(&mut all);
        assert_eq!((later, left_out + rest), (1, 500 - u64::from(BURST)));
        assert_eq!(told(&mut connections), (first + later, left_out + rest));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_streams_count_for_their_peer() {
        let events = Events::new(Env::new(TokioRuntime::new()));
        let mut all = events.subscribe();
        for seed in [1, 2] {
            let peer = Keypair::ed25519_from_seed([seed; 32]).peer_id();
            for n in 0..100 {
                let connection = stackwire_core::ConnectionId(n);
                let error = Error::misbehaved("a flood");
                events.emit(|| Event::StreamFailed { connection, peer, protocol: None, error });
            }
        }
        assert_eq!(told(&mut all).0, 2 * BURST as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn what_strangers_do_evicts_nothing_that_matters() {
        let events = Events::new(Env::new(TokioRuntime::new()));
        events.emit(|| unreachable!("nobody listens"));
        let mut all = events.subscribe();
        events.emit(|| Event::Configured);
        for n in 0..10_000_u32 {
            let remote = format!("/ip4/10.0.{}.{}/tcp/1", n / 256 % 256, n % 256).parse().unwrap();
            events.emit(|| Event::IncomingFailed { remote, error: Error::misbehaved("a flood") });
            if n == 5000 {
                events.emit(|| Event::LocalChanged);
            }
        }
        events.close();
        let heard: Vec<Event> = all.by_ref().collect().await;
        let place = |wanted: fn(&Event) -> bool| heard.iter().position(wanted).expect("it is not lost");
        let configured = place(|event| matches!(event, Event::Configured));
        let changed = place(|event| matches!(event, Event::LocalChanged));
        place(|event| matches!(event, Event::Lagged { .. }));
        assert!(configured < changed, "{configured} {changed}");
        assert!(events.subscribe().next().await.is_none(), "after the end there is nothing to hear");
    }

    #[test]
    fn a_line_is_short_and_says_so() {
        assert_eq!(format!("{:?}", Short("abc")), "\"abc\"");
        let long = format!("{:?}", Short("é".repeat(MAX_LINE)));
        assert!(long.len() < MAX_LINE + 20 && long.ends_with("(cut)"), "{long}");
    }
}
