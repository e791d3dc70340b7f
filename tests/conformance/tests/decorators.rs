//! A decorated transport or muxer keeps the laws of its layer.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use stackwire_bundle as _;
use stackwire_conformance::{muxer, muxer_laws, transport, transport_laws};
use stackwire_core::{BoxPipe, Driver, Env, Layer, Muxer, MuxerContext, ProtocolId, Session};
use stackwire_plugin::{Catalogue, Descriptor};
use stackwire_wrap::{
    Faults, Meter, Rate, StreamLimits, Throttle, Wrap, faulty, limited, metered, over_muxer, over_session,
    over_transport, throttled, timed,
};

/// More than any law lets pass or waits for.
const MANY_BYTES: u64 = 1 << 40;
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

fn plugin(layer: Layer, name: &str) -> &'static Descriptor {
    Catalogue::linked().unwrap().get(layer, name).unwrap()
}

fn count(pipe: BoxPipe, _: &Env) -> BoxPipe {
    metered(pipe, Arc::new(Meter::default()))
}

fn bound(pipe: BoxPipe, _: &Env) -> BoxPipe {
    limited(pipe, "max_bytes", MANY_BYTES)
}

fn slow(pipe: BoxPipe, env: &Env) -> BoxPipe {
    throttled(pipe, Throttle::new(Some(Rate::new(MANY_BYTES))), env)
}

fn time(pipe: BoxPipe, env: &Env) -> BoxPipe {
    timed(pipe, LONG, env)
}

fn fragment(pipe: BoxPipe, env: &Env) -> BoxPipe {
    faulty(pipe, Faults { fragment: 20_000, pending_percent: 20, ..Faults::default() }, env)
}

// Time is real here. `tests/sim` has longer ways, for every plug-in.
fn delay(pipe: BoxPipe, env: &Env) -> BoxPipe {
    let delay = Duration::ZERO..=Duration::from_millis(1);
    faulty(pipe, Faults { delay: Some(delay), rate: NonZeroU64::new(1 << 30), ..Faults::default() }, env)
}

fn guarded(pipe: BoxPipe, env: &Env) -> BoxPipe {
    count(time(slow(bound(pipe, env), env), env), env)
}

fn everything(pipe: BoxPipe, env: &Env) -> BoxPipe {
    guarded(fragment(delay(pipe, env), env), env)
}

/// The transport `name`, its pipes decorated.
fn over(name: &str, wrap: fn(BoxPipe, &Env) -> BoxPipe) -> transport::Subject {
    let descriptor = plugin(Layer::Transport, name);
    let mut subject = transport::Subject::of(descriptor, &descriptor.fixtures()[0]);
    subject.transport = over_transport(subject.transport, wrap);
    subject
}

mod memory_metered {
    super::transport_laws!(|| super::over("memory", super::count));
}
mod memory_limited {
    super::transport_laws!(|| super::over("memory", super::bound));
}
mod memory_timed {
    super::transport_laws!(|| super::over("memory", super::time));
}
mod memory_fragmented {
    super::transport_laws!(|| super::over("memory", super::fragment));
}
mod memory_delayed {
    super::transport_laws!(|| super::over("memory", super::delay));
}
mod tcp_under_everything {
    super::transport_laws!(|| super::over("tcp", super::everything));
}

/// The muxer `name` with room for what the laws open, and with few streams, both decorated.
fn under(name: &str, decorate: impl Fn(Arc<dyn Muxer>) -> Arc<dyn Muxer>) -> muxer::Subject {
    let descriptor = plugin(Layer::Muxer, name);
    let mut subject = muxer::Subject::registered(descriptor, "max_streams = 1024");
    subject.muxer = decorate(subject.muxer);
    subject.limited = Some((decorate(muxer::Subject::registered(descriptor, "max_streams = 16").muxer), 16));
    subject
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
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let env = context.env;
        let (session, driver) = self.0.start(pipe, context);
        (over_session(session, self.1.clone(), env), driver)
    }
}

/// Limits of the decorator, on a muxer that would allow more.
fn few_streams(name: &str) -> muxer::Subject {
    let generous = StreamLimits { inbound: 10_000, outbound: 10_000 };
    let few = StreamLimits { inbound: 16, outbound: 10_000 };
    let mut subject = under(name, |muxer| generous.over_muxer(muxer));
    let inner = muxer::Subject::registered(plugin(Layer::Muxer, name), "max_streams = 1024").muxer;
    subject.limited = Some((few.over_muxer(inner), 16));
    subject
}

mod yamux_with_few_streams {
    super::muxer_laws!(|| super::few_streams("yamux"));
}
mod mplex_with_few_streams {
    super::muxer_laws!(|| super::few_streams("mplex"));
}
mod yamux_on_everything {
    super::muxer_laws!(|| super::under("yamux", |muxer| super::over_muxer(muxer, super::everything)));
}
mod mplex_on_everything {
    super::muxer_laws!(|| super::under("mplex", |muxer| super::over_muxer(muxer, super::everything)));
}
// Not fragmented: a law counts on where frames begin, and a fragmented write is several frames.
mod yamux_with_decorated_streams {
    use std::sync::Arc;
    super::muxer_laws!(|| super::under("yamux", |muxer| Arc::new(super::Streams(muxer, Arc::new(super::guarded)))));
}
mod yamux_with_delayed_streams {
    use std::sync::Arc;
    super::muxer_laws!(|| super::under("yamux", |muxer| Arc::new(super::Streams(muxer, Arc::new(super::delay)))));
}
