//! The serving side.

use async_trait::async_trait;
use stackwire_core::{Error, Host, Kind, Layer, Protocol, ProtocolId, Result, Stream, Violation};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::{ID, ZEROS};

/// The protocol `perf`. Keeps nothing of an upload and makes nothing for a download: a stream costs no memory.
pub struct Perf {
    max_bytes: Option<u64>,
}

impl Perf {
    /// Serves up to `max_bytes` in each direction of a stream; `None`: any number.
    pub fn new(max_bytes: Option<u64>) -> Self {
        Self { max_bytes }
    }

    fn check(&self, bytes: u64, during: &'static str) -> Result<()> {
        match self.max_bytes {
            Some(max) if bytes > max => Err(Error::new(Kind::LimitExceeded { limit: "max_bytes", max }, during)),
            _ => Ok(()),
        }
    }

    async fn answer(&self, mut stream: Stream) -> Result<()> {
        let download = stream.read_u64().await.map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::violated(Violation::Truncated, "a request shorter than eight bytes")
            }
            _ => Error::io("reading a request", e),
        })?;
        self.check(download, "a download")?;
        let mut uploaded = 0_u64;
        loop {
            let n = stream.fill_buf().await.map_err(|e| Error::io("taking an upload", e))?.len();
            if n == 0 {
                break;
            }
            stream.consume(n);
            uploaded = uploaded.saturating_add(n as u64);
            self.check(uploaded, "an upload")?;
        }
        send(&mut stream, download).await.map_err(|e| Error::io("sending a download", e))
    }
}

#[async_trait]
impl Protocol for Perf {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID)]
    }

    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        self.answer(stream).await.map_err(|e| e.at(Layer::Protocol, "perf"))
    }
}

async fn send(stream: &mut Stream, mut left: u64) -> std::io::Result<()> {
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        let n = stream.write(&ZEROS[..size]).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        left -= n as u64;
    }
    stream.shutdown().await
}
