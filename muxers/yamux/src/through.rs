//! Streams that write to the pipe themselves.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use stackwire_core::total_len;
use stackwire_driver::{AssistBudget, ConnectionDriver as _, register};
use tokio::io::AsyncWrite;

use crate::{
    connection::Connection,
    driver::YamuxDriver,
    entry::Fin,
    wire::{HEADER, Header, Kind},
};

/// Less than this is copied for the driver, which sends it together with what else there is.
const MUCH: usize = 16 * 1024;
/// Slices of a write that are looked at.
const SLICES: usize = 16;

impl Connection {
    /// Writes much to the pipe at once instead of copying it for the driver. `None` where something else comes first: then
    /// it is for the driver.
    pub(crate) fn poll_write_through(
        &self,
        id: u32,
        slices: &[IoSlice<'_>],
        assist: &mut AssistBudget,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>> {
        let slices = &slices[..slices.len().min(SLICES)];
        let total = total_len(slices);
        if total < MUCH {
            return None;
        }
        let through = self.driver.borrow(assist, |driver, driving, assist| {
            if !driver.refused && (!driver.batch.is_empty() || self.has_to_send()) {
                assist.run(driver, driving);
            }
            if !driver.is_running() || !driver.pipe.is_write_vectored() {
                return None;
            }
            if driver.refused || !driver.batch.is_empty() {
                return self.wait_for_pipe(id, cx);
            }
            let body = self.begin_frame(id, total)?;
            if !self.write_frame(driver, id, body, slices, driving) {
                return self.wait_for_pipe(id, cx);
            }
            assist.count(body as usize);
            Some(Poll::Ready(Ok(body as usize)))
        });
        through.flatten().inspect(|written| {
            if written.is_pending() {
                assist.reset();
            }
        })
    }

    fn has_to_send(&self) -> bool {
        self.with(|state, _| !state.ready.is_empty() || !state.control.is_empty())
    }

    /// The pipe takes nothing now: the stream is woken when it has taken bytes, or has woken the driver. Until then another
    /// attempt would be in vain. `None` where others wait, too: then it may queue something meanwhile, as they do.
    fn wait_for_pipe<T>(&self, id: u32, cx: &Context<'_>) -> Option<Poll<T>> {
        self.with(|state, _| {
            let alone = state.queued == 0 && !state.is_over();
            let entry = state.streams.get_mut(&id).filter(|_| alone)?;
            if entry.reset.is_some() || entry.fin != Fin::Open || entry.credit == 0 {
                return None;
            }
            register(&mut entry.writer, cx);
            if !mem::replace(&mut entry.blocked, true) {
                state.blocked.push(id);
            }
            Some(Poll::Pending)
        })
    }

    /// Takes credit for a frame with so many of `total` bytes, if it is the next to be sent.
    fn begin_frame(&self, id: u32, total: usize) -> Option<u32> {
        self.with(|state, _| {
            if state.is_over() || !state.ready.is_empty() || !state.control.is_empty() || state.pulse.is_new() {
                return None;
            }
            let most = state.limits.split_send_size;
            let entry = state.streams.get_mut(&id)?;
            let free = entry.reset.is_none() && entry.fin == Fin::Open && entry.queued.is_empty();
            if !free || !entry.is_announced() || (entry.credit as usize) < MUCH {
                return None;
            }
            let body = u32::try_from(total).unwrap_or(u32::MAX).min(entry.credit).min(most);
            entry.credit -= body;
            Some(body)
        })
    }

    /// Writes a frame with the first bytes of `slices`. What the pipe does not take of it becomes the driver's batch.
    /// `false` if the pipe takes nothing: then it wakes the driver when it does.
    fn write_frame(
        &self,
        driver: &mut YamuxDriver,
        id: u32,
        body: u32,
        slices: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> bool {
        let header: [u8; HEADER] = Header { kind: Kind::Data, flags: 0, stream: id, length: body }.encode();
        let mut frame = [IoSlice::new(&[]); 1 + SLICES];
        frame[0] = IoSlice::new(&header);
        let mut left = body as usize;
        for (part, slice) in frame[1..].iter_mut().zip(slices) {
            *part = IoSlice::new(&slice[..slice.len().min(left)]);
            left -= part.len();
        }
        let written = match Pin::new(&mut driver.pipe).poll_write_vectored(cx, &frame[..1 + slices.len()]) {
            Poll::Ready(Ok(n)) => n,
            // The driver sees the error for itself, when it writes the batch.
            Poll::Ready(Err(_)) => 0,
            Poll::Pending => {
                driver.refused = true;
                self.with(|state, _| {
                    if let Some(entry) = state.streams.get_mut(&id) {
                        entry.credit = entry.credit.saturating_add(body);
                    }
                });
                return false;
            }
        };
        driver.unflushed += written;
        driver.count(written);
        let mut skip = written;
        for part in &frame {
            driver.batch.append(&part[skip.min(part.len())..]);
            skip -= skip.min(part.len());
        }
        self.with(|state, wakes| state.wake_sender(wakes));
        true
    }
}
