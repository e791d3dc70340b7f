//! One bad pipe, from beginning to end.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use stackwire_core::{ConnectionId, Error, Kind};
use stackwire_node::Node;
use stackwire_plugin::Descriptor;
use stackwire_wrap::Faults;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Harm,
    trio::{End, Seen, Trio, authenticates, ids, watch},
};

/// How long who asks waits for an answer: longer than handshakes may take (15 s).
const PATIENCE: Duration = Duration::from_secs(20);
/// By when a keepalive has noticed: it asks every 30 s and waits for 20 s.
const NOTICED: Duration = Duration::from_secs(55);
/// By when a connection that was told to close has ended, whatever its peer does.
const CLOSED: Duration = Duration::from_secs(20);
/// Questions at most, of 2 KiB on average: enough for every fault to have happened.
const QUESTIONS: u32 = 40;

pub(super) struct Case {
    pub(super) security: &'static Descriptor,
    pub(super) muxer: &'static Descriptor,
    /// Whether the muxer finds out by itself that its peer is gone.
    pub(super) keepalive: bool,
    pub(super) harm: Harm,
    pub(super) faults: Faults,
    /// Which end of the pipe is bad.
    pub(super) at_dialer: bool,
    pub(super) seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { harm, at_dialer, seed, .. } = self;
        let (security, muxer) = (self.security.summary.name, self.muxer.summary.name);
        let end = if *at_dialer { "dialer" } else { "listener" };
        write!(f, "{harm:?} on {security} / {muxer} at the {end}, case {seed}: {:?}", self.faults)
    }
}

impl Case {
    /// Runs it on a runtime of its own, with paused time.
    pub(super) fn run(&self) {
        println!("{self}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime starts");
        runtime.block_on(self.play());
        let left = runtime.metrics().num_alive_tasks();
        assert_eq!(left, 0, "{self}: tasks are left behind");
    }

