//! The serving side.

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use async_trait::async_trait;
use stackwire_core::{Error, Host, Layer, Protocol, ProtocolId, Result, Stream};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt};

/// The most bytes that are taken in before they are sent back.
const MAX_HELD: usize = 256 * 1024;

/// The protocol `echo`. Holds at most 256 KiB a stream, and nothing while the peer is silent.
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
    let mut held = Vec::new();
    loop {
        // Small writes are gathered while more can be read at once, and sent off before waiting.
        if !is_readable(&mut stream).await {
            stream.flush().await?;
            held = Vec::new();
        }
        let available = stream.fill_buf().await?;
        if available.is_empty() {
            return stream.shutdown().await;
        }
        // The one copy: a stream lends its read buffer only while nobody writes.
        held.clear();
        held.extend_from_slice(&available[..available.len().min(MAX_HELD)]);
        stream.consume(held.len());
        stream.write_all(&held).await?;
    }
}

/// Whether a read would not wait: there are bytes, the end, or an error.
async fn is_readable(stream: &mut Stream) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_fill_buf(cx).is_ready())).await
}
