//! Everything that two nodes do with each other.

use std::time::Duration;

use stackwire_node::{ConnectionInfo, Error, Node, ProtocolId, Result, Stream};

use super::Side;
use crate::output::{mbits, ms};

/// Bytes that are echoed.
const ECHO: u64 = 100_000;
/// Pings of a side; the median counts.
pub(super) const PINGS: usize = 5;
/// Transfers of a side, one each way.
pub(super) const TRANSFERS: usize = 2;

/// Identifies, pings, echoes and moves bytes with `other`, on streams that `node` opens.
pub(super) async fn talk(
    node: &Node,
    connection: &ConnectionInfo,
    bytes: u64,
    step: &mut &'static str,
) -> Result<Side> {
    let env = node.env();
    *step = "identify";
    let mut stream = open(node, connection, stackwire_protocol_identify::ID).await?;
    let info = stackwire_protocol_identify::identify(&mut stream).await?;
    if !info.protocols.iter().any(|p| p.as_str() == stackwire_protocol_perf::ID) {
        return Err(Error::misbehaved("identify does not name perf"));
    }
    *step = "ping";
    let mut stream = open(node, connection, stackwire_protocol_ping::ID).await?;
    let mut pings = [Duration::ZERO; PINGS];
    for ping in &mut pings {
        *ping = stackwire_protocol_ping::ping(&mut stream, env).await?;
    }
    pings.sort_unstable();
    *step = "echo with half-close";
    let stream = open(node, connection, stackwire_protocol_echo::ID).await?;
    stackwire_protocol_echo::echo(stream, ECHO, true, env).await?;
    *step = "moving bytes";
    // One way a time, and from the request to the last byte: what is in some buffer already would look too fast.
    let mut speeds = [0.0; TRANSFERS];
    for (speed, (up, down)) in speeds.iter_mut().zip([(bytes, 0), (0, bytes)]) {
        let stream = open(node, connection, stackwire_protocol_perf::ID).await?;
        let report = stackwire_protocol_perf::perf(stream, up, down, |_| {}, env).await?;
        *speed = mbits(bytes, report.upload_time + report.download_time);
    }
    let [upload_mbits, download_mbits] = speeds;
    Ok(Side { ping_ms: ms(pings[PINGS / 2]), upload_mbits, download_mbits })
}

async fn open(node: &Node, connection: &ConnectionInfo, id: &'static str) -> Result<Stream> {
    node.open_stream_on(connection.id, &[ProtocolId::new(id)]).await
}
