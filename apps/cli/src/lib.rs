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

pub use commands::matrix;

/// Parses the command line, runs the command, and says how it went: 0, or 1 after an error.
pub fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let out = output::Output { json: cli.json };
    let code = runtime.block_on(commands::run(cli.command, &out));
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    code
}
