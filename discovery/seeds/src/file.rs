//! The watched file.

use std::{collections::HashSet, io, path::PathBuf, time::SystemTime};

use tokio::io::AsyncReadExt;

use crate::list::{Seed, parse_lines};

/// The largest file that is read, in bytes: some ten thousand seeds.
const MAX_SIZE: u64 = 1 << 20;

/// The seeds of a file as it was last read.
pub(crate) struct SeedFile {
    path: PathBuf,
    seeds: Vec<Seed>,
    state: State,
}

/// What was found at the path; as long as it stays the same, nothing is read or said again.
#[derive(PartialEq, Eq)]
enum State {
    Unknown,
    Unreadable(io::ErrorKind),
    Read { modified: Option<SystemTime>, size: u64 },
}

impl SeedFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seeds: Vec::new(), state: State::Unknown }
    }

    pub(crate) fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// Reads the file if it has changed; gives the seeds that are new. What cannot be read leaves the seeds as they
    /// were, so that a file which is being replaced loses nobody.
    pub(crate) async fn refresh(&mut self) -> Vec<Seed> {
        let path = self.path.display();
        let (state, text) = match self.read_changed().await {
            Ok(None) => return Vec::new(),
            Ok(Some(read)) => read,
            Err(error) => {
                let state = State::Unreadable(error.kind());
                if state != self.state {
                    match error.kind() {
                        io::ErrorKind::NotFound => tracing::info!(file = %path, "waiting for the file of seeds"),
                        _ => tracing::warn!(file = %path, %error, "the file of seeds cannot be read"),
                    }
                    self.state = state;
                }
                return Vec::new();
            }
        };
        let (seeds, wrong) = parse_lines(&text);
        for (line, error) in wrong {
            tracing::warn!(file = %path, line, %error, "skipped a seed");
        }
        let known: HashSet<&Seed> = self.seeds.iter().collect();
        let new = seeds.iter().filter(|seed| !known.contains(seed)).cloned().collect();
        (self.state, self.seeds) = (state, seeds);
        new
    }

    async fn read_changed(&self) -> io::Result<Option<(State, String)>> {
        let metadata = tokio::fs::metadata(&self.path).await?;
        // Neither is there on every file system; together they show nearly every change.
        let state = State::Read { modified: metadata.modified().ok(), size: metadata.len() };
        if state == self.state {
            return Ok(None);
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if metadata.len() > MAX_SIZE {
            let message = format!("it has more than {MAX_SIZE} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let mut bytes = Vec::new();
        // Whatever it grows by while it is read is left for the next look.
        tokio::fs::File::open(&self.path).await?.take(MAX_SIZE).read_to_end(&mut bytes).await?;
        // A line that is not UTF-8 is a line that does not parse, not a reason to lose the others.
        Ok(Some((state, String::from_utf8_lossy(&bytes).into_owned())))
    }
}
