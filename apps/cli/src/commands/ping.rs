//! `ping ADDR`

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use stackwire_node::Kind;

use super::session;
use crate::{
    args::Ping,
    output::{Output, ms},
};

/// How long one ping may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn run(args: Ping, out: &Output) -> ExitCode {
    session::with(&args.tool, out, |session| async move {
        let mut stream = session.open("/ipfs/ping/1.0.0").await?;
        let env = session.node.env();
        let mut times = Vec::new();
        for n in 1..=args.count {
            if n > 1 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let ping = stackwire_protocol_ping::ping(&mut stream, env);
            let time = env.timeout(PATIENCE, "waiting for a ping's answer", ping).await?;
            out.text(format!("ping {n}: {:.3} ms", ms(time)));
            times.push(ms(time));
        }
        times.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (times.first(), times.last()) else {
            return Err(stackwire_node::Error::new(Kind::Internal, "no ping was sent"));
        };
        let median = times[times.len() / 2];
        out.text(format!("{} pings: min {min:.3} ms, median {median:.3} ms, max {max:.3} ms", times.len()));
        Ok(json!({ "peer": session.connection.peer.to_string(), "count": times.len(), "min_ms": min, "median_ms": median, "max_ms": max }))
    })
    .await
}
