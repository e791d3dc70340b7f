//! Where a network's trusted peers come from: its config, a file that is watched, an address that is asked.
//!
//! Each is a source of the network's [`Trust`], and replaces its own part at once. What code and plug-ins add stays.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use stackwire_config::{Form, KnownBy, TrustSettings, TrustedFile, read_list};
use stackwire_core::{
    Env, Error, Kind, Result, Trust,
    trust::{Roles, TrustedPeer},
};
use stackwire_fetch::Client;
use stackwire_switch::Switch;
use tokio_util::sync::CancellationToken;

/// The sources, as the parts of a trusted set are called.
const CONFIG: &str = "config";
const FILE: &str = TrustedFile::SOURCE;
const URL: &str = "url";

/// The longest list that an address may give, in bytes: tens of thousands of peers.
const MAX_LIST: usize = 4 << 20;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sources of one network.
#[derive(Default)]
pub(crate) struct TrustSources(Mutex<Parts>);

/// What a configuration has put into the set.
#[derive(Default)]
struct Parts {
    settings: TrustSettings,
    listed: Vec<TrustedPeer>,
    file: Option<Arc<TrustedFile>>,
    /// What the file said when it was read for this.
    in_file: Vec<TrustedPeer>,
    /// Ends what follows the file and the address.
    stop: CancellationToken,
}

/// The sources of a configuration that is about to come into force. Until [`Staged::commit`] those of the old one are
/// trusted, too; dropped before that, only those.
pub(crate) struct Staged<'a> {
    sources: &'a TrustSources,
    trust: Trust,
    /// `None`: nothing changes.
    parts: Option<Parts>,
}

impl TrustSources {
    /// Reads what `settings` say, and trusts those beside whom is trusted already, so that whichever of the two configurations
    /// is in force at a moment has its peers. Fails with `ConfigInvalid` where the file can't be read.
    pub(crate) fn stage(&self, switch: &Switch, settings: &TrustSettings) -> Result<Staged<'_>> {
        let trust = switch.trust();
        if self.0.lock().settings == *settings {
            return Ok(Staged { sources: self, trust, parts: None });
        }
        let file = settings.file()?.map(Arc::new);
        let in_file = file.as_ref().map(|file| file.read()).transpose()?.unwrap_or_default();
        let (listed, stop) = (settings.listed()?, CancellationToken::new());
        let staged = Staged {
            sources: self,
            trust,
            parts: Some(Parts { settings: settings.clone(), listed, file, in_file, stop }),
        };
        if let Some(parts) = &staged.parts {
            let old = self.0.lock();
            staged.trust.replace(CONFIG, old.listed.iter().chain(&parts.listed).cloned())?;
            staged.trust.replace(FILE, old.in_file.iter().chain(&parts.in_file).cloned())?;
        }
        Ok(staged)
    }
}

impl Staged<'_> {
    /// From now on only these are trusted, and followed.
    pub(crate) fn commit(mut self, switch: &Switch) {
        let Some(parts) = self.parts.take() else { return };
        let (trust, env) = (self.trust.clone(), switch.env().clone());
        put(&trust, &parts);
        let before = std::mem::replace(&mut *self.sources.0.lock(), parts);
        before.stop.cancel();
        let parts = self.sources.0.lock();
        if let Some(file) = parts.file.clone() {
            let (trust, env) = (trust.clone(), env.clone());
            follow(switch, &parts.stop, "trusted file", async move { watch(&file, &trust, &env).await });
        }
        let same_url = parts.settings.trusted_url == before.settings.trusted_url;
        match (&parts.settings.trusted_url, parts.settings.known_roles()) {
            (Some(url), Ok(roles)) => {
                let asked = Asked { url: url.clone(), every: parts.settings.trusted_poll, roles };
                follow(switch, &parts.stop, "trusted url", async move { ask(asked, &trust, &env).await });
            }
            // What another address has listed stays until the new one has answered.
            _ if !same_url => replace(&trust, URL, Vec::new()),
            _ => {}
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.parts.is_some() {
            put(&self.trust, &self.sources.0.lock());
        }
    }
}

fn put(trust: &Trust, parts: &Parts) {
    replace(trust, CONFIG, parts.listed.clone());
    replace(trust, FILE, parts.in_file.clone());
}

fn replace(trust: &Trust, source: &str, peers: Vec<TrustedPeer>) {
    if let Err(error) = trust.replace(source, peers) {
        tracing::warn!(%error, source, "the trusted set stays as it was: list fewer peers");
    }
}

fn follow(
    switch: &Switch,
    stop: &CancellationToken,
    label: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    switch.keep(label, async move {
        stop.run_until_cancelled(task).await;
    });
}

async fn watch(file: &TrustedFile, trust: &Trust, env: &Env) {
    loop {
        // What is wrong with it is told there; it was read before, so that there is a set to stay with.
        if let Err(error) = file.refresh(trust, env) {
            tracing::warn!(%error, "the trusted set stays as it was");
        }
        env.sleep(TrustedFile::INTERVAL).await;
    }
}

struct Asked {
    url: String,
    every: Duration,
    roles: Roles,
}

/// Asks an address again and again. What is wrong is told once, until it is well again.
async fn ask(Asked { url, every, roles }: Asked, trust: &Trust, env: &Env) {
    let mut told = false;
    loop {
        match fetch(&url, &roles, env).await.and_then(|peers| trust.replace(URL, peers)) {
            Ok(()) if told => {
                tracing::info!(url, "the list of trusted peers can be had again");
                told = false;
            }
            Ok(()) => {}
            Err(error) if !told => {
                tracing::warn!(%error, url, "the trusted set stays as it was: see to what `trust.trusted_url` serves, or take it out");
                told = true;
            }
            Err(error) => tracing::debug!(%error, url, "still no list of trusted peers"),
        }
        env.sleep(every).await;
    }
}

async fn fetch(url: &str, roles: &Roles, env: &Env) -> Result<Vec<TrustedPeer>> {
    let client = Client::new(env)?;
    let bytes = env.timeout(PATIENCE, "asking for trusted peers", client.get(url, MAX_LIST)).await?;
    let text = String::from_utf8(bytes).map_err(|_| Error::new(Kind::ConfigInvalid, "the list is no UTF-8"))?;
    read_list(&text, Form::Any, KnownBy::Identity, Some(roles))
}
