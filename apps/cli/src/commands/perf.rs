//! `perf ADDR`

use std::process::ExitCode;

use serde_json::json;

use super::session;
use crate::{
    args::Perf,
    failure::Failure,
    output::{BYTES_BAR, Output, bytes, mbits, ms},
};

pub async fn run(args: Perf, out: &Output) -> ExitCode {
    let (up, down) = (args.upload_bytes, args.download_bytes);
    if up == 0 && down == 0 {
        let why =
            "with no bytes either way there is nothing to measure: give `--upload-bytes` or `--download-bytes` more";
        return out.finish(Err(Failure::usage(why)));
    }
    session::with(&args.tool, stackwire_protocol_perf::ID, out, |session| async move {
        let stream = session.open_impatiently(&args.stall).await?;
        let bar = out.bar(up.saturating_add(down), BYTES_BAR);
        let progress = |p: stackwire_protocol_perf::Progress| bar.set_position(p.uploaded + p.downloaded);
        let report = stackwire_protocol_perf::perf(stream, up, down, progress, session.env()).await?;
        drop(bar);
        let (up_mbits, down_mbits) = (mbits(up, report.upload_time), mbits(down, report.download_time));
        for (what, count, time, speed) in [
            ("upload  ", report.uploaded, report.upload_time, up_mbits),
            ("download", report.downloaded, report.download_time, down_mbits),
        ] {
            if count > 0 {
                out.text(format!("{what}  {} in {:.1} ms, {speed:.0} Mbit/s", bytes(count), ms(time)));
            }
        }
        Ok(json!({
            "uploaded": report.uploaded, "upload_ms": ms(report.upload_time), "upload_mbits": up_mbits,
            "downloaded": report.downloaded, "download_ms": ms(report.download_time), "download_mbits": down_mbits,
        }))
    })
    .await
}
