//! The laws of the muxer layer, run over the in-memory pipe.
//!
//! ```ignore
//! use stackwire_conformance::{muxer::Subject, muxer_laws};
//!
//! fn subject() -> Subject {
//!     Subject::of(ItsConfig::default()).limited_to(ItsConfig { max_streams: 16, ..Default::default() }, 16)
//! }
//!
//! muxer_laws!(subject); // one `#[test]` of every law
//! ```
//!
//! Numbers in the laws' documentation are those of the list of behaviours that the suites of the field's
//! implementations check. Where a muxer declares in its [`Capabilities`] that it cannot do something, the law
//! asserts the declared behaviour instead.
//!
//! The sessions of a transport that brings streams along keep the same laws ([`Subject::of_sessions`]), but for those
//! that look at or meddle with the bytes below: these say that they were skipped.
//!
//! *Quiet* laws run on one thread with paused time: time moves on only when every task waits, so that [`settle`]
//! means "until nothing more happens by itself" and a deadlock fails at once. *Busy* laws run on two threads.

pub mod budget;
pub mod close;
pub mod ends;
pub mod flow;
pub mod hostile;
pub mod life;
pub mod pressure;
pub mod reset;
pub mod storms;
pub mod streams;

mod harness;

use std::sync::Arc;

use futures::future::BoxFuture;
use stackwire_core::{BoxPipe, Driver, Muxer, MuxerContext, ProtocolId, Session};
use stackwire_plugin::{Capabilities, Descriptor, Parts, Plugin};

pub use harness::{Half, Pair, Side, echo, echo_all, must_fail, payload, read_all, settle, write_until_blocked};

/// Makes both sides of a connection, the dialer's first, on the runtime of a law: with paused time, and without sockets
/// of the operating system. Before a driver is polled nothing has to happen.
pub type MakeSessions = Arc<dyn Fn() -> BoxFuture<'static, (Half, Half)> + Send + Sync>;

/// A transport's sessions, in the place of a muxer's.
#[derive(Clone)]
pub struct Sessions {
    /// With options fit for 1 024 streams at once.
    pub make: MakeSessions,
    /// Whose listener lets the peer have only so many streams at once.
    pub limited: Option<(MakeSessions, usize)>,
}

/// The muxer under test and what it says of itself.
#[derive(Clone)]
pub struct Subject {
    /// The muxer with options fit for 1 024 streams at once.
    pub muxer: Arc<dyn Muxer>,
    /// What it declares.
    pub capabilities: Capabilities,
    /// The same muxer when it lets the peer have only so many streams at once. Without it, the laws on the limit
    /// are skipped.
    pub limited: Option<(Arc<dyn Muxer>, usize)>,
    /// A transport's sessions, where it is those that are under test and no muxer.
    pub sessions: Option<Sessions>,
    /// What a peer says first, and what it may say again and again without harm. Without it, the law on such a peer is
    /// skipped.
    pub talk: Option<(&'static [u8], &'static [u8])>,
}

impl Subject {
    /// This muxer, which says this of itself.
    pub fn new(muxer: Arc<dyn Muxer>, capabilities: Capabilities) -> Self {
        Self { muxer, capabilities, limited: None, sessions: None, talk: None }
    }

    /// A transport's sessions, of which it says this.
    pub fn of_sessions(sessions: Sessions, capabilities: Capabilities) -> Self {
        Self { sessions: Some(sessions), ..Self::new(Arc::new(NoMuxer), capabilities) }
    }

    /// The muxer, for laws about what is below it; `None`, aloud, where a transport's sessions are under test.
    pub fn on_pipes(&self) -> Option<&Arc<dyn Muxer>> {
        if self.sessions.is_some() {
            eprintln!("skipped: a transport brings these streams along, and the law is about the bytes below a muxer");
            return None;
        }
        Some(&self.muxer)
    }

    /// What `config` builds. Panics where that is not a muxer.
    pub fn of<P: Plugin>(config: P) -> Self {
        Self::new(muxer(config.build().expect("the config under test is valid")), P::SUMMARY.capabilities)
    }

    /// What a registered plug-in builds from `options`. Panics where that is not a muxer.
    pub fn registered(descriptor: &Descriptor, options: &str) -> Self {
        let muxer = muxer(descriptor.build_from(options).expect("the options under test are valid"));
        Self::new(muxer, descriptor.summary.capabilities)
    }

    /// Adds what a peer says first, and what it may say again and again without harm.
    pub fn talking(mut self, greeting: &'static [u8], words: &'static [u8]) -> Self {
        self.talk = Some((greeting, words));
        self
    }

    /// Adds a config under which the peer may have at most `streams` streams at once.
    pub fn limited_to<P: Plugin>(mut self, config: P, streams: usize) -> Self {
        self.limited = Some((muxer(config.build().expect("the limited config under test is valid")), streams));
        self
    }
}

/// Stands where a transport's sessions are under test.
struct NoMuxer;

impl Muxer for NoMuxer {
    fn name(&self) -> &'static str {
        "none"
    }
    fn id(&self) -> ProtocolId {
        "/none".into()
    }
    fn start(&self, _: BoxPipe, _: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        panic!("a law about pipes asks `Subject::on_pipes` first")
    }
}

fn muxer(mut parts: Parts) -> Arc<dyn Muxer> {
    parts.muxers.pop().expect("the plug-in under test has a muxer")
}

/// A law, for those who walk all of them.
pub struct Law {
    /// What it says.
    pub name: &'static str,
    /// Runs it to its end, on a runtime of its own. Panics where the subject breaks it.
    pub run: fn(Subject),
}

