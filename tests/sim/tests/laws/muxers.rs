use std::sync::Arc;

use stackwire_conformance::muxer::{self, Law, Subject, flow, streams};
use stackwire_core::{Driver, Layer, Muxer, MuxerContext, ProtocolId, Session};
use stackwire_plugin::Descriptor;
use stackwire_wrap::{Faults, Wrap, over_muxer, over_session};

use super::{Exception, distance, distance_and_waits, each, linked, with};

/// The muxer with room for what the laws open and with few streams, both decorated.
fn subject(plugin: &Descriptor, decorate: impl Fn(Arc<dyn Muxer>) -> Arc<dyn Muxer>) -> Subject {
    if plugin.build_from("max_streams = 1024").is_err() {
        // It calls its limit something else.
        let mut subject = Subject::registered(plugin, plugin.fixtures()[0].options);
        subject.muxer = decorate(subject.muxer);
        return subject;
    }
    let mut subject = Subject::registered(plugin, "max_streams = 1024");
    subject.muxer = decorate(subject.muxer);
    subject.limited = Some((decorate(Subject::registered(plugin, "max_streams = 16").muxer), 16));
    subject
}

/// Runs a law with paused time, also those that usually run on two threads.
fn run(law: &Law, subject: Subject) {
    macro_rules! busy {
        ($($module:ident :: $law:ident),* $(,)?) => {
            match law.name {
                $(stringify!($law) => muxer::quiet(law.name, $module::$law, subject),)*
                _ => (law.run)(subject),
            }
        };
    }
    busy!(
        flow::ten_mebibytes_both_ways_at_once,
        flow::many_small_writes_and_one_large,
        streams::many_streams_with_many_messages,
        streams::many_connections_with_many_streams,
        streams::open_close_stress,
        streams::streams_from_one_barrier,
        streams::both_sides_open_at_once,
    );
}

/// `exceptions` are of one muxer, or of all.
fn walk(decorate: impl Fn(Arc<dyn Muxer>) -> Arc<dyn Muxer>, exceptions: &[(Option<&str>, Exception)]) {
    let laws = muxer::laws();
    for plugin in linked(Layer::Muxer) {
        let its = exceptions.iter().filter(|(muxer, _)| muxer.is_none_or(|muxer| muxer == plugin.summary.name));
        let its: Vec<Exception> = its.map(|(_, exception)| *exception).collect();
        each(plugin.summary.name, laws.iter().map(|law| law.name), &its, |name| {
            let law = laws.iter().find(|law| law.name == name).expect("it is one of them");
            run(law, subject(plugin, &decorate));
        });
    }
}

fn over_pipes(faults: Faults) -> impl Fn(Arc<dyn Muxer>) -> Arc<dyn Muxer> {
    move |muxer| over_muxer(muxer, with(faults.clone()))
}

/// Our own yamux keeps the law.
const LOST_BY_THE_REFERENCE: (Option<&str>, Exception) =
    (Some("yamux-ref"), ("storms_of_streams_pass", "the published crate loses a stream of a storm there"));

#[test]
fn far_away() {
    walk(over_pipes(distance()), &[LOST_BY_THE_REFERENCE]);
}

#[test]
fn far_away_on_a_busy_machine() {
    walk(over_pipes(distance_and_waits()), &[LOST_BY_THE_REFERENCE]);
}

/// Decorates every stream of a muxer.
struct Streams(Arc<dyn Muxer>, Wrap);

impl Muxer for Streams {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn id(&self) -> ProtocolId {
        self.0.id()
    }
    fn start(&self, pipe: stackwire_core::BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let env = context.env;
        let (session, driver) = self.0.start(pipe, context);
        (over_session(session, self.1.clone(), env), driver)
    }
}

/// Each stream has delays of its own, so that streams overtake each other.
#[test]
fn streams_that_overtake_each_other() {
    let faults = Faults { fragment: 0, ..distance() };
    let wrap: Wrap = Arc::new(with(faults));
    let name = "a_peer_that_takes_nothing_is_held_within_the_budget";
    let exception = (None, (name, "what is delayed above a muxer is not held by it"));
    walk(|muxer| Arc::new(Streams(muxer, wrap.clone())), &[exception]);
}
