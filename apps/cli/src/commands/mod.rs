//! The commands, a file each.

mod check;
#[cfg(feature = "contract")]
mod contract;
mod demo;
mod echo;
mod holdings;
mod identify;
mod key;
pub mod matrix;
mod peers;
mod perf;
mod ping;
mod plugins;
mod reload;
mod run;
mod session;
mod sim;
pub mod stop;

use std::process::ExitCode;

#[cfg(not(feature = "contract"))]
use stackwire_node::{Error, Kind};

use crate::{args::Command, output::Output, stack};

/// Runs one command to its end.
pub async fn run(command: Command, out: &Output) -> ExitCode {
    match command {
        Command::Demo(args) => demo::run(args, out).await,
        Command::Run(args) => run::run(args, out).await,
        Command::Ping(args) => ping::run(args, out).await,
        Command::Identify(args) => identify::run(args, out).await,
        Command::Perf(args) => perf::run(args, out).await,
        Command::Echo(args) => echo::run(args, out).await,
        Command::Plugins(args) => plugins::run(args, out),
        Command::Check { file } => check::run(&file, out),
        Command::Config => config(out),
        Command::Peers(args) => peers::run(args, out),
        Command::Key(args) => key::run(args, out),
        Command::Matrix(args) => matrix::run(args, out).await,
        Command::Sim(args) => sim::run(args, out).await,
        #[cfg(feature = "contract")]
        Command::Contract(args) => contract::run(args, out).await,
        #[cfg(not(feature = "contract"))]
        Command::Contract(_) => out.finish(Err(Error::new(
            Kind::Unsupported,
            "this program was built without `contract`: build it with `cargo build --release --features contract`",
        )
        .into())),
    }
}

/// `config`
fn config(out: &Output) -> ExitCode {
    out.text(stack::DEFAULT_CONFIG.trim_end());
    out.finish(Ok(serde_json::json!({ "config": stack::DEFAULT_CONFIG })))
}
