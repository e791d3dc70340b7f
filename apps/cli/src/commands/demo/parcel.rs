//! What is sent, and the sending.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stackwire_node::{Error, Kind, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    courier::{ID, confirm},
    nodes::Member,
};
use crate::output::{BYTES_BAR, Output, mbits, ms};

/// Read and written at a time.
const CHUNK: usize = 256 * 1024;

/// A file, or bytes in the place of one.
pub(super) struct Parcel {
    source: Source,
    size: u64,
    hash: blake3::Hash,
}

enum Source {
    File(PathBuf),
    Generated,
}

impl Parcel {
    /// A file of this many bytes that nobody has to have.
    pub(super) fn generated(size: u64) -> Self {
        let mut pieces = Pieces::new();
        let mut hasher = blake3::Hasher::new();
        while pieces.total < size {
            hasher.update(pieces.next_of(size - pieces.total));
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

    pub(super) fn hash(&self) -> blake3::Hash {
        self.hash
    }

    /// Sends it from one node to another, who hands it on until it is with `last`, with a progress bar of what is there.
    /// Returns the time until everyone had confirmed it.
    pub(super) async fn send(&self, from: &Member, to: &Member, last: &Member, out: &Output) -> Result<Duration> {
        let bar = out.bar(self.size, BYTES_BAR);
        let before = last.courier.received();
        let begin = Instant::now();
        let sending = async {
            let mut stream = from.node.open_stream(to.node.peer_id(), &[ID]).await?;
            self.write(&mut stream).await?;
            confirm(&mut stream, self.hash).await
        };
        let watching = async {
            loop {
                bar.set_position(last.courier.received() - before);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            result = sending => result?,
            () = watching => {}
        }
        Ok(begin.elapsed())
    }

    /// What machines are told of having sent it in so long.
    pub(super) fn describe(&self, took: Duration) -> Value {
        json!({
            "bytes": self.size, "blake3": self.hash.to_hex().as_str(), "ms": ms(took), "mbits": mbits(self.size, took),
        })
    }

    async fn write(&self, stream: &mut Stream) -> Result<()> {
        match &self.source {
            Source::File(path) => {
                let mut file = tokio::fs::File::open(path).await?.take(self.size);
                let mut chunk = vec![0; CHUNK];
                loop {
                    let n = file.read(&mut chunk).await?;
                    if n == 0 {
                        return Ok(());
                    }
                    stream.write_all(&chunk[..n]).await?;
                }
            }
            Source::Generated => {
                let mut pieces = Pieces::new();
                while pieces.total < self.size {
                    stream.write_all(pieces.next_of(self.size - pieces.total)).await?;
                }
                Ok(())
            }
        }
    }
}

/// Bytes that look random and are the same every time, as many as are wanted.
pub(super) struct Pieces {
    reader: blake3::OutputReader,
    chunk: Vec<u8>,
    /// Bytes there were so far.
    pub(super) total: u64,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Self { reader: blake3::Hasher::new().finalize_xof(), chunk: vec![0; CHUNK], total: 0 }
    }

    /// The next bytes, at most so many.
    pub(super) fn next_of(&mut self, most: u64) -> &[u8] {
        let count = self.chunk.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        self.reader.fill(&mut self.chunk[..count]);
        self.total += count as u64;
        &self.chunk[..count]
    }
}

/// As much of a hash as a reader can take in.
pub(super) fn short(hash: blake3::Hash) -> String {
    hash.to_hex().chars().take(16).collect::<String>() + "…"
}
