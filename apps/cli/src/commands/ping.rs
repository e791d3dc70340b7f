//! `ping ADDR`

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use stackwire_node::{Error, Kind};
use stackwire_protocol_ping::Pinger;

use super::session;
use crate::{
    args::Ping,
    output::{Output, ms},
};

/// How long one ping may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the peer may take to end the stream after us.
const GOODBYE: Duration = Duration::from_secs(1);
/// Between two pings.
const PAUSE: Duration = Duration::from_millis(200);

pub async fn run(args: Ping, out: &Output) -> ExitCode {
    session::with(&args.tool, stackwire_protocol_ping::ID, out, |session| async move {
        // Of its own stream, which it takes anew where the peer ends it between two pings.
        let mut pinger = Pinger::new(session.host.clone(), session.connection);
        let mut times = Vec::new();
        for n in 1..=args.count {
            if n > 1 {
                tokio::time::sleep(PAUSE).await;
            }
            let ping = session.env().timeout(PATIENCE, "waiting for a ping's answer", pinger.ping());
            let time = ms(ping.await?);
            out.text(format!("ping {n}: {time:.3} ms"));
            times.push(time);
        }
        pinger.end(GOODBYE).await;
        times.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (times.first(), times.last()) else {
            return Err(Error::new(Kind::Internal, "no ping was sent"));
        };
        let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
        let count = times.len();
        out.text(format!("min {min:.3} ms, median {median:.3} ms, max {max:.3} ms"));
        Ok(json!({ "count": count, "min_ms": min, "median_ms": median, "max_ms": max }))
    })
    .await
}
