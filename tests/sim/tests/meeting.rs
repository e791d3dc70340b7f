//! Nodes that dial each other at the same time, and streams that meet the end of an idle connection.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::time::Duration;

use futures::future::join;
use stackwire_sim::{SimNode, introduce};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

fn config(number: u64, rest: &str) -> String {
    format!(
        "[node]\nlisten = [\"/memory/{number}\"]\n{rest}\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n\
         [[muxer]]\nuse = \"yamux\"\n"
    )
}

async fn pair(seed: u64, rest: &str) -> [SimNode; 2] {
    let start = |n: u8| {
        let text = config(7_000_000 + 2 * seed + u64::from(n), rest);
        async move { SimNode::start(seed, n + 1, &text, vec![]).await.expect("the config is good") }
    };
    let pair = [start(0).await, start(1).await];
    introduce(&pair);
    pair
}

async fn ping(from: &SimNode, to: &SimNode) -> stackwire_core::Result<()> {
    let mut stream = from.node.open_stream(to.peer_id(), &["/ipfs/ping/1.0.0".into()]).await?;
    stream.write_all(&[7; 32]).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0; 32]).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_dial_each_other_at_once_end_with_one_connection() {
    for seed in 0..40 {
        let [a, b] = pair(seed, "").await;
        let (to_a, to_b) = (a.peer_id(), b.peer_id());
        // One of them may be a little later.
        let late = async {
            sleep(Duration::from_millis(seed % 4)).await;
            b.node.connect_peer(to_a).await
        };
        let (one, other) = join(a.node.connect_peer(to_b), late).await;
        assert!(one.is_ok() && other.is_ok(), "seed {seed}: {one:?} {other:?}");
        let used = join(ping(&a, &b), ping(&b, &a)).await;
        assert!(used.0.is_ok() && used.1.is_ok(), "seed {seed}: {used:?}");
        sleep(Duration::from_secs(15)).await;
        let ids = |node: &SimNode| node.node.connections().len();
        assert_eq!((ids(&a), ids(&b)), (1, 1), "seed {seed}");
        let used = join(ping(&a, &b), ping(&b, &a)).await;
        assert!(used.0.is_ok() && used.1.is_ok(), "seed {seed}: {used:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_meets_the_idle_end_gets_a_connection() {
    // Streams that only watch a connection do not hold it.
    let [a, b] = pair(77, "[node.timeouts]\nidle_secs = 1").await;
    let held = |node: &SimNode| node.node.connections().len();
    for round in 0..300_u64 {
        a.node.open_stream(b.peer_id(), &["/perf/1.0.0".into()]).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert!(held(&a) >= 1);
        // Around the moment in which the connection is closed as idle.
        sleep(Duration::from_millis(996 + round % 8)).await;
    }
}
