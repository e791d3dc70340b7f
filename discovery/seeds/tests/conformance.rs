//! What `seeds` promises. Time is paused: it passes when everything waits.

use std::{fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_conformance::{discovery::Subject, discovery_laws, env, host::FakeHost, in_time};
use stackwire_core::{Candidate, CandidateSink, HostApi, Keypair, Layer, Multiaddr, PeerId, Task};
use stackwire_discovery_seeds::SeedsConfig;
use stackwire_plugin::{Catalogue, Plugin};
use tokio::sync::mpsc;

mod laws {
    use super::*;
    discovery_laws!(|| Subject::of_plugin::<SeedsConfig>(&format!("peers = [\"{ONE}\", \"{THREE}\"]")));
}

mod laws_without_a_seed {
    use super::*;
    discovery_laws!(|| Subject::of_plugin::<SeedsConfig>(""));
}

struct Sink(mpsc::UnboundedSender<Vec<Candidate>>);

#[async_trait]
impl CandidateSink for Sink {
    async fn offer(&self, _: Candidate) {
        panic!("seeds knows all of its candidates")
    }
    async fn withdraw(&self, _: Option<PeerId>, _: &Multiaddr) {
        panic!("seeds knows all of its candidates")
    }
    async fn replace(&self, candidates: Vec<Candidate>) {
        // Only a test that is over no longer listens.
        let _ = self.0.send(candidates);
    }
}

/// A running discovery and what it volunteers.
struct Running {
    candidates: mpsc::UnboundedReceiver<Vec<Candidate>>,
    _task: Task,
    host: Arc<FakeHost>,
}

impl Running {
    fn start(config: SeedsConfig) -> Self {
        let seeds = config.build().expect("it builds").discoveries.remove(0);
        let (sender, candidates) = mpsc::unbounded_channel();
        let host = FakeHost::new(1, vec![]);
        let handle = host.host();
        let task = host.env().spawn("seeds", async move { seeds.run(&Sink(sender), &handle).await.unwrap() });
        Self { candidates, _task: task, host }
    }

    /// What it vouches for next, as text.
    async fn next(&mut self) -> Option<Vec<String>> {
        let candidates = in_time("candidates", self.candidates.recv()).await?;
        assert!(candidates.iter().all(|it| it.source == "seeds" && it.expires_in.is_none()));
        let text = |it: &Candidate| match it.peer {
            Some(peer) => format!("{peer} at {}", it.address),
            None => it.address.to_string(),
        };
        Some(candidates.iter().map(text).collect())
    }

    /// Whether it has said nothing more.
    fn is_quiet(&mut self) -> bool {
        self.candidates.try_recv().is_err()
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
        assert_eq!(running.next().await.unwrap(), [format!("{peer} at {ONE}"), THREE.into()]);
        env().sleep(Duration::from_secs(59)).await;
        assert!(running.is_quiet());
    }
}

#[tokio::test(start_paused = true)]
async fn without_repeats_the_list_ends() {
    let peers = vec![ONE.into()];
    let mut running = Running::start(SeedsConfig { peers, reannounce_secs: 0, ..SeedsConfig::default() });
    assert_eq!(running.next().await.unwrap(), [ONE]);
    assert_eq!(running.next().await, None);
    let mut nobody = Running::start(SeedsConfig::default());
    assert_eq!(nobody.next().await.unwrap(), [""; 0], "what an earlier config had offered is withdrawn");
    assert_eq!(nobody.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_file_and_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    let mut running = Running::start(SeedsConfig { reannounce_secs: 0, ..watching(&path) });
    assert_eq!(running.next().await.unwrap(), [""; 0]);
    env().sleep(Duration::from_secs(20)).await;
    assert!(running.is_quiet());

    fs::write(&path, format!("# seeds\n{ONE}\n")).unwrap();
    assert_eq!(running.next().await.unwrap(), [ONE]);
    fs::write(&path, format!("{ONE} # as before\nnonsense\n{TWO}\n")).unwrap();
    assert_eq!(running.next().await.unwrap(), [ONE, TWO], "without the line that does not parse");
    fs::remove_file(&path).unwrap();
    env().sleep(Duration::from_secs(20)).await;
    assert!(running.is_quiet(), "a file that is being replaced loses nobody");
    fs::write(&path, format!("{THREE}\n")).unwrap();
    assert_eq!(running.next().await.unwrap(), [THREE], "lines that are gone are withdrawn");
    env().sleep(Duration::from_secs(100)).await;
    assert!(running.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_at_once_and_all_is_repeated_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    fs::write(&path, format!("{ONE}\n{TWO}\n")).unwrap();
    let mut running = Running::start(SeedsConfig { reannounce_secs: 20, ..watching(&path) });
    assert_eq!(running.next().await.unwrap(), [ONE, TWO]);
    fs::write(&path, format!("{TWO}\n")).unwrap();
    let begin = env().now();
    for _ in 0..2 {
        assert_eq!(running.next().await.unwrap(), [TWO]);
    }
    assert!(env().now() - begin <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_small_text_file_volunteers_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seeds.txt");
    let mut running = Running::start(SeedsConfig { reannounce_secs: 0, ..watching(&path) });
    assert_eq!(running.next().await.unwrap(), [""; 0]);
    fs::create_dir(&path).unwrap();
    env().sleep(Duration::from_secs(20)).await;
    fs::remove_dir(&path).unwrap();
    fs::write(&path, format!("{ONE}\n").repeat(100_000)).unwrap();
    env().sleep(Duration::from_secs(20)).await;
    fs::write(&path, b"\xff\xfe\n/ip4/192.0.2.1\xff/tcp/1\n").unwrap();
    env().sleep(Duration::from_secs(20)).await;
    assert!(running.is_quiet());
    fs::write(&path, ONE).unwrap();
    assert_eq!(running.next().await.unwrap(), [ONE], "and it still watches");
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
