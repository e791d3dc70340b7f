//! A file that goes through all nodes: each checks the hash while it hands the bytes on.

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use stackwire_node::{Error, Host, Kind, PeerId, Protocol, ProtocolId, Result, Stream};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::nodes::Village;
use crate::output::{BYTES_BAR, Output};

const ID: ProtocolId = ProtocolId::new("/stackwire/demo-file/1.0.0");
/// Read and written at a time.
const CHUNK: usize = 256 * 1024;

/// Takes a file in, hands it on to the next node, and answers with one byte when everyone after it has it whole.
///
/// On the wire: the length as u64, big-endian; the 32 bytes of its blake3 hash; the bytes. The answer: 1.
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
}

#[async_trait]
impl Protocol for Courier {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ID]
    }

    async fn serve(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let length = stream.read_u64().await?;
        let mut hash = [0; 32];
        stream.read_exact(&mut hash).await?;
        let mut next = match self.next.get() {
            Some(next) => Some(host.open_stream(*next, &[ID]).await?),
            None => None,
        };
        if let Some(next) = &mut next {
            next.write_u64(length).await?;
            next.write_all(&hash).await?;
        }
        let mut hasher = blake3::Hasher::new();
        let mut left = length;
        while left > 0 {
            let bytes = stream.fill_buf().await?;
            if bytes.is_empty() {
                return Err(Error::closed("the file ended early"));
            }
            let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hasher.update(&bytes[..n]);
            if let Some(next) = &mut next {
                next.write_all(&bytes[..n]).await?;
            }
            stream.consume(n);
            left -= n as u64;
            self.received.fetch_add(n as u64, Ordering::Relaxed);
        }
        if *hasher.finalize().as_bytes() != hash {
            return Err(Error::misbehaved("the file's hash does not match"));
        }
        if let Some(next) = &mut next {
            finish(next).await?;
        }
        stream.write_u8(1).await?;
        stream.shutdown().await?;
        Ok(())
    }
}

/// Ends our side and waits for the other side's word that it has everything.
async fn finish(stream: &mut Stream) -> Result<()> {
    stream.shutdown().await?;
    match stream.read_u8().await? {
        1 => Ok(()),
        other => Err(Error::misbehaved(format!("an answer of {other} instead of 1"))),
    }
}

/// What is sent.
pub(super) struct Parcel {
    source: Source,
    size: u64,
    hash: blake3::Hash,
}

enum Source {
    File(PathBuf),
    /// Bytes that look random and are the same every time.
    Generated,
}

impl Parcel {
    /// A file of this many bytes that nobody has to have.
    pub(super) fn generated(size: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut reader = blake3::Hasher::new().finalize_xof();
        let mut chunk = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let n = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            reader.fill(&mut chunk[..n]);
            hasher.update(&chunk[..n]);
            left -= n as u64;
        }
        Self { source: Source::Generated, size, hash: hasher.finalize() }
    }

    /// A file of the user's.
    pub(super) async fn of_file(path: PathBuf, out: &Output) -> Result<Self> {
        let failed =
            |e| Error::new(Kind::ConfigInvalid, format!("the file {} can't be read", path.display())).caused_by(e);
        let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let bar = out.bar(length, &format!("{BYTES_BAR} hashing"));
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK];
        let mut size = 0;
        loop {
            let n = file.read(&mut chunk).await.map_err(failed)?;
            if n == 0 {
                return Ok(Self { source: Source::File(path), size, hash: hasher.finalize() });
            }
            hasher.update(&chunk[..n]);
            size += n as u64;
            bar.set_position(size);
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn hash(&self) -> String {
        self.hash.to_hex().to_string()
    }

    pub(super) fn short_hash(&self) -> String {
        self.hash().chars().take(16).collect::<String>() + "…"
    }
}

/// Sends `parcel` from the first node through all others, with a progress bar of what has reached the last one.
/// Returns the time until everyone had confirmed it.
pub(super) async fn send(village: &Village, parcel: &Parcel, out: &Output) -> Result<Duration> {
    let (Some(first), Some(last)) = (village.members.first(), village.members.last()) else {
        return Err(Error::new(Kind::Internal, "nobody to send to"));
    };
    let next = village.members[1].node.peer_id();
    let bar = out.bar(parcel.size, BYTES_BAR);
    let begin = std::time::Instant::now();
    let sending = async {
        let mut stream = first.node.open_stream(next, &[ID]).await?;
        stream.write_u64(parcel.size).await?;
        stream.write_all(parcel.hash.as_bytes()).await?;
        match &parcel.source {
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                copy(&mut file.take(parcel.size), &mut stream).await?;
            }
            Source::Generated => {
                let mut reader = blake3::Hasher::new().finalize_xof();
                let mut chunk = vec![0; CHUNK];
                let mut left = parcel.size;
                while left > 0 {
                    let n = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    reader.fill(&mut chunk[..n]);
                    stream.write_all(&chunk[..n]).await?;
                    left -= n as u64;
                }
            }
        }
        finish(&mut stream).await
    };
    let watching = async {
        loop {
            bar.set_position(last.courier.received.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        result = sending => result?,
        () = watching => {}
    }
    Ok(begin.elapsed())
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut Stream) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = from.read(&mut chunk).await?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&chunk[..n]).await?;
    }
}
