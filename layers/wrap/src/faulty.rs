//! What networks and kernels do to bytes, on demand and repeatable.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::{BoxPipe, Env, Pipe, Priority};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{cut, total};

/// What to do to a pipe. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Where the randomness starts; without, the environment's.
    pub seed: Option<u64>,
    /// Reads and writes move a random number of bytes from 1 to this at a time. 0: as many as there are.
    pub fragment: usize,
    /// Of a hundred operations, how many are first told to come again, though they could go on.
    pub pending_percent: u8,
    /// What arrives ends after so many bytes, as if the peer had ended there.
    pub cut_after: Option<u64>,
    /// The byte at this offset of what arrives is changed.
    pub damage_at: Option<u64>,
}

/// `pipe` with `faults`. Loses no bytes that it is not told to lose.
pub fn faulty(pipe: BoxPipe, faults: Faults, env: &Env) -> BoxPipe {
    let seed = faults.seed.unwrap_or_else(|| u64::from_le_bytes(env.random()));
    let dice = StdRng::seed_from_u64(seed);
    Box::new(Faulty { inner: pipe, faults, dice, offset: 0, window: 0, damaged: None })
}

struct Faulty {
    inner: BoxPipe,
    faults: Faults,
    dice: StdRng,
    /// Bytes that were read.
    offset: u64,
    /// Bytes of the inner buffer that the reader may see before the dice are thrown again.
    window: usize,
    /// The changed byte, while it is next.
    damaged: Option<[u8; 1]>,
}

impl Faulty {
    /// Whether this operation is to come again.
    fn put_off(&mut self, cx: &Context<'_>) -> bool {
        let put_off = self.dice.random_range(0..100) < self.faults.pending_percent.min(99);
        if put_off {
            cx.waker().wake_by_ref();
        }
        put_off
    }

    fn fragment(&mut self) -> usize {
        match self.faults.fragment {
            0 => usize::MAX,
            max => self.dice.random_range(1..=max),
        }
    }
}

impl AsyncRead for Faulty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let bytes = ready!(Pin::new(&mut *this).poll_fill_buf(cx))?;
        let n = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..n]);
        Pin::new(this).consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Faulty {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let left = this.faults.cut_after.map_or(u64::MAX, |end| end.saturating_sub(this.offset));
        if left == 0 {
            return Poll::Ready(Ok(&[]));
        }
        if this.window == 0 {
            if this.put_off(cx) {
                return Poll::Pending;
            }
            this.window = this.fragment();
        }
        let offset = this.offset;
        let bytes = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
        let mut visible = bytes.len().min(this.window).min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(before) = this.faults.damage_at.and_then(|at| at.checked_sub(offset)) {
            if before == 0 && visible > 0 {
                return Poll::Ready(Ok(this.damaged.insert([!bytes[0]])));
            }
            visible = visible.min(usize::try_from(before).unwrap_or(usize::MAX));
        }
        Poll::Ready(Ok(&bytes[..visible]))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.offset += n as u64;
        this.window = this.window.saturating_sub(n);
        Pin::new(&mut this.inner).consume(n);
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        let n = data.len().min(this.fragment());
        Pin::new(&mut this.inner).poll_write(cx, &data[..n])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        let n = total(slices).min(this.fragment());
        Pin::new(&mut this.inner).poll_write_vectored(cx, &cut(slices, n))
    }

    crate::pass_on!(is_write_vectored);

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl Pipe for Faulty {
    crate::pass_on!(pipe);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_conformance::{env, env_seeded, pipes};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends `bytes` through a faulty pipe to a faulty pipe; returns the pieces that arrived.
    async fn pieces(bytes: &[u8], faults: Faults, env: &Env) -> Vec<Vec<u8>> {
        let (a, b) = pipes::pair_with_capacity(1000);
        let (mut a, mut b) = (faulty(a, Faults { cut_after: None, damage_at: None, ..faults.clone() }, env), b);
        b = faulty(b, faults, env);
        let sending = async {
            // The reader may end first.
            let _cut = a.write_all(bytes).await;
            let _cut = a.shutdown().await;
        };
        let receiving = async {
            let mut pieces = Vec::new();
            let mut piece = [0; 500];
            loop {
                match b.read(&mut piece).await.unwrap() {
                    0 => break,
                    n => pieces.push(piece[..n].to_vec()),
                }
            }
            drop(b);
            pieces
        };
        tokio::join!(sending, receiving).1
    }

    #[tokio::test]
    async fn a_seed_repeats_itself() {
        let faults = Faults { seed: Some(7), fragment: 50, pending_percent: 30, ..Faults::default() };
        let bytes = vec![1; 5000];
        let first = pieces(&bytes, faults.clone(), &env_seeded(1)).await;
        assert!(first.len() > 100 && first.iter().all(|piece| piece.len() <= 50));
        assert_eq!(first, pieces(&bytes, faults, &env_seeded(2)).await);
    }

    #[tokio::test]
    async fn without_faults_nothing_changes() {
        assert_eq!(pieces(&[9; 400], Faults::default(), &env()).await, [vec![9; 400]]);
    }

    proptest! {
        #[test]
        fn bytes_arrive_whole_cut_or_damaged_as_told(
            length in 0..3000usize,
            seed: u64,
            fragment in 0..100usize,
            pending_percent in 0..60u8,
            cut_after in prop::option::of(0..3500u64),
            damage_at in prop::option::of(0..3500u64),
        ) {
            let sent: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let faults = Faults { seed: Some(seed), fragment, pending_percent, cut_after, damage_at };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let got = runtime.block_on(pieces(&sent, faults, &env())).concat();
            let mut expected = sent;
            if let Some(at) = damage_at && let Some(byte) = expected.get_mut(at as usize) {
                *byte = !*byte;
            }
            if let Some(end) = cut_after {
                expected.truncate(end as usize);
            }
            prop_assert_eq!(got, expected);
        }
    }
}
