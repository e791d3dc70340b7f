//! Security channels, handshake done: what a record costs to seal and to open, and what bulk does.
//!
//! The floor is `plaintext`, whose channel is the pipe below.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use futures::future::join;
use stackwire_core::{BoxPipe, Keypair, Layer, Role, SecuredPipe, Security, SecurityContext, address::FixedPath};
use stackwire_micro::{Bed, MESSAGE, pipes, plugin, send, take};

const NAMES: [&str; 4] = ["plaintext", "noise", "tls", "ecies"];
const BULK: usize = 1 << 20;

fn security(name: &str) -> Arc<dyn Security> {
    plugin(Layer::Security, name).securities.remove(0)
}

/// One side of a handshake. `dials` is whom an address would name, where it has to.
async fn handshake(
    security: &dyn Security,
    pipe: BoxPipe,
    role: Role,
    identity: &Keypair,
    dials: Option<&Keypair>,
    bed: &Bed,
) -> BoxPipe {
    let (offers, fixed) = ([security.id()], FixedPath::new(dials.and_then(|peer| security.address(peer))));
    let context = SecurityContext::new(identity, &bed.env).with_offers(&offers).with_fixed(&fixed);
    let secured: SecuredPipe = security.handshake(pipe, role, context).await.expect("the handshake works");
    secured.pipe
}

/// Both ends of a channel, the dialer's first.
async fn channel(name: &str, bed: &Bed) -> (BoxPipe, BoxPipe) {
    let security = security(name);
    let [dialer, listener] = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
    let (a, b) = pipes();
    join(
        handshake(&*security, a, Role::Dialer, &dialer, Some(&listener), bed),
        handshake(&*security, b, Role::Listener, &listener, None, bed),
    )
    .await
}

/// A record each: written, flushed, and read before the next.
fn messages(c: &mut Criterion, bed: &Bed) {
    let mut group = c.benchmark_group("framing/64 B, each flushed");
    group.throughput(Throughput::Bytes(MESSAGE as u64));
    for name in NAMES {
        let (mut a, mut b) = bed.run(channel(name, bed));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                bed.time(times, async || {
                    send(&mut a, &[7; MESSAGE]).await;
                    take(&mut b, MESSAGE).await;
                })
            });
        });
    }
    group.finish();
}

/// Records as large as the channel likes.
fn bulk(c: &mut Criterion, bed: &Bed) {
    let data = vec![7; BULK];
    let mut group = c.benchmark_group("framing/1 MiB");
    group.throughput(Throughput::Bytes(BULK as u64));
    for name in NAMES {
        let (mut a, mut b) = bed.run(channel(name, bed));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                bed.time(times, async || {
                    join(send(&mut a, &data), take(&mut b, BULK)).await;
                })
            });
        });
    }
    group.finish();
}

fn main() {
    let bed = Bed::new();
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion, &bed);
    bulk(&mut criterion, &bed);
    criterion.final_summary();
}
