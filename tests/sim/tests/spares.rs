//! A peer that connects again while there is a connection with it: one stays, nothing on the other is cut, and the peer is
//! new once and lost once.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use stackwire_core::{Event, EventStream, PeerId};
use stackwire_sim::SimNode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

async fn start(seed: u64, number: u8, rest: &str) -> SimNode {
    let text = format!(
        "[node]\nlisten = [\"/memory/{}\"]\n{rest}\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n\
         [[muxer]]\nuse = \"yamux\"\n[[protocol]]\nuse = \"echo\"\n[[protocol]]\nuse = \"identify\"\n",
        8_000_000 + 10 * seed + u64::from(number)
    );
    SimNode::start(seed, number, &text, vec![]).await.expect("the config is good")
}

/// Who came and who went, of what was told so far.
fn came_and_went(events: &mut EventStream) -> (Vec<PeerId>, Vec<PeerId>) {
    let (mut came, mut went) = (Vec::new(), Vec::new());
    while let Some(Some(event)) = tokio::task::unconstrained(events.next()).now_or_never() {
        match event {
            Event::NewPeer { peer } => came.push(peer),
            Event::LostPeer { peer } => went.push(peer),
            _ => {}
        }
    }
    (came, went)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_connects_again_ends_with_one_connection_and_no_stream_is_cut() {
    for seed in 0..10 {
        let (a, b) = (start(seed, 1, "").await, start(seed, 2, "").await);
        let mut events = [a.node.events(), b.node.events()];
        let first = b.node.connect_fresh(&a.addresses()[0]).await.unwrap();
        let mut busy = b.node.open_stream_on(first.id, &["/echo/1.0.0".into()]).await.unwrap();
        sleep(Duration::from_millis(seed)).await;
        let second = b.node.connect_fresh(&a.addresses()[0]).await.unwrap();
        for round in 0..20_u8 {
            busy.write_all(&[round; 100]).await.unwrap();
            busy.flush().await.unwrap();
            let mut back = [0; 100];
            busy.read_exact(&mut back).await.unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            assert_eq!(back, [round; 100]);
            sleep(Duration::from_secs(2)).await;
        }
        let held = |node: &SimNode| node.node.connections().iter().map(|it| it.id).collect::<Vec<_>>();
        assert_eq!((held(&a).len(), held(&b)), (2, vec![first.id, second.id]), "a stream holds the older one");
        let ours = a.node.open_stream(b.peer_id(), &["/echo/1.0.0".into()]).await.unwrap();
        assert_eq!(ours.connection(), a.node.connections()[1].id, "new streams go to the newer one");
        drop((busy, ours));
        sleep(Duration::from_secs(30)).await;
        assert_eq!((held(&a).len(), held(&b)), (1, vec![second.id]), "seed {seed}");
        let expected = [(vec![b.peer_id()], vec![]), (vec![a.peer_id()], vec![])];
        assert_eq!(events.each_mut().map(came_and_went), expected, "one peer came");
        b.node.disconnect(second.id);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(events.each_mut().map(came_and_went), [(vec![], vec![b.peer_id()]), (vec![], vec![a.peer_id()])]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_may_keep_several() {
    let rest = "limits = { max_connections_per_path = 2 }";
    let (a, b) = (start(50, 1, rest).await, start(50, 2, rest).await);
    for _ in 0..3 {
        b.node.connect_fresh(&a.addresses()[0]).await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!((a.node.connections().len(), b.node.connections().len()), (2, 2));
}
