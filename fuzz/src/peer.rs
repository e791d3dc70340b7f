//! Peers that say what an input says.

use std::pin::pin;

use futures::future::{Either, join, pending, select};
use stackwire_conformance::pipes;
use stackwire_core::{BoxPipe, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink, split};

/// What the first byte of an input decides.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Our role.
    pub role: Role,
    /// The most bytes of one read and of one write; 0: no bound.
    pub chunk: usize,
    /// Which of a target's variants, 0 to 31.
    pub variant: u8,
}

impl How {
    /// Splits an input into this and the rest.
    pub fn split(input: &[u8]) -> Option<(Self, &[u8])> {
        let (&first, rest) = input.split_first()?;
        let role = if first & 1 == 0 { Role::Listener } else { Role::Dialer };
        let chunk = [0, 1, 7, 1000][usize::from(first >> 1 & 3)];
        Some((Self { role, chunk, variant: first >> 3 }, rest))
    }

    /// The input that splits into our `role`, the `variant` and `rest`.
    pub fn input(role: Role, variant: u8, rest: &[u8]) -> Vec<u8> {
        [&[variant << 3 | u8::from(role == Role::Dialer)], rest].concat()
    }

    /// Our end of a pipe, and the peer's.
    pub fn pair(self) -> (BoxPipe, BoxPipe) {
        match self.chunk {
            0 => pipes::pair(),
            chunk => pipes::pair_in_chunks(chunk),
        }
    }

    /// Runs `work` on a pipe whose other end says `bytes`, ends its half, and takes whatever it is told.
    pub async fn facing<T>(self, bytes: &[u8], work: impl AsyncFnOnce(BoxPipe) -> T) -> T {
        let (ours, theirs) = self.pair();
        let (mut hear, mut say) = split(theirs);
        // The peer does not care when we leave early.
        let saying = async {
            let _left = say.write_all(bytes).await;
            let _left = say.shutdown().await;
        };
        let hearing = async { copy(&mut hear, &mut sink()).await };
        self.with(join(saying, hearing), work(ours)).await
    }

    /// Runs `work` beside `peer` and ends with it.
    pub async fn with<T>(self, peer: impl Future, work: impl Future<Output = T>) -> T {
        let peer = pin!(async {
            peer.await;
            pending::<()>().await
        });
        match select(peer, pin!(work)).await {
            Either::Left(_) => unreachable!("the peer stays"),
            Either::Right((out, _)) => out,
        }
    }
}

/// A thing that a peer does behind a handshake.
#[derive(Debug)]
pub enum Step<'a> {
    /// Seals these bytes and sends them.
    Sealed(Vec<u8>),
    /// Sends these bytes as they are.
    Raw(&'a [u8]),
}

/// How many empty records in a row are no flood.
const MAX_EMPTY: usize = 32;

/// Reads an input as steps: what to do, a length, and that many bytes.
pub fn script(mut input: &[u8]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut empty = 0;
    while let [what, length, rest @ ..] = input {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        empty = if bytes.is_empty() { empty + 1 } else { 0 };
        if empty > MAX_EMPTY {
            continue;
        }
        steps.push(match what {
            // At most what fits one frame of Noise.
            2 => Step::Sealed(bytes.repeat(255)),
            what if what % 4 == 3 => Step::Raw(bytes),
            _ => Step::Sealed(bytes.to_vec()),
        });
    }
    steps
}

/// What a script says up to the first bytes that were not sealed, and whether there are any.
pub fn honest_part(steps: &[Step<'_>]) -> (Vec<u8>, bool) {
    let mut honest = Vec::new();
    for step in steps {
        match step {
            Step::Sealed(bytes) => honest.extend_from_slice(bytes),
            Step::Raw([]) => {}
            Step::Raw(_) => return (honest, true),
        }
    }
    (honest, false)
}

/// Reads all that a peer says by `steps` and panics where it is not exactly the honest part, or where its end does
/// not tell whether all was honest.
pub async fn check_reading(mut pipe: BoxPipe, steps: &[Step<'_>]) {
    let (honest, forged) = honest_part(steps);
    let mut read = Vec::new();
    let end = pipe.read_to_end(&mut read).await;
    assert_eq!(read, honest, "what was read is what was sealed");
    assert_eq!(end.is_err(), forged, "{end:?}");
    if let Err(error) = end {
        crate::blames_the_peer(error);
    }
}
