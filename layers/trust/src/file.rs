//! A trusted set in a file, read again when it changes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use stackwire_core::{
    Env, Error, Kind, Result,
    trust::{Roles, Trust, TrustedPeer},
};

use crate::{Form, KnownBy, read_list};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The longest file that is read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file of `[[trusted]]` tables with the keys of [`TrustedConfig`](crate::TrustedConfig), and the part of a trusted set that
/// it is.
pub struct TrustedFile {
    path: PathBuf,
    known_by: KnownBy,
    /// `None`: roles that are not of Diem or Aptos are `known`.
    roles: Option<Roles>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    /// Time and length of what was read last.
    stamp: Option<(SystemTime, u64)>,
    /// Whether it was ever read as a whole.
    loaded: bool,
    /// Why it could not be read when it was tried last.
    failed: Option<Error>,
}

impl TrustedFile {
    /// The source that it is in a [`Trust`].
    pub const SOURCE: &'static str = "file";
    /// How often [`TrustedFile::refresh`] looks at it.
    pub const INTERVAL: Duration = INTERVAL;

    /// The file at `path`. Nothing is read yet.
    pub fn new(path: PathBuf, known_by: KnownBy) -> Self {
        Self { path, known_by, roles: None, state: Mutex::default() }
    }

    /// In a network that has these roles, and no others.
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = Some(roles);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file, at most once a second, and replaces its part of the set where it has changed. Where it is broken or gone
    /// the set stays, with a warning that names the line; where it could never be read this is the error.
    pub fn refresh(&self, trust: &Trust, env: &Env) -> Result<()> {
        let now = env.now();
        let mut state = self.state.lock();
        if state.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= INTERVAL) {
            state.looked = Some(now);
            self.look(&mut state, trust);
        }
        match &state.failed {
            Some(error) if !state.loaded => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn look(&self, state: &mut State, trust: &Trust) {
        let stamp = fs::metadata(&self.path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
        if stamp.is_some() && stamp == state.stamp {
            return;
        }
        let gone_before = state.stamp.is_none() && state.failed.is_some();
        state.stamp = stamp;
        match self.read().and_then(|read| self.replace(read, trust)) {
            Ok(()) => {
                state.loaded = true;
                state.failed = None;
            }
            Err(error) => {
                if state.loaded && !(stamp.is_none() && gone_before) {
                    tracing::warn!(%error, "the trusted set stays as it was");
                }
                state.failed = Some(error);
            }
        }
    }

    fn replace(&self, read: Vec<TrustedPeer>, trust: &Trust) -> Result<()> {
        let too_much = || format!("the trusted set {}", self.path.display());
        trust.replace(Self::SOURCE, read).map_err(|e| Error::new(Kind::ConfigInvalid, too_much()).caused_by(e))
    }

    /// What it says now. Fails with `ConfigInvalid`, naming the line.
    pub fn read(&self) -> Result<Vec<TrustedPeer>> {
        let path = self.path.display();
        let io = |e| Error::new(Kind::ConfigInvalid, format!("reading the trusted set {path}")).caused_by(e);
        let text = stackwire_files::read_text(&self.path, MAX_BYTES).map_err(io)?;
        let read = read_list(&text, Form::Toml, self.known_by, self.roles.as_ref());
        read.map_err(|e| Error::new(Kind::ConfigInvalid, format!("the trusted set {path}, {}", e.during())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[trusted]]\npeer = \"0x1111111111111111111111111111111111111111111111111111111111111111\"\n\
                       keys = [\"2222222222222222222222222222222222222222222222222222222222222222\"]\n";

    async fn a_second() {
        tokio::time::advance(INTERVAL).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_again_and_a_broken_one_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.toml");
        let listed = TrustedPeer { keys: [[9; 32]].into(), ..TrustedPeer::default() };
        let trust = Trust::default();
        trust.replace("config", [listed]).unwrap();
        let file = TrustedFile::new(path.clone(), KnownBy::Account(32));
        let env = stackwire_conformance::env();
        let refresh = || file.refresh(&trust, &env);

        let missing = refresh().unwrap_err();
        assert_eq!(missing.kind(), &Kind::ConfigInvalid);
        assert!(missing.to_string().contains("peers.toml"), "{missing}");
        fs::write(&path, ONE).unwrap();
        assert!(refresh().is_err(), "not looked at again within a second");
        a_second().await;
        refresh().unwrap();
        assert_eq!(trust.current().len(), 2, "the config's and the file's");

        // Broken, in its syntax or its meaning: the old set stays.
        for (text, line) in
            [("[[trusted]]\npeer = 1\n", "line 2"), (&format!("{ONE}\n[[trusted]]\npeer = \"x\"\n"), "line 5")]
        {
            fs::write(&path, text).unwrap();
            a_second().await;
            refresh().unwrap();
            assert_eq!(trust.current().len(), 2);
            let told = file.state.lock().failed.clone().unwrap().to_string();
            assert!(told.contains(line), "{told}");
        }
        fs::remove_file(&path).unwrap();
        a_second().await;
        refresh().unwrap();
        assert_eq!(trust.current().len(), 2);

        fs::write(&path, "# nobody any more\n").unwrap();
        a_second().await;
        refresh().unwrap();
        assert_eq!(trust.current().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_code_replaced_lasts_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.toml");
        fs::write(&path, ONE).unwrap();
        let trust = Trust::default();
        let file = TrustedFile::new(path.clone(), KnownBy::Key);
        let env = stackwire_conformance::env();
        file.refresh(&trust, &env).unwrap();
        trust.replace(TrustedFile::SOURCE, []).unwrap();
        a_second().await;
        file.refresh(&trust, &env).unwrap();
        assert!(trust.current().is_empty());
    }
}
