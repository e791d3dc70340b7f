//! Somebody in the middle: carries bytes between two pipes, counts them, and may alter or withhold them.

use std::sync::Arc;

use parking_lot::Mutex;
use stackwire_core::{BoxPipe, Buffered};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::random_bytes;

/// What happens to the bytes of one direction. Places are counted from the direction's first byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Change {
    /// Nothing.
    #[default]
    None,
    /// One bit of the byte at this place is flipped.
    Flip(usize),
    /// From this place on nothing is passed on, and the receiver sees an end.
    Cut(usize),
    /// From this place on every byte is replaced by a random one.
    Garbage(usize),
}

/// One direction.
#[derive(Default)]
pub(super) struct Lane {
    pub change: Change,
    /// Bytes that arrived from the sender and were passed on.
    pub passed: usize,
    /// Bytes that arrived from the sender and were not.
    pub withheld: usize,
    /// The first that were passed on.
    pub recorded: Vec<u8>,
}

/// How much of a direction is recorded: more than a handshake.
const RECORDED: usize = 64 * 1024;

/// A direction that can be watched and changed while it carries.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Lane>>);

impl Tap {
    pub fn set(&self, change: Change) {
        self.0.lock().change = change;
    }

    pub fn passed(&self) -> usize {
        self.0.lock().passed
    }

    pub fn withheld(&self) -> usize {
        self.0.lock().withheld
    }

    /// The first bytes that were passed on.
    pub fn recorded(&self) -> Vec<u8> {
        self.0.lock().recorded.clone()
    }

    /// Applies the change; how many of `bytes` go on, and whether this is the end.
    fn apply(&self, bytes: &mut [u8]) -> (usize, bool) {
        let mut lane = self.0.lock();
        let start = lane.passed;
        let (pass, cut) = match lane.change {
            Change::None => (bytes.len(), false),
            Change::Flip(at) => {
                if let Some(byte) = at.checked_sub(start).and_then(|i| bytes.get_mut(i)) {
                    *byte ^= 1 << (at % 8);
                }
                (bytes.len(), false)
            }
            Change::Cut(at) => {
                let left = at.saturating_sub(start);
                (left.min(bytes.len()), left <= bytes.len())
            }
            Change::Garbage(from) => {
                let skip = from.saturating_sub(start).min(bytes.len());
                let garbage = random_bytes(bytes.len() - skip, start as u64);
                bytes[skip..].copy_from_slice(&garbage);
                (bytes.len(), false)
            }
        };
        let room = RECORDED - lane.recorded.len();
        lane.recorded.extend_from_slice(&bytes[..pass.min(room)]);
        lane.passed += pass;
        lane.withheld += bytes.len() - pass;
        (pass, cut)
    }
}

/// Two pipes with somebody in the middle: what is written into the first goes through `up` to the second, and back
/// through `down`. Each holds up to 64 KiB.
pub(super) struct Tapped {
    pub pipes: (BoxPipe, BoxPipe),
    pub up: Tap,
    pub down: Tap,
}

impl Tapped {
    pub fn new() -> Self {
        let (a, middle_a) = tokio::io::duplex(64 * 1024);
        let (middle_b, b) = tokio::io::duplex(64 * 1024);
        let (from_a, to_a) = tokio::io::split(middle_a);
        let (from_b, to_b) = tokio::io::split(middle_b);
        let (up, down) = (Tap::default(), Tap::default());
        tokio::spawn(carry(from_a, to_b, up.clone()));
        tokio::spawn(carry(from_b, to_a, down.clone()));
        Self { pipes: (Box::new(Buffered::new(a)), Box::new(Buffered::new(b))), up, down }
    }
}

async fn carry(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>, tap: Tap) {
    let mut bytes = vec![0; 16 * 1024];
    let mut open = !matches!(tap.0.lock().change, Change::Cut(0));
    if !open {
        let _closed = to.shutdown().await;
    }
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        let (pass, cut) = tap.apply(&mut bytes[..n]);
        if !open {
            continue;
        }
        if to.write_all(&bytes[..pass]).await.is_err() {
            return;
        }
        if cut {
            open = false;
            let _closed = to.shutdown().await;
        }
    }
    let _closed = to.shutdown().await;
}