    async fn play(&self) {
        let trio = Trio::start(self).await;
        let stop = Arc::<AtomicBool>::default();
        let bystanders = trio.bystanders(&stop).await;
        let (a, b) = (&trio.a.node, &trio.b.node);
        let (before_a, before_b) = (ids(a), ids(b));
        let (seen_a, watching_a) = watch(a);
        let (seen_b, watching_b) = watch(b);

        let failed = self.talk(&trio).await;
        // The other side's handshake may end a moment later.
        sleep(Duration::from_secs(1)).await;
        // A connection may as well break between two questions, and the second finds a new one.
        let broken = failed || [&seen_a, &seen_b].iter().any(|seen| !seen.lock().ends.is_empty());
        let may_do_nothing = matches!(self.harm, Harm::Damage | Harm::Loss);
        assert!(broken || may_do_nothing, "{self}: nothing happened");
        if broken {
            // The bad one is the first since, on either side that ever had it.
            let is_there = |node: &Node, seen: &Mutex<Seen>| {
                let bad = seen.lock().connected.first().copied();
                bad.filter(|bad| ids(node).contains(bad))
            };
            let lost = async {
                while is_there(a, &seen_a).or(is_there(b, &seen_b)).is_some() {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            if timeout(NOTICED, lost).await.is_err() {
                self.assert_may_linger();
                self.close(a, is_there(a, &seen_a)).await;
                self.close(b, is_there(b, &seen_b)).await;
            }
            self.check_reasons([&seen_a.lock(), &seen_b.lock()]);
            // Only that connection was bad.
            for _ in 0..3 {
                let again = timeout(PATIENCE, trio.ask_b(3000)).await.expect("a new connection answers in time");
                again.unwrap_or_else(|error| panic!("{self}: no new connection: {error}"));
            }
        }
        if authenticates(self.security) {
            assert_eq!(trio.record.wrong(), 0, "{self}: what nobody sent was delivered");
        }
        for node in [a, b] {
            let before = if std::ptr::eq(node, a) { &before_a } else { &before_b };
            assert!(before.iter().all(|id| ids(node).contains(id)), "{self}: another connection ended");
        }

        stop.store(true, Ordering::Relaxed);
        for bystander in bystanders {
            let asked = bystander.await.expect("a bystander does not panic");
            let asked = asked.unwrap_or_else(|error| panic!("{self}: a bystander was disturbed: {error}"));
            assert!(asked > 0, "{self}: a bystander was silent");
        }
        futures::join!(a.shutdown(), b.shutdown(), trio.c.node.shutdown());
        for node in [a, b, &trio.c.node] {
            assert!(node.connections().is_empty(), "{self}: connections are left behind");
        }
        watching_a.abort();
        watching_b.abort();
        drop(trio);
        // What a pipe without power holds, it holds for ten minutes at most.
        sleep(Duration::from_secs(700)).await;
    }

    /// Asks until there is no right answer. Whether it came to that.
    async fn talk(&self, trio: &Trio) -> bool {
        for i in 0..QUESTIONS {
            let begin = Instant::now();
            match timeout(PATIENCE, trio.ask_b(50 + i * 97 % 4000)).await {
                Ok(Ok(())) => sleep(Duration::from_millis(100)).await,
                Ok(Err(error)) => {
                    self.check_error(&error);
                    assert!(begin.elapsed() <= PATIENCE);
                    return true;
                }
                // Nobody answers, nobody says why: the caller's own patience ends it.
                Err(_) => return true,
            }
        }
        false
    }

    /// A connection outlives its harm only where nothing below could notice.
    fn assert_may_linger(&self) {
        let unnoticed = !authenticates(self.security) && matches!(self.harm, Harm::Damage | Harm::Loss);
        // The last of what was said may be what was lost, and then it is as silent.
        let silent = self.harm.is_silent() || self.harm == Harm::Loss;
        assert!(unnoticed || (silent && !self.keepalive), "{self}: the connection is still there after {NOTICED:?}");
    }

    async fn close(&self, node: &Node, connection: Option<ConnectionId>) {
        let Some(connection) = connection else { return };
        node.disconnect(connection);
        let closed = async {
            while ids(node).contains(&connection) {
                sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(timeout(CLOSED, closed).await.is_ok(), "{self}: a close takes longer than {CLOSED:?}");
    }

    fn check_reasons(&self, seen: [&Seen; 2]) {
        let mut timed_out = false;
        for Seen { ends, failed, .. } in seen {
            for End { connection, error } in ends {
                println!("  {connection} ended: {error:?}", error = error.as_ref().map(Error::to_string));
            }
            for error in ends.iter().filter_map(|end| end.error.as_ref()).chain(failed) {
                self.check_error(error);
                timed_out |= is_timeout(error);
            }
        }
        // Who notices first hangs up, which the other may see before it notices by itself.
        assert!(!self.harm.is_silent() || !self.keepalive || timed_out, "{self}: nobody noticed by a timeout");
    }

    /// An error says what it is.
    fn check_error(&self, error: &Error) {
        println!("  {error}");
        match error.kind() {
            Kind::DialFailed(all) => all.iter().for_each(|failure| self.check_error(&failure.error)),
            Kind::Timeout { .. }
            | Kind::Closed
            | Kind::Reset { .. }
            | Kind::PeerMisbehaved(_)
            | Kind::AuthenticationFailed
            | Kind::PeerMismatch { .. }
            | Kind::NoCommonProtocol { .. }
            | Kind::LimitExceeded { .. } => {}
            other => panic!("{self}: an error of kind {other:?}: {error}"),
        }
    }
}

fn is_timeout(error: &Error) -> bool {
    match error.kind() {
        Kind::Timeout { .. } => true,
        Kind::DialFailed(all) => all.iter().any(|failure| is_timeout(&failure.error)),
        _ => false,
    }
}
