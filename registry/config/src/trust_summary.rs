//! What a network's trust comes to, for people.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Serialize;
use stackwire_core::trust::{PeerRole, Trust};

use crate::{Authentication, Plan, Settings};

/// Whom a network trusts, as far as its config and its file say.
#[derive(Clone, Debug, Serialize)]
pub struct TrustSummary {
    /// The network.
    pub network: String,
    /// With whom it has connections.
    pub authentication: Authentication,
    /// The same in a sentence.
    pub says: String,
    /// How many are trusted.
    pub trusted: usize,
    /// How many there are of each role, the most wanted first.
    pub roles: Vec<(&'static str, usize)>,
    /// The file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSummary>,
    /// The address that is asked, if there is one. It is not tried: that is the network's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How often, in seconds.
    pub poll_secs: f64,
}

/// A file of trusted peers.
#[derive(Clone, Debug, Serialize)]
pub struct FileSummary {
    /// Where it is.
    pub path: PathBuf,
    /// How many it lists; `None`: it can't be read.
    pub peers: Option<usize>,
    /// Why it can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Plan {
    /// Whom the network trusts, as far as its config and its file say. Reads the file.
    pub fn trust_summary(&self) -> TrustSummary {
        let Settings { trust: settings, .. } = &self.settings;
        // What is read here was found good before; where it is not, it counts for nothing.
        let all = Trust::default();
        let _ = settings.listed().and_then(|listed| all.replace("config", listed));
        let file = settings.file().ok().flatten().map(|file| {
            let read = file.read();
            let (peers, error) = match read {
                Ok(read) => {
                    let count = read.len();
                    (Some(count), all.replace("file", read).err().map(|error| error.to_string()))
                }
                Err(error) => (None, Some(error.to_string())),
            };
            FileSummary { path: file.path().to_owned(), peers, error }
        });
        let mut roles: BTreeMap<PeerRole, usize> = BTreeMap::new();
        let all = all.current();
        all.iter().for_each(|peer| *roles.entry(peer.role).or_default() += 1);
        TrustSummary {
            network: self.name().to_string(),
            authentication: settings.authentication,
            says: sentence(settings.authentication, all.len(), settings.trusted_url.is_some()),
            trusted: all.len(),
            roles: roles.into_iter().map(|(role, count)| (role.name(), count)).collect(),
            file,
            url: settings.trusted_url.clone(),
            poll_secs: settings.trusted_poll.as_secs_f64(),
        }
    }
}

fn sentence(authentication: Authentication, count: usize, asks: bool) -> String {
    let more = if asks { ", and those that the address lists," } else { "" };
    let peers = match count {
        0 if asks => "the trusted peers that the address lists".to_string(),
        0 => "peers that code or a plug-in adds, as nobody is listed,".to_string(),
        1 => format!("the one trusted peer{more}"),
        count => format!("the {count} trusted peers{more}"),
    };
    match authentication {
        Authentication::Open => "open: anybody may connect and be dialed".to_string(),
        Authentication::ServerOnly => {
            format!("server-only: anybody may connect, and only {peers} are dialed").replace("peer are", "peer is")
        }
        Authentication::Mutual => format!("mutual: only {peers} may connect"),
    }
}

impl fmt::Display for TrustSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "trust in network {}", self.network)?;
        writeln!(f, "  {}", self.says)?;
        if !self.roles.is_empty() {
            let roles: Vec<String> = self.roles.iter().map(|(role, count)| format!("{count} {role}")).collect();
            writeln!(f, "  roles       {}", roles.join(", "))?;
        }
        match &self.file {
            Some(FileSummary { path, peers: Some(count), error: None }) => {
                writeln!(f, "  file        {}: {count} listed, watched", path.display())?;
            }
            Some(FileSummary { path, error, .. }) => {
                writeln!(f, "  file        {}: {}", path.display(), error.as_deref().unwrap_or("can't be read"))?;
            }
            None => {}
        }
        match &self.url {
            Some(url) => writeln!(
                f,
                "  url         {url}: asked each {} s while the node runs, not by this check",
                self.poll_secs
            ),
            None => Ok(()),
        }
    }
}
