//! `ping ADDR`

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use stackwire_node::{Error, Kind};

use super::session;
use crate::{
    args::Ping,
    output::{Output, ms},
};

/// How long one ping may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two pings.
const PAUSE: Duration = Duration::from_millis(200);

pub async fn run(args: Ping, out: &Output) -> ExitCode {
    session::with(&args.tool, stackwire_protocol_ping::ID, out, |mut stream, env| async move {
        let mut times = Vec::new();
        for n in 1..=args.count {
            if n > 1 {
                tokio::time::sleep(PAUSE).await;
            }
            let ping = stackwire_protocol_ping::ping(&mut stream, &env);
            let time = ms(env.timeout(PATIENCE, "waiting for a ping's answer", ping).await?);
            out.text(format!("ping {n}: {time:.3} ms"));
            times.push(time);
        }
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
