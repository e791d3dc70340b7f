//! Dialing peers again whose connections were closed.

use std::time::Duration;

use futures::{StreamExt, channel::mpsc};
use stackwire_core::{DialOptions, Host, PeerId};
use stackwire_liveness::jittered;

/// Peers that may wait to be dialed; those beyond are not.
pub(crate) const WAITING: usize = 64;
/// Dials at once.
const AT_ONCE: usize = 8;
/// A pause before each, so that a peer that starts again is there; up to a fifth less by chance.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a dial may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Dials each peer once. Ends when nobody can name any more.
pub(crate) async fn redial(host: &Host, peers: mpsc::Receiver<PeerId>) {
    let dial = |peer: PeerId| async move {
        host.env().sleep(jittered(PAUSE, host.env())).await;
        if host.peers().is_connected(&peer) {
            return;
        }
        // The node tells the application of a dial that fails; whoever wants the peer tries again.
        let _ = host.connect(Some(peer), DialOptions::new().in_background().within(DEADLINE)).await;
    };
    peers.for_each_concurrent(AT_ONCE, dial).await;
}
