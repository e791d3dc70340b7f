//! Measures Stackwire beside other stacks, and beside what the machine allows, in one run:
//! `cargo run --profile dist -p stackwire-bench -- compare`.

#![allow(clippy::disallowed_methods, reason = "a program is no plug-in: it runs in real time")]

mod args;
mod figures;
mod limits;
mod link;
mod ours;
mod program;
mod report;
mod rivals;
mod rows;
mod run;

use std::process::ExitCode;

use clap::FromArgMatches;
use stackwire_contest::NotSupported;

use self::args::{Cli, Command};

/// Parses the command line, runs the command, and says how it went.
pub fn main() -> ExitCode {
    let command = args::command();
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(usage) => usage.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli.command));
    // Whatever still runs ends with the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            match NotSupported::within(&*error) {
                Some(_) => NotSupported::EXIT.into(),
                None => ExitCode::FAILURE,
            }
        }
    }
}

async fn run(command: Command) -> stackwire_contest::Result<ExitCode> {
    match command {
        Command::Contestant(command) => program::run(command).await?,
        Command::Compare(args) => return run::compare(args.plan()?).await,
        Command::List => print!("{}", rows::list()),
        Command::Link(args) => link::run(args.shape(), args.to).await?,
    }
    Ok(ExitCode::SUCCESS)
}
