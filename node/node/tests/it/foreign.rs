//! A node that is used from threads without a runtime, and whom it knows.

use futures::executor::block_on;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[test]
fn a_thread_without_a_runtime_uses_a_node() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, client) = runtime.block_on(async { (node("", "").await, node("", "").await) });
    block_on(async {
        let more = client.listen(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap();
        assert_eq!(more.len(), 1);
        client.connect(&address(&server)).await.unwrap();
        let mut stream = client.open_stream(server.peer_id(), &["/ipfs/ping/1.0.0".into()]).await.unwrap();
        stream.write_all(&[1; 32]).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0; 32]).await.unwrap();
        drop(stream);
        let back = server.connect(&more[0]).await.unwrap();
        assert_eq!(back.peer, client.peer_id());
        client.shutdown().await;
    });
    drop(server);
}

#[tokio::test]
async fn the_peers_that_a_node_knows_can_be_waited_for() {
    let (server, client) = (node("", "").await, node("", "").await);
    let host = server.host();
    let nobody = host.peers();
    assert!(nobody.is_empty());
    client.connect(&address(&server)).await.unwrap();
    let mut seen = nobody;
    in_time("the peer and what it tells", async {
        while seen.get(&client.peer_id()).is_none_or(|peer| peer.remote.is_none()) {
            let next = host.peers_after(seen.revision()).await;
            assert!(next.revision() > seen.revision());
            seen = next;
        }
    })
    .await;
    assert_eq!(seen.get(&client.peer_id()).unwrap().connections.len(), 1);
    host.disconnect(&client.peer_id(), stackwire_node::Reason::Normal, "the test is over");
    in_time("the end", async {
        while seen.is_connected(&client.peer_id()) {
            seen = host.peers_after(seen.revision()).await;
        }
    })
    .await;
}