/// Every law.
pub fn laws() -> Vec<Law> {
    crate::muxer_laws!(@list (table))
}

#[doc(hidden)]
pub fn quiet<F: Future<Output = ()>>(name: &str, law: impl FnOnce(Subject) -> F, subject: Subject) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime starts")
        .block_on(crate::in_time(name, law(subject)));
}

#[doc(hidden)]
pub fn busy<F: Future<Output = ()>>(name: &str, law: impl FnOnce(Subject) -> F, subject: Subject) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime starts")
        .block_on(crate::in_time(name, law(subject)));
}

/// Makes one `#[test]` of every muxer law. Takes a function (or closure) that returns a
/// [`Subject`](crate::muxer::Subject).
#[macro_export]
macro_rules! muxer_laws {
    ($subject:expr) => {
        $crate::muxer_laws! { @list (test $subject) }
    };
    (@list $how:tt) => {
        $crate::muxer_laws! { @each $how
            quiet close::echo_with_half_close_loses_nothing;
            quiet close::closing_flushes_everything_accepted;
            quiet close::data_before_the_end_is_still_readable;
            quiet close::much_can_be_received_after_closing_our_side;
            quiet close::writing_after_closing_fails_here;
            quiet close::the_end_stays_the_end_and_closing_twice_is_harmless;
            quiet close::unwanted_data_is_discarded;
            quiet close::dropping_after_closing_loses_nothing;
            quiet close::a_peer_that_never_reads_cannot_hang_a_caller_with_a_timeout;
            quiet close::closing_before_the_peer_looked_still_delivers;
            quiet close::an_empty_stream_can_be_closed;
            quiet close::finished_streams_are_freed;
            quiet close::half_closed_streams_still_count;
            quiet reset::a_reset_releases_blocked_readers_and_writers;
            quiet reset::a_reset_is_not_an_end;
            quiet reset::a_reset_is_not_an_end_after_half_closing;
            quiet reset::the_code_of_a_reset_arrives;
            quiet reset::a_reset_leaves_other_streams_alone;
            quiet reset::our_own_reset_fails_our_own_calls;
            quiet reset::our_own_reset_releases_our_own_waiters;
            quiet reset::dropping_an_open_stream_resets_it;
            quiet reset::a_stream_that_was_reset_can_be_closed_and_dropped;
            busy flow::ten_mebibytes_both_ways_at_once;
            quiet flow::a_slow_reader_stops_only_its_own_sender;
            quiet flow::a_sender_stops_until_the_reader_consumes;
            quiet flow::a_sender_goes_on_when_half_is_consumed;
            quiet flow::the_first_write_may_be_large;
            quiet flow::sizes_of_writes_do_not_matter;
            busy flow::many_small_writes_and_one_large;
            quiet flow::vectored_writes_give_the_same_bytes;
            quiet flow::tiny_pipes_only_slow_things_down;
            quiet flow::a_read_that_was_given_up_loses_nothing;
            quiet flow::a_write_that_was_given_up_loses_nothing;
            busy streams::many_streams_with_many_messages;
            busy streams::many_connections_with_many_streams;
            busy streams::open_close_stress;
            busy streams::streams_from_one_barrier;
            quiet streams::more_streams_than_the_peer_allows;
            quiet streams::too_many_unacknowledged_streams_wait;
            busy streams::both_sides_open_at_once;
            quiet streams::giving_up_an_open_or_accept_loses_nothing;
            quiet streams::everyone_who_waits_to_open_is_served;
            quiet life::closing_ends_all_streams_on_both_sides;
            quiet life::closing_sends_what_was_accepted;
            quiet life::both_sides_may_close_at_once;
            quiet life::a_lost_pipe_fails_every_waiter;
            quiet life::the_close_of_the_peer_is_seen_without_activity_here;
            quiet life::opening_after_a_close_fails;
            quiet life::dropping_the_driver_aborts_everything;
            quiet life::dropping_an_unpolled_driver_fails_the_session;
            quiet storms::storms_of_streams_pass;
            quiet storms::streams_are_replaced_at_once;
            quiet budget::a_peer_that_takes_nothing_is_held_within_the_budget;
            quiet budget::what_was_read_and_sent_is_held_no_more;
            quiet pressure::writers_of_a_blocked_pipe_wait;
            quiet pressure::a_slow_pipe_is_tried_seldom;
            quiet pressure::a_pipe_that_fails_writes_ends_the_connection;
            quiet pressure::a_peer_that_always_talks_holds_up_no_close;
            quiet pressure::a_peer_that_always_talks_holds_up_no_failure;
            quiet ends::however_a_stream_ends_the_connection_goes_on;
            quiet ends::however_a_stream_ends_its_place_is_free;
            busy ends::sessions_that_ended_hold_nothing;
            quiet hostile::garbage_ends_the_connection;
            quiet hostile::random_bytes_end_or_are_ignored;
            quiet hostile::a_conversation_cut_anywhere_ends;
            quiet hostile::a_conversation_damaged_anywhere_ends;
            quiet hostile::streams_nobody_accepts_are_bounded;
        }
    };
    (@each (test $subject:expr) $($runner:ident $module:ident :: $law:ident;)*) => {
        $(
            #[test]
            fn $law() {
                $crate::muxer::$runner(stringify!($law), $crate::muxer::$module::$law, ($subject)());
            }
        )*
    };
    (@each (table) $($runner:ident $module:ident :: $law:ident;)*) => {
        vec![$(
            $crate::muxer::Law {
                name: stringify!($law),
                run: |subject| {
                    $crate::muxer::$runner(stringify!($law), $crate::muxer::$module::$law, subject)
                },
            }
        ),*]
    };
}
