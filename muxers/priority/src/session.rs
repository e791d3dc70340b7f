//! Opening, accepting, closing.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use stackwire_core::{BoxPipe, Result, Session};

use crate::{connection::Connection, stream::PriorityStream};

pub(crate) struct PrioritySession(pub(crate) Arc<Connection>);

impl Session for PrioritySession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let id = ready!(self.0.poll_open(cx))?;
        Poll::Ready(Ok(Box::new(PriorityStream::new(self.0.clone(), id))))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let id = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(PriorityStream::new(self.0.clone(), id))))
    }

    fn close(&self, code: u32) {
        self.0.close(code);
    }

    fn round_trip(&self) -> Option<Duration> {
        self.0.with(|state, _| state.liveness.smoothed)
    }

    fn window(&self) -> Option<u64> {
        self.0.with(|state, _| state.streams.values().map(|entry| u64::from(entry.window.size())).max())
    }
}
