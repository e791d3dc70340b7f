//! Tests of the channel, with a toy for a protocol and a pipe in the hand of the test below.

mod below;
mod reading;
mod speaking;
mod splits;
mod toy;
mod writing;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use stackwire_core::Error;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use self::{
    below::Below,
    toy::{Knobs, Toy},
};
use crate::Channel;

/// A channel, the pipe below it, and what can be set of its toy.
fn channel() -> (Channel<Toy>, Below, Arc<Knobs>) {
    let (below, toy) = (Below::default(), Toy::default());
    let knobs = toy.knobs();
    (Channel::new(Box::new(below.clone()), toy), below, knobs)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Counts how often it woke somebody.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Alarm {
    fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn done<T>(poll: Poll<io::Result<T>>) -> T {
    match poll {
        Poll::Ready(Ok(value)) => value,
        Poll::Ready(Err(e)) => panic!("{e}"),
        Poll::Pending => panic!("pending"),
    }
}

fn failed<T>(poll: Poll<io::Result<T>>) -> Error {
    match poll {
        Poll::Ready(Ok(_)) => panic!("it worked"),
        Poll::Ready(Err(e)) => Error::io("testing", e),
        Poll::Pending => panic!("pending"),
    }
}

fn write(channel: &mut Channel<Toy>, data: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(channel).poll_write(&mut cx(), data)
}

fn write_slices(channel: &mut Channel<Toy>, parts: &[&[u8]]) -> Poll<io::Result<usize>> {
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    Pin::new(channel).poll_write_vectored(&mut cx(), &slices)
}

fn flush(channel: &mut Channel<Toy>) -> Poll<io::Result<()>> {
    Pin::new(channel).poll_flush(&mut cx())
}

fn shutdown(channel: &mut Channel<Toy>) -> Poll<io::Result<()>> {
    Pin::new(channel).poll_shutdown(&mut cx())
}

/// Reads up to `n` bytes.
fn read(channel: &mut Channel<Toy>, n: usize) -> Poll<io::Result<Vec<u8>>> {
    let mut bytes = vec![0; n];
    let mut out = ReadBuf::new(&mut bytes);
    Pin::new(channel).poll_read(&mut cx(), &mut out).map_ok(|()| out.filled().to_vec())
}

/// What is lent.
fn fill(channel: &mut Channel<Toy>) -> Poll<io::Result<Vec<u8>>> {
    Pin::new(channel).poll_fill_buf(&mut cx()).map_ok(<[u8]>::to_vec)
}

fn consume(channel: &mut Channel<Toy>, n: usize) {
    Pin::new(channel).consume(n);
}
