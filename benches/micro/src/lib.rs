//! What the layers cost alone, in memory: no socket, no second thread, no other layer above or below.
//!
//! ```text
//! cargo bench -p stackwire-micro                            # all
//! cargo bench -p stackwire-micro -- muxers/bulk             # those with this in their names
//! cargo bench -p stackwire-micro -- --save-baseline before  # … and later: --baseline before
//! ```
//!
//! Both sides run on one thread, so a figure is what the two of them need of a processor together, and so does what
//! carries their bytes: [`pipes`]. Each bench therefore has one that does as good as nothing, as the floor to subtract,
//! where its layer has such a plug-in. How fast whole stacks are beside each other is for `stackwire-bench` to say.
//!
//! This library is what the benches share: plug-ins by name, pipes, and the traffic on them. All of it panics where
//! something fails.

use std::time::Duration;

use stackwire_bundle as _;
use stackwire_core::{BoxPipe, Buffered, Env, Layer, Pipe};
use stackwire_node::TokioRuntime;
use stackwire_plugin::{Catalogue, Parts};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    runtime::{self, Runtime},
};

/// Bytes that a pipe holds each way: room for what a layer hands over in one write.
const CAPACITY: usize = 256 * 1024;

/// The length of a small message, in bytes.
pub const MESSAGE: usize = 64;

/// Where a bench runs: one thread, the clock and the randomness of a real node.
pub struct Bed {
    runtime: Runtime,
    /// What plug-ins get.
    pub env: Env,
}

impl Bed {
    /// Makes one.
    #[allow(clippy::new_without_default, reason = "a thread's runtime is no default value")]
    pub fn new() -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
        Self { runtime, env: Env::new(TokioRuntime::new()) }
    }

    /// Runs `work` to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// How long it takes to do `work` so often, one after the other.
    pub fn time(&self, times: u64, mut work: impl AsyncFnMut()) -> Duration {
        self.run(async {
            let begin = self.env.now();
            for _ in 0..times {
                work().await;
            }
            self.env.now() - begin
        })
    }
}

/// A linked plug-in, as its first fixture makes it: by its default options, wherever these make one.
pub fn plugin(layer: Layer, name: &str) -> Parts {
    let catalogue = Catalogue::linked().expect("no two plug-ins clash");
    let descriptor = catalogue.get(layer, name).expect("the bundle has it");
    let fixture = descriptor.fixtures().remove(0);
    descriptor.build_from(fixture.options).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

/// Two ends of a pipe in memory.
pub fn pipes() -> (BoxPipe, BoxPipe) {
    let (a, b) = tokio::io::duplex(CAPACITY);
    (Box::new(Buffered::new(a)), Box::new(Buffered::new(b)))
}

/// Writes all of `data` and sends it.
pub async fn send(pipe: &mut impl Pipe, data: &[u8]) {
    pipe.write_all(data).await.expect("writing works");
    pipe.flush().await.expect("flushing works");
}

/// Takes `length` bytes where they lie, as a layer above would.
pub async fn take(pipe: &mut impl Pipe, mut length: usize) {
    while length > 0 {
        let n = pipe.fill_buf().await.expect("reading works").len().min(length);
        assert!(n > 0, "an end {length} bytes early");
        pipe.consume(n);
        length -= n;
    }
}

/// The dialer's side of a call: a message, its end, the answer.
pub async fn ask(pipe: &mut impl Pipe) {
    pipe.write_all(&[1; MESSAGE]).await.expect("writing works");
    pipe.shutdown().await.expect("ending works");
    take_all(pipe).await;
}

/// The listener's side of a call.
pub async fn answer(pipe: &mut impl Pipe) {
    take_all(pipe).await;
    pipe.write_all(&[2; MESSAGE]).await.expect("writing works");
    pipe.shutdown().await.expect("ending works");
}

/// A message and its end.
async fn take_all(pipe: &mut impl Pipe) {
    take(pipe, MESSAGE).await;
    assert_eq!(pipe.read(&mut [0]).await.expect("reading works"), 0, "no more than a message");
}
