//! Honest peers: each a fresh node that connects and pings once.

use std::time::{Duration, Instant};

use futures::StreamExt;
use stackwire_core::{Multiaddr, address};
use stackwire_node::{Catalogue, Node, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the program's users have, without what would act on its own.
const CONFIG: &str = "protocol = []\n[[transport]]\nuse = \"tcp\"\n[[transport]]\nuse = \"quic\"\n[[transport]]\nuse = \"utp\"\n\
                      [[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";

/// How honest peers fared.
#[derive(Debug, Default)]
pub struct Probe {
    /// Times to the first ping's answer, shortest first.
    pub times: Vec<Duration>,
    /// Why others did not get in.
    pub refused: Vec<String>,
}

impl Probe {
    /// The time of the one in the middle; of nobody, where more than half did not get in.
    pub fn median(&self) -> Option<Duration> {
        self.times.get((self.times.len() + self.refused.len()) / 2).copied()
    }
}

/// `count` honest peers one after another, `pause` apart, each with `limit` for its dial and its ping.
pub async fn probe(target: &Multiaddr, count: usize, pause: Duration, limit: Duration) -> Probe {
    let mut probe = Probe::default();
    for _ in 0..count {
        let begin = Instant::now();
        match tokio::time::timeout(limit, once(target)).await {
            Ok(Ok(())) => probe.times.push(begin.elapsed()),
            Ok(Err(error)) => probe.refused.push(error.to_string()),
            Err(_) => probe.refused.push(format!("no ping within {limit:?}")),
        }
        tokio::time::sleep(pause).await;
    }
    probe.times.sort();
    probe
}

async fn once(target: &Multiaddr) -> Result<()> {
    let node = Node::from_config(CONFIG, &Catalogue::linked()?).await?;
    node.connect(target).await?;
    let peer = address::split_peer(target).1.expect("a target names its peer");
    let mut stream = node.open_stream(peer, &["/ipfs/ping/1.0.0".into()]).await?;
    stream.write_all(&[9; 32]).await?;
    stream.flush().await?;
    let mut back = [0; 32];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, [9; 32]);
    Ok(())
}

/// `count` honest peers that connect, answer what they are asked, and do nothing else. Fewer, where some did not get in.
pub async fn idle(target: &Multiaddr, count: usize) -> Vec<Node> {
    // With the default protocols, among them ping and identify, of which only the other side acts on its own.
    let config = CONFIG.replace(
        "protocol = []\n",
        "[[protocol]]\nuse = \"identify\"\n[[protocol]]\nuse = \"ping\"\ninterval_secs = 0\n",
    );
    let catalogue = Catalogue::linked().expect("no two plug-ins clash");
    let connecting = futures::stream::iter(0..count).map(|_| async {
        let node = Node::from_config(&config, &catalogue).await.ok()?;
        node.connect(target).await.ok().map(|_| node)
    });
    connecting.buffer_unordered(32).filter_map(std::future::ready).collect().await
}
