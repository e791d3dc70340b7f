//! Negotiators: a call on a new pipe, with the choice of its protocol.
//!
//! The floor is `fixed`, which puts nothing on the wire: the pipe and the call.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use futures::future::join;
use stackwire_core::{Layer, Negotiator, ProtocolId, Role, SelectContext, Wait};
use stackwire_micro::{Bed, answer, ask, pipes, plugin};

const NAMES: [&str; 3] = ["fixed", "multistream", "libra"];

/// A call. The dialer has one offer, and the listener knows it.
async fn call(negotiator: &dyn Negotiator, offers: &[ProtocolId], wait: Wait) {
    let (a, b) = pipes();
    let dialer = async {
        let chosen = negotiator.select(a, SelectContext::new(Role::Dialer, offers).waiting(wait)).await;
        ask(&mut chosen.expect("the offer is taken").pipe).await;
    };
    let listener = async {
        let chosen = negotiator.select(b, SelectContext::new(Role::Listener, offers)).await;
        answer(&mut chosen.expect("the offer is known").pipe).await;
    };
    join(dialer, listener).await;
}

/// Calls whose dialers wait for the answer to their offer, or do not.
fn calls(c: &mut Criterion, bed: &Bed, group: &str, wait: Wait) {
    let offers = [ProtocolId::from("/ipfs/ping/1.0.0")];
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    for name in NAMES {
        let negotiator: Arc<dyn Negotiator> = plugin(Layer::Negotiator, name).negotiators.remove(0);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| bed.time(times, async || call(&*negotiator, &offers, wait).await));
        });
    }
    group.finish();
}

fn main() {
    let bed = Bed::new();
    let mut criterion = Criterion::default().configure_from_args();
    calls(&mut criterion, &bed, "negotiation/lazy", Wait::Lazy);
    calls(&mut criterion, &bed, "negotiation/agreed", Wait::Agreed);
    criterion.final_summary();
}
