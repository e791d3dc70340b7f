//! What the rest of the program gets.

use std::time::Duration;

use bytes::Bytes;
use stackwire_core::{PeerId, Result};

use crate::model::{NetworkInfo, NodeInfo};

/// What is known of the node's peers: `host.service::<dyn Monitor>()`.
pub trait Monitor: Send + Sync {
    /// What is known of a peer that we are connected with.
    fn peer(&self, peer: &PeerId) -> Option<PeerReport>;

    /// The peers that we are connected with and their latencies, the lowest first. Those whose latency is not known come
    /// last, with [`Duration::MAX`].
    fn peers_by_latency(&self) -> Vec<(PeerId, Duration)>;

    /// What peers are told that ask, from now on: bytes of the application. Fails with `LimitExceeded` over
    /// [`MAX_STATUS`](crate::MAX_STATUS) bytes, and changes nothing then.
    fn set_status(&self, status: Bytes) -> Result<()>;

    /// By how many milliseconds the clocks of our peers are ahead of ours, or behind it: the median. `None` as long as
    /// nobody has told its time.
    fn clock_skew(&self) -> Option<i64>;

    /// Our own distance from the nearest validator, in hops: 0 for one, [`MAX_DISTANCE`](crate::MAX_DISTANCE) at most.
    fn distance(&self) -> u32;
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PeerReport {
    /// The average of the last ten round trips.
    pub latency: Option<Duration>,
    /// How far these are from their average, on average.
    pub deviation: Option<Duration>,
    /// What it told of its network.
    pub network: Option<NetworkInfo>,
    /// Its distance from the nearest validator, if we believe it.
    pub distance: Option<u32>,
    /// What it told of itself.
    pub node: Option<NodeInfo>,
    /// By how many milliseconds its clock is ahead of ours.
    pub clock_offset_ms: Option<i64>,
    /// Pings in succession that had no answer.
    pub failures: u32,
    /// How long ago it answered last, whatever it was asked.
    pub age: Option<Duration>,
}
