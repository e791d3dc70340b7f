//! The watched file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::list::{Seed, Wrong, parse_lines};

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

    /// Reads the file if it has changed; says whether the seeds are others now. A file that cannot be read leaves the seeds as
    /// they were, so that a file which is being replaced loses nobody.
    pub(crate) fn refresh(&mut self) -> bool {
        let path = self.path.display();
        let (state, text) = match self.read_changed() {
            Ok(None) => return false,
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
                return false;
            }
        };
        let (seeds, wrong) = parse_lines(&text);
        if wrong.count > 0 {
            tracing::warn!(file = %path, "seeds are left out: {wrong}");
        }
        let changed = seeds != self.seeds;
        (self.state, self.seeds) = (state, seeds);
        changed
    }

    fn read_changed(&self) -> io::Result<Option<(State, String)>> {
        let metadata = fs::metadata(&self.path)?;
        // Neither is there on every file system; together they show nearly every change.
        let state = State::Read { modified: metadata.modified().ok(), size: metadata.len() };
        if state == self.state {
            return Ok(None);
        }
        Ok(Some((state, read(&self.path)?)))
    }
}

/// The text of a file of seeds. A line that is not UTF-8 is a line that does not parse, not a reason to lose the others.
fn read(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&stackwire_files::read(path, MAX_SIZE)?).into_owned())
}

/// What is wrong with the lines of a file; a file that is not there yet is a good one.
pub(crate) fn inspect(path: &Path) -> io::Result<Wrong> {
    match read(path) {
        Ok(text) => Ok(parse_lines(&text).1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Wrong::default()),
        Err(error) => Err(error),
    }
}
