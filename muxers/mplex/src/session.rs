//! Opening, accepting, closing.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Result, Session};

use crate::{connection::Connection, stream::MplexStream};

pub(crate) struct MplexSession(pub(crate) Arc<Connection>);

impl Session for MplexSession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let key = ready!(self.0.poll_open(cx))?;
        Poll::Ready(Ok(Box::new(MplexStream::new(self.0.clone(), key))))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let key = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(MplexStream::new(self.0.clone(), key))))
    }

    // Mplex has no place for a code.
    fn carries_codes(&self) -> bool {
        false
    }

    fn close(&self, _: u32) {
        self.0.close();
    }
}
