//! `ping ADDR`

use std::{cell::RefCell, process::ExitCode, time::Duration};

use serde_json::{Value, json};
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
    let times = RefCell::new(Vec::new());
    let (times, count) = (&times, args.count);
    let so_far = || summary(&times.borrow(), out);
    session::with_so_far(&args.tool, stackwire_protocol_ping::ID, out, so_far, |session| async move {
        // Of its own stream, which it takes anew where the peer ends it between two pings.
        let mut pinger = Pinger::new(session.host.clone(), session.connection);
        for n in 1..=count {
            if n > 1 {
                tokio::time::sleep(PAUSE).await;
            }
            let ping = session.env().timeout(PATIENCE, "waiting for a ping's answer", pinger.ping());
            let time = ms(ping.await?);
            out.text(format!("ping {n}: {time:.3} ms"));
            times.borrow_mut().push(time);
        }
        pinger.end(GOODBYE).await;
        summary(&times.borrow(), out).ok_or_else(|| Error::new(Kind::Internal, "no ping was sent"))
    })
    .await
}

/// What so many pings come to; `None` where there were none.
fn summary(times: &[f64], out: &Output) -> Option<Value> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let (min, max) = (times.first()?, times.last()?);
    let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
    out.text(format!("min {min:.3} ms, median {median:.3} ms, max {max:.3} ms"));
    Some(json!({ "count": times.len(), "min_ms": min, "median_ms": median, "max_ms": max }))
}
