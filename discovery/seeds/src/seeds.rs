//! The discovery.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use stackwire_core::{Candidate, CandidateSink, Discovery, Host, Result, address::Origin};

use crate::{config::NAME, file::SeedFile, list::Seed};

/// The discovery `seeds`.
///
/// It vouches for the seeds of its list, and for those of its file as long as the file has them.
pub struct Seeds {
    pub(crate) list: Vec<Seed>,
    pub(crate) file: Option<PathBuf>,
    /// Between two looks at the file.
    pub(crate) interval: Duration,
    /// Between two announcements of everything; `None`: only once.
    pub(crate) reannounce: Option<Duration>,
}

#[async_trait]
impl Discovery for Seeds {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Ends if there is nothing to watch and nothing to repeat.
    async fn run(&self, sink: &dyn CandidateSink, host: &Host) -> Result<()> {
        let env = host.env();
        let mut file = self.file.clone().map(SeedFile::new);
        // When everything is volunteered again; `None`: never.
        let mut due = Some(env.now());
        loop {
            let changed = file.as_mut().is_some_and(SeedFile::refresh);
            let now = env.now();
            if changed || due.is_some_and(|due| due <= now) {
                sink.replace(self.candidates(file.as_ref())).await;
                due = self.reannounce.map(|period| now + period);
            }
            let left = due.map(|due| due.saturating_duration_since(env.now()));
            match (&file, left) {
                (Some(_), left) => env.sleep(left.unwrap_or(self.interval).min(self.interval)).await,
                (None, Some(left)) if !self.list.is_empty() => env.sleep(left).await,
                (None, _) => return Ok(()),
            }
        }
    }
}

impl Seeds {
    /// Those of the list, and those of the file as it was last read.
    fn candidates(&self, file: Option<&SeedFile>) -> Vec<Candidate> {
        let of_file = file.map_or(&[][..], SeedFile::seeds);
        // The file is the operator's, as the config is.
        let candidate = |Seed { peer, address }: &Seed| {
            let (address, origin) = (address.clone(), Origin::Operator);
            Candidate { peer: *peer, address, source: NAME, origin, expires_in: None }
        };
        self.list.iter().chain(of_file).map(candidate).collect()
    }
}
