//! The serving side.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use stackwire_core::{Error, Host, Layer, Protocol, ProtocolId, Result, Stream};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// The most bytes that are sent back at once.
const MAX_PIECE: usize = 64 * 1024;

/// The protocol `echo`. Holds nothing of its own while it waits.
pub struct Echo {
    ids: Vec<ProtocolId>,
}

impl Echo {
    /// Answers to `ids`.
    pub fn new(ids: Vec<ProtocolId>) -> Self {
        Self { ids }
    }
}

#[async_trait]
impl Protocol for Echo {
    fn ids(&self) -> Vec<ProtocolId> {
        self.ids.clone()
    }

    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        send_back(stream).await.map_err(|e| Error::io("echoing", e).at(Layer::Protocol, "echo"))
    }
}

async fn send_back(mut stream: Stream) -> io::Result<()> {
    let mut piece = Vec::new();
    loop {
        // Small writes are gathered while more can be read at once, and sent off before waiting.
        if !is_readable(&mut stream).await {
            piece = Vec::new();
            stream.flush().await?;
        }
        if poll_fn(|cx| poll_send_back(&mut stream, &mut piece, cx)).await? == 0 {
            return stream.shutdown().await;
        }
    }
}

/// Sends back a piece of what has come. 0 at the end of it. What waits stays with the stream, where it is counted: a
/// peer that takes nothing makes us hold nothing else.
fn poll_send_back(stream: &mut Stream, piece: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let available = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?;
    if available.is_empty() {
        return Poll::Ready(Ok(0));
    }
    // The one copy: a stream lends its read buffer only while nobody writes.
    piece.clear();
    piece.extend_from_slice(&available[..available.len().min(MAX_PIECE)]);
    let sent = Pin::new(&mut *stream).poll_write(cx, piece);
    match &sent {
        Poll::Pending => *piece = Vec::new(),
        Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Ready(Ok(count)) => stream.consume(*count),
        Poll::Ready(Err(_)) => {}
    }
    sent
}

/// Whether a read would not wait: there are bytes, the end, or an error.
async fn is_readable(stream: &mut Stream) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_fill_buf(cx).is_ready())).await
}
