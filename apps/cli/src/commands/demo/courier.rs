//! A protocol that moves bytes through several nodes: each compares its hash of them with the next one's.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use stackwire_node::{Error, Host, PeerId, Protocol, ProtocolId, Result, Stream, Violation};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

pub(super) const ID: ProtocolId = ProtocolId::new("/stackwire/demo-file/1.0.0");

/// Takes bytes, hands them on to the next node where there is one, and answers when everyone after it has them whole.
///
/// On the wire: the bytes, until the sender ends its side. The answer: the 32 bytes of their blake3 hash.
#[derive(Default)]
pub(super) struct Courier {
    next: OnceLock<PeerId>,
    received: AtomicU64,
}

impl Courier {
    /// Names the node that comes after this one.
    pub(super) fn set_next(&self, next: PeerId) {
        self.next.get_or_init(|| next);
    }

    /// Bytes that have arrived, ever.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Protocol for Courier {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ID]
    }

    async fn serve(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let mut next = match self.next.get() {
            Some(next) => Some(host.open_stream(*next, &[ID]).await?),
            None => None,
        };
        let mut hasher = blake3::Hasher::new();
        loop {
            let bytes = stream.fill_buf().await?;
            if bytes.is_empty() {
                break;
            }
            hasher.update(bytes);
            if let Some(next) = &mut next {
                next.write_all(bytes).await?;
            }
            let count = bytes.len();
            stream.consume(count);
            self.received.fetch_add(count as u64, Ordering::Relaxed);
        }
        let hash = hasher.finalize();
        if let Some(next) = &mut next {
            confirm(next, hash).await?;
        }
        stream.write_all(hash.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }
}

/// Ends our side and waits for the other side's word that it has the bytes of this hash.
pub(super) async fn confirm(stream: &mut Stream, hash: blake3::Hash) -> Result<()> {
    stream.shutdown().await?;
    let mut theirs = [0; blake3::OUT_LEN];
    stream.read_exact(&mut theirs).await?;
    match hash == theirs {
        true => Ok(()),
        false => Err(Error::violated(Violation::WrongAnswer, "other bytes arrived than were sent")),
    }
}
