//! `echo ADDR`

use std::process::ExitCode;

use serde_json::json;

use super::session;
use crate::{
    args::Echo,
    output::{Output, bytes, mbits, ms},
};

pub async fn run(args: Echo, out: &Output) -> ExitCode {
    session::with(&args.tool, args.protocol.clone(), out, |session| async move {
        let half_close = !args.no_half_close;
        let stream = session.open_impatiently(&args.stall).await?;
        let took = stackwire_protocol_echo::echo(stream, args.bytes, half_close, session.env()).await?;
        let speed = mbits(args.bytes, took);
        out.text(format!("{} went there and came back in {:.1} ms, {speed:.0} Mbit/s", bytes(args.bytes), ms(took)));
        Ok(json!({
            "protocol": args.protocol.as_str(), "bytes": args.bytes,
            "half_close": half_close, "ms": ms(took), "mbits": speed,
        }))
    })
    .await
}
