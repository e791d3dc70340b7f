//! `perf ADDR`

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::session;
use crate::{
    args::Perf,
    output::{Output, bytes, mbits, ms},
};

pub async fn run(args: Perf, out: &Output) -> ExitCode {
    let (up, down) = (args.upload_bytes, args.download_bytes);
    let bar = if out.json { ProgressBar::hidden() } else { ProgressBar::new(up.saturating_add(down)) };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    session::with(&args.tool, out, |session| async move {
        let stream = session.open(stackwire_protocol_perf::ID).await?;
        let progress = |p: stackwire_protocol_perf::Progress| bar.set_position(p.uploaded + p.downloaded);
        let report = stackwire_protocol_perf::perf(stream, up, down, progress, session.node.env()).await;
        bar.finish_and_clear();
        let report = report?;
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
            "peer": session.connection.peer.to_string(),
            "uploaded": report.uploaded, "upload_ms": ms(report.upload_time), "upload_mbits": up_mbits,
            "downloaded": report.downloaded, "download_ms": ms(report.download_time), "download_mbits": down_mbits,
        }))
    })
    .await
}
