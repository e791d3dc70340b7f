//! Notices a peer that speaks and takes nothing in: QUIC itself only notices silence.

use std::{future::pending, time::Duration};

use quinn::Connection;
use stackwire_core::Env;

use crate::progress;

/// How often within the limit the connection is looked at.
const LOOKS: u32 = 3;

/// Ends with `limit` where the peer has acknowledged nothing for so long though something was sent that asks for it.
/// Without a limit it never ends.
pub(crate) async fn deaf(connection: &Connection, limit: Option<Duration>, env: &Env) -> Duration {
    let Some(limit) = limit else { return pending().await };
    let mut last = Sent::of(connection);
    // When something unacknowledged was first seen.
    let mut since = None;
    loop {
        env.sleep(limit / LOOKS).await;
        let sent = Sent::of(connection);
        if sent.acked != last.acked {
            (last, since) = (sent, None);
        } else if sent.asking > last.asking {
            let now = env.now();
            if now.saturating_duration_since(*since.get_or_insert(now)) >= limit {
                return limit;
            }
        }
    }
}

/// What was sent and acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    /// Packets that were acknowledged. Frames that do so may say the same again and again.
    acked: u64,
    /// Frames sent that ask for one. Those that only try out how large packets may be are meant to be lost.
    asking: u64,
}

impl Sent {
    fn of(connection: &Connection) -> Self {
        let stats = connection.stats();
        let tx = &stats.frame_tx;
        let pings = tx.ping.saturating_sub(stats.path.sent_plpmtud_probes);
        let streams = tx.stream + tx.reset_stream + tx.stop_sending + tx.stream_data_blocked + tx.max_stream_data;
        let limits = tx.max_data + tx.data_blocked + tx.max_streams_bidi + tx.datagram;
        Self { acked: progress::acked(connection), asking: pings + streams + limits }
    }
}
