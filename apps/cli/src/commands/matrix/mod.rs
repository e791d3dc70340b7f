//! `matrix`: every linked transport with every security protocol and muxer.

mod cell;
mod html;
mod text;

use std::{process::ExitCode, time::Duration};

use serde::Serialize;
use serde_json::json;
use stackwire_config::{Catalogue, Descriptor, Fixture, suggest};
use stackwire_node::{Error, Kind, Layer, Result};

use super::stop;
use crate::{args::Matrix as Args, output::Output, stack};

/// Which cells, and how much to move in each.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only these transports, by plug-in name or fixture label; empty: all.
    pub transports: Vec<String>,
    /// Only these security protocols; empty: all.
    pub securities: Vec<String>,
    /// Only these muxers; empty: all.
    pub muxers: Vec<String>,
    /// Bytes to move each way.
    pub bytes: u64,
}

/// Everything that was found out.
#[derive(Serialize)]
pub struct Report {
    /// Bytes that were moved each way in every cell.
    pub bytes: u64,
    /// The cells: transports outermost, muxers innermost.
    pub cells: Vec<Cell>,
}

/// One mix.
#[derive(Serialize)]
pub struct Cell {
    /// The transport's fixture label.
    pub transport: &'static str,
    /// The security protocol.
    pub security: &'static str,
    /// The muxer.
    pub muxer: &'static str,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a cell went.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// ✓: everything worked.
    Passed(Measured),
    /// ✗: a step failed.
    Failed {
        /// Which step.
        step: &'static str,
        /// How.
        error: Error,
    },
    /// –: the mix makes no sense.
    NotApplicable {
        /// Why.
        reason: String,
    },
}

/// What was measured in a cell that works.
#[derive(Clone, Copy, Serialize)]
pub struct Measured {
    /// From the first packet until streams could be opened.
    pub handshake_ms: f64,
    /// Round trips of that.
    pub round_trips: u32,
    /// Streams that the dialer opened.
    pub dialer: Side,
    /// Streams that the listener opened.
    pub listener: Side,
}

/// What one side's streams did.
#[derive(Clone, Copy, Serialize)]
pub struct Side {
    /// A ping, there and back.
    pub ping_ms: f64,
    /// Bytes sent by this side.
    pub upload_mbits: f64,
    /// Bytes received by this side.
    pub download_mbits: f64,
}

impl Report {
    /// Whether no cell failed.
    pub fn ok(&self) -> bool {
        !self.cells.iter().any(|cell| matches!(cell.outcome, Outcome::Failed { .. }))
    }
}

impl Measured {
    /// The mean of all four transfers.
    pub fn mbits(&self) -> f64 {
        [self.dialer, self.listener].iter().map(|side| side.upload_mbits + side.download_mbits).sum::<f64>() / 4.0
    }
}

/// Runs the cells of `choice`, telling `progress` how many there are and of each that is done. Fails where `choice` names
/// something that is not linked.
pub async fn walk(catalogue: &Catalogue, choice: &Choice, mut progress: impl FnMut(usize, &Cell)) -> Result<Report> {
    let transports = chosen(catalogue, Layer::Transport, &choice.transports)?;
    let securities = chosen(catalogue, Layer::Security, &choice.securities)?;
    let muxers = chosen(catalogue, Layer::Muxer, &choice.muxers)?;
    let total = transports.len() * securities.len() * muxers.len();
    let mut cells = Vec::with_capacity(total);
    for transport in &transports {
        for security in &securities {
            for muxer in &muxers {
                let mix = cell::Mix { transport, security, muxer, bytes: choice.bytes };
                let outcome = cell::run(&mix, catalogue).await;
                let cell = Cell {
                    transport: transport.fixture.label,
                    security: security.fixture.label,
                    muxer: muxer.fixture.label,
                    outcome,
                };
                progress(total, &cell);
                cells.push(cell);
            }
        }
    }
    Ok(Report { bytes: choice.bytes, cells })
}

/// A plug-in as tests make it.
struct Candidate {
    plugin: &'static Descriptor,
    fixture: Fixture,
}

fn chosen(catalogue: &Catalogue, layer: Layer, names: &[String]) -> Result<Vec<Candidate>> {
    let all: Vec<Candidate> = catalogue
        .layer(layer)
        .flat_map(|plugin| plugin.fixtures().into_iter().map(move |fixture| Candidate { plugin, fixture }))
        .collect();
    let fits = |name: &String, c: &Candidate| *name == c.fixture.label || *name == c.plugin.summary.name;
    if let Some(wrong) = names.iter().find(|name| !all.iter().any(|c| fits(name, c))) {
        let help = suggest(wrong, all.iter().map(|c| c.fixture.label));
        return Err(Error::new(Kind::ConfigInvalid, format!("{layer} `{wrong}` is not linked; {help}")));
    }
    Ok(all.into_iter().filter(|c| names.is_empty() || names.iter().any(|name| fits(name, c))).collect())
}

/// `matrix`
pub async fn run(args: Args, out: &Output) -> ExitCode {
    let choice =
        Choice { transports: args.transports, securities: args.securities, muxers: args.muxers, bytes: args.bytes };
    let work = async {
        let bar = out.bar(0, "{bar:30} {pos}/{len} {msg}");
        bar.enable_steady_tick(Duration::from_millis(200));
        walk(&stack::catalogue()?, &choice, |total, cell| {
            bar.set_length(total as u64);
            bar.set_message(format!("{} / {} / {}", cell.transport, cell.security, cell.muxer));
            bar.inc(1);
        })
        .await
    };
    let report = match stop::unless_wanted(out, work).await {
        Ok(report) => report,
        Err(error) => return out.finish(Err(error)),
    };
    out.text(text::table(&report).trim_end());
    if let Some(file) = &args.html {
        if let Err(error) = std::fs::write(file, html::page(&report)) {
            return out.finish(Err(Error::io(format!("writing the page {}", file.display()), error)));
        }
        out.text(format!("the page is {}", file.display()));
    }
    out.object(&json!({ "ok": report.ok(), "report": report }));
    if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
