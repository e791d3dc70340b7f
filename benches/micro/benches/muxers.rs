//! Muxers on a bare pipe: one stream, several at once, and a new one for each call.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use futures::{
    future::join,
    stream::{FuturesUnordered, StreamExt},
};
use stackwire_core::{BoxPipe, Env, Layer, Muxer, MuxerContext, Role, Session, SessionExt, Task};
use stackwire_micro::{Bed, answer, ask, pipes, plugin, send, take};

const NAMES: [&str; 4] = ["yamux", "priority", "yamux-ref", "mplex"];
const BULK: usize = 4 << 20;
const STREAMS: usize = 16;
const CALLS: usize = 100;

/// Both sides of a connection, driven until this is dropped.
struct Connection {
    dialer: Arc<dyn Session>,
    listener: Arc<dyn Session>,
    tasks: Vec<Task>,
}

impl Connection {
    /// To be called within the runtime.
    fn start(name: &str, env: &Env) -> Self {
        let muxer: Arc<dyn Muxer> = plugin(Layer::Muxer, name).muxers.remove(0);
        let (a, b) = pipes();
        let mut tasks = Vec::new();
        let [dialer, listener] = [(a, Role::Dialer), (b, Role::Listener)].map(|(pipe, role)| {
            let (session, driver) = muxer.start(pipe, MuxerContext::new(role, env));
            tasks.push(env.spawn("driver", async { driver.await.expect("the connection holds") }));
            session
        });
        Self { dialer, listener, tasks }
    }

    /// A stream known to both sides, the dialer's end first.
    async fn stream(&self) -> (BoxPipe, BoxPipe) {
        let mut ours = self.dialer.open().await.expect("a stream opens");
        // A muxer may announce a stream with its first frame only.
        send(&mut ours, b"!").await;
        let mut theirs = self.listener.accept().await.expect("a stream arrives");
        take(&mut theirs, 1).await;
        (ours, theirs)
    }

    /// Answers the calls of the dialer, one after the other.
    fn serve(&mut self, env: &Env) {
        let listener = self.listener.clone();
        self.tasks.push(env.spawn("work", async move {
            while let Ok(mut stream) = listener.accept().await {
                answer(&mut stream).await;
            }
        }));
    }
}

/// `bytes` on each of so many streams at once, which stay open: windows have grown by the time of the measurement.
fn transfers(c: &mut Criterion, bed: &Bed, group: &str, streams: usize, bytes: usize) {
    let data = vec![7; bytes];
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes((streams * bytes) as u64));
    for name in NAMES {
        let (_connection, mut pipes) = bed.run(async {
            let connection = Connection::start(name, &bed.env);
            let mut pipes = Vec::new();
            for _ in 0..streams {
                pipes.push(connection.stream().await);
            }
            (connection, pipes)
        });
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                bed.time(times, async || {
                    let all = pipes.iter_mut().map(|(a, b)| join(send(a, &data), take(b, bytes)));
                    all.collect::<FuturesUnordered<_>>().count().await;
                })
            });
        });
    }
    group.finish();
}

/// A stream for each: opened, both directions used and ended.
fn calls(c: &mut Criterion, bed: &Bed) {
    let mut group = c.benchmark_group("muxers/100 calls of 64 B");
    group.throughput(Throughput::Elements(CALLS as u64));
    for name in NAMES {
        let connection = bed.run(async {
            let mut connection = Connection::start(name, &bed.env);
            connection.serve(&bed.env);
            connection
        });
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                bed.time(times, async || {
                    for _ in 0..CALLS {
                        ask(&mut connection.dialer.open().await.expect("a stream opens")).await;
                    }
                })
            });
        });
    }
    group.finish();
}

fn main() {
    let bed = Bed::new();
    let mut criterion = Criterion::default().configure_from_args();
    transfers(&mut criterion, &bed, "muxers/bulk of 4 MiB", 1, BULK);
    transfers(&mut criterion, &bed, "muxers/16 streams of 256 KiB", STREAMS, BULK / STREAMS);
    calls(&mut criterion, &bed);
    criterion.final_summary();
}
