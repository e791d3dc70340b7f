//! What `seeds` promises. Time is paused: it passes when everything waits.

use std::{fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_conformance::{env, host::FakeHost, in_time};
use stackwire_core::{Candidate, CandidateSink, HostApi, Keypair, Layer, Task};
use stackwire_discovery_seeds::SeedsConfig;
use stackwire_plugin::{Built, Catalogue, Plugin};
use tokio::sync::mpsc;

struct Sink(mpsc::UnboundedSender<Candidate>);

#[async_trait]
impl CandidateSink for Sink {
    async fn add(&self, candidate: Candidate) {
        // Only a test that is over no longer listens.
        let _ = self.0.send(candidate);
    }
}

/// A running discovery and what it volunteers.
struct Running {
    candidates: mpsc::UnboundedReceiver<Candidate>,
    _task: Task,
    host: Arc<FakeHost>,
}

impl Running {
    fn start(config: SeedsConfig) -> Self {
        let Ok(Built::Discovery(seeds)) = config.build() else { panic!("seeds builds") };
        let (sender, candidates) = mpsc::unbounded_channel();
        let host = FakeHost::new(1, vec![]);
        let handle = host.host();
        let task = host.env().spawn(async move { seeds.run(&Sink(sender), &handle).await.unwrap() });
        Self { candidates, _task: task, host }
    }

    /// The next candidate, as text.
    async fn next(&mut self) -> Option<String> {
        let candidate = in_time("a candidate", self.candidates.recv()).await?;
        assert_eq!(candidate.source, "seeds");
        Some(match candidate.peer {
            Some(peer) => format!("{peer} at {}", candidate.address),
            None => candidate.address.to_string(),
        })
    }

    /// What is there already.
    fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.candidates.try_recv().ok()).map(|c| c.address.to_string()).collect()
    }
}

fn watching(path: &Path) -> SeedsConfig {
    SeedsConfig { file: Some(path.into()), ..SeedsConfig::default() }
}

const ONE: &str = "/ip4/192.0.2.1/tcp/1";
const TWO: &str = "/ip4/192.0.2.2/tcp/2";
const THREE: &str = "/dns4/seed.example/tcp/3";

#[tokio::test(start_paused = true)]
async fn volunteers_the_list_and_repeats_it() {
    let peer = Keypair::ed25519_from_seed([7; 32]).peer_id();
    let peers = vec![format!("{ONE}/p2p/{peer}"), THREE.into()];
    let mut running = Running::start(SeedsConfig { peers, ..SeedsConfig::default() });
    for _ in 0..3 {
        assert_eq!(running.next().await.unwrap(), format!("{peer} at {ONE}"));
        assert_eq!(running.next().await.unwrap(), THREE);
        assert!(running.rest().is_empty());
        env().sleep(Duration::from_secs(50)).await;
        assert!(running.rest().is_empty());
        env().sleep(Duration::from_secs(9)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_repeats_the_list_ends() {
    let peers = vec![ONE.into()];
    let mut running = Running::start(SeedsConfig { peers, reannounce_secs: 0, ..SeedsConfig::default() });
    assert_eq!(running.next().await.unwrap(), ONE);
    assert_eq!(running.next().await, None);
    assert_eq!(Running::start(SeedsConfig::default()).next().await, None, "nobody to volunteer");
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_file_and_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    let mut running = Running::start(SeedsConfig { reannounce_secs: 0, ..watching(&path) });
    env().sleep(Duration::from_secs(20)).await;
    assert!(running.rest().is_empty());

    fs::write(&path, format!("# seeds\n{ONE}\n")).unwrap();
    assert_eq!(running.next().await.unwrap(), ONE);
    fs::write(&path, format!("{ONE} # as before\nnonsense\n{TWO}\n")).unwrap();
    assert_eq!(running.next().await.unwrap(), TWO, "only what is new, without the line that does not parse");
    fs::remove_file(&path).unwrap();
    env().sleep(Duration::from_secs(20)).await;
    fs::write(&path, format!("{THREE}\n")).unwrap();
    assert_eq!(running.next().await.unwrap(), THREE);
    env().sleep(Duration::from_secs(100)).await;
    assert!(running.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lines_that_went_are_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    fs::write(&path, format!("{ONE}\n{TWO}\n")).unwrap();
    let mut running = Running::start(SeedsConfig { reannounce_secs: 20, ..watching(&path) });
    assert_eq!((running.next().await.unwrap(), running.next().await.unwrap()), (ONE.into(), TWO.into()));
    fs::write(&path, format!("{TWO}\n")).unwrap();
    for _ in 0..2 {
        assert_eq!(running.next().await.unwrap(), TWO);
    }
}

#[tokio::test(start_paused = true)]
async fn candidates_of_the_file_expire_and_those_of_the_list_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    fs::write(&path, ONE).unwrap();
    let mut running = Running::start(SeedsConfig { peers: vec![TWO.into()], ..watching(&path) });
    let of_list = in_time("the list", running.candidates.recv()).await.unwrap();
    let of_file = in_time("the file", running.candidates.recv()).await.unwrap();
    assert_eq!((of_list.expires_in, of_file.expires_in), (None, Some(Duration::from_secs(120))));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_small_text_file_volunteers_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    let mut running = Running::start(watching(&path));
    fs::create_dir(&path).unwrap();
    env().sleep(Duration::from_secs(20)).await;
    fs::remove_dir(&path).unwrap();
    fs::write(&path, format!("{ONE}\n").repeat(100_000)).unwrap();
    env().sleep(Duration::from_secs(20)).await;
    fs::write(&path, b"\xff\xfe\n/ip4/192.0.2.1\xff/tcp/1\n").unwrap();
    env().sleep(Duration::from_secs(20)).await;
    assert!(running.rest().is_empty());
    fs::write(&path, ONE).unwrap();
    assert_eq!(running.next().await.unwrap(), ONE, "and it still watches");
}

#[tokio::test(start_paused = true)]
async fn it_never_connects_nor_opens_streams() {
    let mut running = Running::start(SeedsConfig { peers: vec![ONE.into()], ..SeedsConfig::default() });
    running.next().await.unwrap();
    assert!(running.host.emitted().is_empty());
}

#[test]
fn wrong_options_are_named() {
    let plugin = Catalogue::linked().unwrap().get(Layer::Discovery, "seeds").unwrap();
    assert!(plugin.build_from("").is_ok());
    assert!(plugin.build_from(plugin.summary.example).is_ok());
    assert!(plugin.build_from("file = \"does/not/exist\"").is_ok(), "building touches no file");
    let problem = |options: &str| plugin.build_from(options).err().unwrap().message;
    assert!(problem(r#"peers = ["nonsense"]"#).contains("“nonsense”"));
    assert!(problem("interval_secs = 0").contains("interval_secs"));
    assert!(problem("files = 1").contains("unknown key"));
}
