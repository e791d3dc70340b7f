//! `sim`: whole networks in one process.

mod churn;
mod html;
mod recorder;
mod report;
mod text;

use std::{process::ExitCode, thread, time::Duration};

use indicatif::ProgressBar;
use serde_json::json;
use stackwire_node::{Error, Kind, Result};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::report::Report;
use super::stop;
use crate::{
    args::{Sim as Args, SimPeers, SimSize},
    output::Output,
    page,
};

/// `sim`
pub async fn run(args: Args, out: &Output) -> ExitCode {
    match args {
        Args::Peers(args) => peers(args, out).await,
    }
}

async fn peers(args: SimPeers, out: &Output) -> ExitCode {
    if let Some(Err(error)) = args.html.as_deref().map(page::check) {
        return out.finish(Err(error.into()));
    }
    let bar = out.bar(args.size.minutes.into(), "{bar:30} {pos}/{len} simulated minutes");
    bar.enable_steady_tick(Duration::from_millis(200));
    let report = match stop::unless_wanted(out, simulated(args.size, bar.clone())).await {
        Ok(report) => report,
        Err(failure) => {
            bar.finish_and_clear();
            return out.finish(Err(failure));
        }
    };
    bar.finish_and_clear();
    out.text(text::table(&report).trim_end());
    if let Some(file) = &args.html {
        if let Err(error) = html::page(&report).write(file) {
            return out.finish(Err(error.into()));
        }
        out.text(format!("the page is {}", file.display()));
    }
    out.finish(Ok(json!(report)))
}

/// Runs the network in a thread of its own, whose clock is not ours. It ends soon after this future was dropped.
async fn simulated(size: SimSize, bar: ProgressBar) -> Result<Report> {
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let progress = |minute: u32| bar.set_position(minute.into());
        let done = stackwire_sim::simulate(churn::run(size, progress, || stop.is_cancelled()));
        // Fails where nobody waits any more.
        let _ = sender.send(done);
    };
    let failed = |error| Error::new(Kind::Io, "the simulation can't start").caused_by(error);
    thread::Builder::new().name("simulation".into()).spawn(work).map_err(failed)?;
    let broken = || Error::new(Kind::Internal, "the simulation ended early");
    receiver.await.map_err(|_| broken())?.map_err(failed)??.ok_or_else(broken)
}
