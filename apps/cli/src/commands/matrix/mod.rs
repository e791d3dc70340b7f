//! `matrix`: which mixes of the linked plug-ins work together, and how well.

mod conditions;
mod groups;
mod html;
mod job;
mod parts;
mod recipe;
mod talk;
mod text;

use std::{process::ExitCode, time::Duration};

use clap::ValueEnum;
use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::json;
use stackwire_config::Catalogue;
use stackwire_node::{Error, Kind, Result};

pub use self::conditions::{Conditions, Samples};
use self::{conditions::Begun, parts::Mix};
use super::stop;
use crate::{args::Matrix as Args, failure::Failure, output::Output, page, stack};

/// Which cells, and how much to move in each.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only these groups; empty: all.
    pub groups: Vec<Group>,
    /// Only these transports, by plug-in name or fixture label; empty: all.
    pub transports: Vec<String>,
    /// Only these security protocols; empty: all.
    pub securities: Vec<String>,
    /// Only these muxers; empty: all.
    pub muxers: Vec<String>,
    /// Bytes to move each way.
    pub bytes: u64,
    /// Cells that run at the same time, at least one. More than one disturbs the figures.
    pub jobs: usize,
}

/// What a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Every transport with every security protocol and muxer.
    Mixes,
    /// Every security protocol and muxer, named by the address.
    FixedPaths,
    /// Every negotiator, and listeners that know several.
    Negotiators,
    /// Every transport within a private network, and from outside of it.
    PrivateNetworks,
    /// Several transports on one port.
    SharedPort,
    /// Two sides with different lists of preferences.
    Disagreements,
}

impl Group {
    /// All of them, in the order of reports.
    pub const ALL: [Group; 6] = [
        Group::Mixes,
        Group::FixedPaths,
        Group::Negotiators,
        Group::PrivateNetworks,
        Group::SharedPort,
        Group::Disagreements,
    ];

    /// What reports call it.
    pub fn title(self) -> &'static str {
        match self {
            Group::Mixes => "Mixes",
            Group::FixedPaths => "Fixed paths",
            Group::Negotiators => "Negotiators",
            Group::PrivateNetworks => "Private networks",
            Group::SharedPort => "Shared port",
            Group::Disagreements => "Disagreements",
        }
    }

    /// What its cells show, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Group::Mixes => "Every transport with every security protocol and every muxer.",
            Group::FixedPaths => "The address names the security protocol and the muxer; nothing is negotiated.",
            Group::Negotiators => {
                "How the choices of a connection are made, and listeners that tell several ways apart."
            }
            Group::PrivateNetworks => "Both sides have the key of a private network, or they must not come together.",
            Group::SharedPort => "Listeners of several transports on one port; each connection finds its own.",
            Group::Disagreements => {
                "The sides prefer different protocols: the dialer's order wins, and where they share none, both fail cleanly."
            }
        }
    }
}

/// Everything that was found out.
#[derive(Serialize)]
pub struct Report {
    /// Bytes that were moved each way in every cell whose figures count.
    pub bytes: u64,
    /// What the figures depend on beside the plug-ins.
    pub conditions: Conditions,
    /// The cells, group by group; in [`Group::Mixes`] transports are outermost and muxers innermost.
    pub cells: Vec<Cell>,
}

/// One connection between two nodes, or one that must not come about.
#[derive(Serialize)]
pub struct Cell {
    /// What it is about.
    pub group: Group,
    /// The transport's fixture label.
    pub transport: String,
    /// The security protocol.
    pub security: String,
    /// The muxer.
    pub muxer: String,
    /// What distinguishes it from the other cells of its mix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What should happen, in words; without, everything should work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a cell went.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// ✓: what should happen did.
    Passed {
        /// What was measured, where the two came together.
        #[serde(flatten)]
        measured: Option<Measured>,
    },
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
    /// The median of a few pings, there and back.
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

    /// The cells of a group.
    pub fn group(&self, group: Group) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.group == group)
    }

    /// How many cells passed, failed, and do not apply.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for cell in &self.cells {
            counts[match cell.outcome {
                Outcome::Passed { .. } => 0,
                Outcome::Failed { .. } => 1,
                Outcome::NotApplicable { .. } => 2,
            }] += 1;
        }
        counts
    }
}

