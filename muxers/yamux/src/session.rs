//! Opening, accepting, closing.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use stackwire_core::{BoxPipe, Result, Session};

use crate::{connection::Connection, stream::YamuxStream};

pub(crate) struct YamuxSession(pub(crate) Arc<Connection>);

impl Session for YamuxSession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let id = ready!(self.0.poll_open(cx))?;
        Poll::Ready(Ok(Box::new(YamuxStream::new(self.0.clone(), id))))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let id = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(YamuxStream::new(self.0.clone(), id))))
    }

    fn close(&self, code: u32) {
        self.0.close(code);
    }

    fn round_trip(&self) -> Option<Duration> {
        self.0.round_trip()
    }
}
