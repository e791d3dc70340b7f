//! The discovery.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use stackwire_core::{Candidate, CandidateSink, Discovery, Host, Result, address::Origin};

use crate::{config::NAME, file::SeedFile, list::Seed};

/// The discovery `seeds`.
///
/// Seeds of the list are vouched for without end. Seeds of the file are vouched for over two announcements, so that a
/// line which was removed fades.
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

    /// Ends where there is nothing to watch and nothing to repeat.
    async fn run(&self, sink: &dyn CandidateSink, host: &Host) -> Result<()> {
        let env = host.env();
        let mut file = self.file.clone().map(SeedFile::new);
        loop {
            // Everything once, and then for as long as one announcement holds, only what is new in the file.
            let announced = env.now();
            announce(sink, &self.list, None).await;
            if let Some(file) = &mut file {
                file.refresh();
                announce(sink, file.seeds(), self.file_expiry()).await;
            }
            if self.list.is_empty() && file.is_none() {
                return Ok(());
            }
            loop {
                let left =
                    self.reannounce.map(|period| period.saturating_sub(env.now().saturating_duration_since(announced)));
                if left == Some(Duration::ZERO) {
                    break;
                }
                match (&mut file, left) {
                    (Some(file), left) => {
                        env.sleep(left.unwrap_or(self.interval).min(self.interval)).await;
                        let new = file.refresh();
                        announce(sink, &new, self.file_expiry()).await;
                    }
                    (None, Some(left)) => env.sleep(left).await,
                    (None, None) => return Ok(()),
                }
            }
        }
    }
}

impl Seeds {
    fn file_expiry(&self) -> Option<Duration> {
        self.reannounce.map(|period| period.saturating_mul(2))
    }
}

async fn announce(sink: &dyn CandidateSink, seeds: &[Seed], expires_in: Option<Duration>) {
    for Seed { peer, address } in seeds {
        // The file is the operator's, as the config is.
        let (address, origin) = (address.clone(), Origin::Operator);
        sink.add(Candidate { peer: *peer, address, source: NAME, origin, expires_in }).await;
    }
}