impl Cell {
    /// `tcp / noise / yamux`, and what is special about it.
    pub fn name(&self) -> String {
        let mix = format!("{} / {} / {}", self.transport, self.security, self.muxer);
        match &self.variant {
            Some(variant) => format!("{mix}: {variant}"),
            None => mix,
        }
    }

    /// Whether it was run: what makes no sense is not.
    fn was_tried(&self) -> bool {
        !matches!(self.outcome, Outcome::NotApplicable { .. })
    }

    /// What was measured, if anything.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Passed { measured } => measured.as_ref(),
            _ => None,
        }
    }
}

impl Measured {
    /// The mean of all four transfers.
    pub fn mbits(&self) -> f64 {
        [self.dialer, self.listener].iter().map(|side| side.upload_mbits + side.download_mbits).sum::<f64>() / 4.0
    }

    /// The mean of both sides' pings.
    pub fn ping_ms(&self) -> f64 {
        (self.dialer.ping_ms + self.listener.ping_ms) / 2.0
    }
}

/// Runs the cells of `choice`, telling `progress` how many there are and of each that is done. Fails where `choice` names
/// something that is not linked, or leaves no cell.
pub async fn walk(catalogue: &Catalogue, choice: &Choice, mut progress: impl FnMut(usize, &Cell)) -> Result<Report> {
    let parts = Mix::chosen(catalogue, choice)?;
    let begun = Begun::now();
    let jobs = groups::jobs(&parts, &choice.groups);
    let total = jobs.len();
    if total == 0 {
        let why =
            "no cell matches: no cell of these groups is about only these transports, security protocols and muxers";
        return Err(Error::new(Kind::ConfigInvalid, why));
    }
    let mut cells = Vec::with_capacity(total);
    let running = stream::iter(jobs).map(|job| job.run(catalogue, choice.bytes));
    let mut running = std::pin::pin!(running.buffered(choice.jobs.max(1)));
    while let Some(cell) = running.next().await {
        progress(total, &cell);
        cells.push(cell);
    }
    Ok(Report { bytes: choice.bytes, conditions: begun.end(choice, &cells), cells })
}

/// The mixes among `cells` that make no sense, by the reason why.
fn skipped<'a>(cells: &[&'a Cell]) -> Vec<(&'a str, Vec<&'a Cell>)> {
    let mut all: Vec<(&str, Vec<&Cell>)> = Vec::new();
    for cell in cells {
        let Outcome::NotApplicable { reason } = &cell.outcome else { continue };
        match all.iter_mut().find(|(known, _)| known == reason) {
            Some((_, alike)) => alike.push(cell),
            None => all.push((reason, vec![cell])),
        }
    }
    all
}

/// `matrix`
pub async fn run(args: Args, out: &Output) -> ExitCode {
    let choice = Choice {
        groups: args.groups,
        transports: args.transports,
        securities: args.securities,
        muxers: args.muxers,
        bytes: args.bytes,
        jobs: args.jobs,
    };
    if let Some(Err(error)) = args.html.as_deref().map(page::check) {
        return out.finish(Err(error.into()));
    }
    let work = async {
        let bar = out.bar(0, "{bar:30} {pos}/{len} {msg}");
        bar.enable_steady_tick(Duration::from_millis(200));
        walk(&stack::catalogue()?, &choice, |total, cell| {
            bar.set_length(total as u64);
            bar.set_message(cell.name());
            bar.inc(1);
        })
        .await
        .map_err(|error| match error.kind() {
            Kind::ConfigInvalid => Failure::Usage(error),
            _ => error.into(),
        })
    };
    let report = match stop::unless_wanted(out, work).await {
        Ok(report) => report,
        Err(error) => return out.finish(Err(error)),
    };
    out.text(text::tables(&report).trim_end());
    if let Some(file) = &args.html {
        if let Err(error) = html::page(&report).write(file) {
            return out.finish(Err(error.into()));
        }
        out.text(format!("the page is {}", file.display()));
    }
    out.object(&json!({ "ok": report.ok(), "report": report }));
    if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
