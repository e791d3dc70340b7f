//! The command line.

use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand};

use stackwire_contest::Result;

use crate::{
    link::Shape,
    rivals::{Choice, Rival},
    rows::{self, Pace},
    run::Plan,
};

/// Measures Stackwire beside other stacks and beside what the machine allows, in one run.
#[derive(Parser)]
#[command(name = "stackwire-bench", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Compare: run every row, everybody in it by turns, and print how good we are.
    ///
    /// Prints progress on the error output, then a table: each row's ratio (ours divided by the best rival's), what it
    /// is to be, and whether it is. Programs of other stacks are built when they are first needed, which takes minutes
    /// and the network. The exit code is 1 where something of ours failed to run; a missed target is no failure.
    Compare(Compare),
    /// List the rows, with what each tells and its goal.
    List,
    /// What `compare` starts of this program, twice for each measurement.
    #[command(flatten)]
    Contestant(stackwire_contest::Command),
    /// Stand before a server as a link with delay and rate, TCP and UDP, until standard input ends.
    #[command(hide = true)]
    Link(Link),
}

/// `compare`
#[derive(Args)]
pub struct Compare {
    /// One short round of small measurements: shows in about a minute that everything works, and no more.
    #[arg(long)]
    pub quick: bool,
    /// Run only these rows; `list` names them. A name may end in `*`.
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Measure everybody in a row so many times; figures are the medians. Without it 3, or 1 with --quick.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: Option<u16>,
    /// Write a page that draws the comparison.
    #[arg(long, value_name = "F")]
    pub html: Option<PathBuf>,
    /// Write the rows as JSON: an array of {row, ours, rival, ratio, target, stretch, met, conditions, …}.
    #[arg(long, value_name = "F")]
    pub json: Option<PathBuf>,
    /// Leave other stacks out: measure ours and what the machine allows.
    #[arg(long)]
    pub no_rivals: bool,
    /// Take part with a rival that takes long to build: iroh.
    #[arg(long, value_name = "RIVAL", value_delimiter = ',', value_parser = heavy())]
    pub with: Vec<String>,
    /// Build nothing: use what was built before, and leave out what was not.
    #[arg(long)]
    pub no_build: bool,
}

fn heavy() -> clap::builder::PossibleValuesParser {
    Rival::ALL.iter().filter(|rival| rival.heavy).map(|rival| rival.name).collect::<Vec<_>>().into()
}

impl Compare {
    /// What to do.
    pub fn plan(self) -> Result<Plan> {
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { 3 });
        Ok(Plan {
            rows: rows::named(&self.only)?,
            pace: if self.quick { Pace::Quick } else { Pace::Full },
            rounds: rounds.into(),
            rivals: Choice { none: self.no_rivals, with: self.with, no_build: self.no_build },
            html: self.html,
            json: self.json,
        })
    }
}

/// `link`
#[derive(Args)]
pub struct Link {
    /// The server that is reached through it.
    #[arg(long, value_name = "ADDR")]
    pub to: SocketAddr,
    /// Microseconds from one end to the other, in each direction.
    #[arg(long, value_name = "US", value_parser = clap::value_parser!(u32).range(..60_000_000))]
    pub delay_us: u32,
    /// Megabits a second, in each direction; without it, as many as the machine moves.
    #[arg(long, value_name = "N")]
    pub mbits: Option<NonZeroU64>,
}

impl Link {
    /// What the link is like.
    pub fn shape(&self) -> Shape {
        Shape {
            delay: Duration::from_micros(self.delay_us.into()),
            rate: self.mbits.map(|mbits| mbits.get().saturating_mul(125_000)),
        }
    }
}

/// The command line, without the parts that only `compare` uses.
pub fn command() -> clap::Command {
    Cli::command()
        .mut_subcommand("stacks", |command| command.hide(true))
        .mut_subcommand("server", |command| command.hide(true))
        .mut_subcommand("client", |command| command.hide(true))
}
