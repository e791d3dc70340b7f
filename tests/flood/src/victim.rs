//! The node under flood, as a process.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use stackwire_core::Multiaddr;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// `stackwire run`, ended when this is dropped.
pub struct Victim {
    child: Child,
    pid: u32,
    /// Where it listens, with its `/p2p/…`: TCP, QUIC, uTP in this order.
    pub addresses: Vec<Multiaddr>,
    _folder: tempfile::TempDir,
}

impl Victim {
    /// Starts `program` with `settings` in its `[node]` section.
    pub async fn start(program: &Path, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("node.toml");
        let text = format!(
            "[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\", \"/ip4/127.0.0.1/udp/0/quic-v1\", \"/ip4/127.0.0.1/udp/0/utp\"]\n\
             {settings}\n[[transport]]\nuse = \"tcp\"\n[[transport]]\nuse = \"quic\"\n[[transport]]\nuse = \"utp\"\n\
             [[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n"
        );
        fs::write(&config, text).expect("the config is written");
        let mut child = Command::new(program)
            .args(["--json", "run", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut addresses: Vec<Multiaddr> = Vec::new();
        let listening = async {
            while addresses.len() < 3 {
                let line = lines.next_line().await.expect("it prints").expect("it runs");
                let event: serde_json::Value = serde_json::from_str(&line).expect("each line is an event");
                if event["event"] == "listening" {
                    let address = event["address"].as_str().expect("an address");
                    addresses.push(address.parse().expect("an address"));
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("it listens");
        addresses.sort_by_key(|address| {
            let text = address.to_string();
            if text.contains("/tcp/") { 0 } else { 1 + usize::from(text.contains("/utp")) }
        });
        // Somebody must read what it prints.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let pid = child.id().expect("it runs");
        Self { child, pid, addresses, _folder: folder }
    }

    /// Open descriptors; `None` where the system does not tell.
    pub fn descriptors(&self) -> Option<usize> {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).ok().map(Iterator::count)
    }

    /// Waits until it has at most `count` descriptors, or for `limit`. Returns how many it has.
    pub async fn descriptors_down_to(&self, count: usize, limit: Duration) -> usize {
        let begin = Instant::now();
        loop {
            let now = self.descriptors().unwrap_or(0);
            if now <= count || begin.elapsed() > limit {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resident memory, in bytes; 0 where the system does not tell.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    /// CPU time it has used so far; zero where the system does not tell.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // What comes after the name, which is in brackets: user and system time are fields 14 and 15 of the whole.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}
