//! The program `stackwire`, as a library so that tests can run its parts.

#![allow(clippy::disallowed_methods, reason = "a program is no plug-in: it runs in real time")]

// Links the plug-ins of the bundle.
use stackwire_bundle as _;

mod args;
mod commands;
mod output;
mod stack;

use std::process::ExitCode;

use clap::Parser;
use stackwire_node::{Error, Kind};

pub use commands::matrix;

/// Parses the command line, runs the command, and says how it went: 0, or 1 after an error.
pub fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return explain(&usage),
    };
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::warn(format_args!("no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let out = output::Output::new(cli.json);
    let code = runtime.block_on(commands::run(cli.command, &out));
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    code
}

/// Prints the help that was asked for, or what is wrong with the command line.
fn explain(usage: &clap::Error) -> ExitCode {
    if usage.use_stderr() && std::env::args().any(|arg| arg == "--json") {
        let text = usage.render().to_string();
        let error = Error::new(Kind::ConfigInvalid, text.trim_start_matches("error: ").trim_end().to_string());
        return output::Output::new(true).finish(Err(error));
    }
    // Fails where nobody reads.
    let _ = usage.print();
    if usage.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
