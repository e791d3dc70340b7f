//! A pipe in the hand of a test.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use stackwire_core::{Pipe, reset_error};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// One end of a pipe; the test is the other.
#[derive(Clone, Default)]
pub struct Below(Arc<Mutex<State>>);

/// What the test sees and sets.
pub struct State {
    /// What is there to be read.
    pub incoming: VecDeque<u8>,
    /// What comes behind that.
    pub then: Then,
    /// What was written.
    pub written: Vec<u8>,
    /// How much more it takes.
    pub room: usize,
    /// How many bytes the next operations move at most, over and over; with 0 they come again. None: no bounds.
    pub steps: Vec<usize>,
    step: usize,
    writes: usize,
    /// How much had been written at the last flush.
    flushed: usize,
    shut: bool,
    pub reset: Option<u32>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub enum Then {
    Nothing,
    End,
    Reset(u32),
}

impl Default for State {
    fn default() -> Self {
        Self {
            incoming: VecDeque::new(),
            then: Then::Nothing,
            written: Vec::new(),
            room: usize::MAX,
            steps: Vec::new(),
            step: 0,
            writes: 0,
            flushed: 0,
            shut: false,
            reset: None,
            reader: None,
            writer: None,
        }
    }
}

impl Below {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What was written so far.
    pub fn written(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    /// How often it was written to.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// Whether all that was written was flushed.
    pub fn is_flushed(&self) -> bool {
        let state = self.state();
        state.flushed == state.written.len()
    }

    pub fn is_shut(&self) -> bool {
        self.state().shut
    }

    /// These bytes arrive.
    pub fn arrive(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.incoming.extend(bytes);
        state.reader.take().into_iter().for_each(Waker::wake);
    }

    /// These bytes arrive, and then the end.
    pub fn end_with(&self, bytes: &[u8]) {
        self.state().then = Then::End;
        self.arrive(bytes);
    }

    /// It takes as many bytes from now on.
    pub fn make_room(&self, bytes: usize) {
        let mut state = self.state();
        state.room = bytes;
        state.writer.take().into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// How much may move now; `None`: come again.
    fn step(&mut self, cx: &Context<'_>) -> Option<usize> {
        let Some(most) = self.steps.get(self.step) else { return Some(usize::MAX) };
        self.step = (self.step + 1) % self.steps.len();
        if *most == 0 {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(*most)
    }
}

impl AsyncRead for Below {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let Some(most) = state.step(cx) else { return Poll::Pending };
        if state.incoming.is_empty() {
            return match state.then {
                Then::End => Poll::Ready(Ok(())),
                Then::Reset(code) => Poll::Ready(Err(reset_error(code))),
                Then::Nothing => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let n = most.min(out.remaining()).min(state.incoming.len());
        state.incoming.drain(..n).for_each(|byte| out.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Below {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        unreachable!("a channel reads into a buffer of its own")
    }

    fn consume(self: Pin<&mut Self>, _: usize) {
        unreachable!("a channel reads into a buffer of its own")
    }
}

impl AsyncWrite for Below {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let Some(most) = state.step(cx) else { return Poll::Pending };
        if state.room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = most.min(data.len()).min(state.room);
        state.room -= n;
        state.writes += 1;
        state.written.extend_from_slice(&data[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let Some(_) = state.step(cx) else { return Poll::Pending };
        state.flushed = state.written.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let Some(_) = state.step(cx) else { return Poll::Pending };
        state.shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Pipe for Below {
    fn reset(&mut self, code: u32) {
        self.state().reset = Some(code);
    }
}
