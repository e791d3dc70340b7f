//! The program `stackwire`, as a library so that tests can run its parts.

#![allow(clippy::disallowed_methods, reason = "a program is no plug-in: it runs in real time")]

// Links the plug-ins of the bundle.
use stackwire_bundle as _;

mod args;
mod commands;
mod failure;
mod logs;
mod memory;
mod output;
mod page;
mod stack;

use std::process::ExitCode;

use clap::Parser;
use failure::{Failure, USAGE};
use stackwire_node::{Error, Kind};

pub use commands::matrix;

/// Parses the command line, runs the command, and says how it went: 0; 1 after an error, or where output can't be written;
/// 2 where the command line is wrong.
pub fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return explain(&usage),
    };
    let out = output::Output::new(cli.json);
    if let Err(failure) = logs::start(cli.log.as_deref()) {
        let code = out.finish(Err(failure));
        return out.close(code);
    }
    raise_descriptors();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::warn(format_args!("no runtime: {error}"));
            return out.close(ExitCode::FAILURE);
        }
    };
    let code = runtime.block_on(commands::run(cli.command, &out));
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    out.close(code)
}

/// Lets the program have as many descriptors as the system allows it. Many systems begin with 1024 for the sake of old
/// programs, which is fewer than the default limits of a node add up to.
fn raise_descriptors() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            // Where that is refused, a node waits for descriptors when it runs out of them.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    }
}

/// Prints the help that was asked for, or what is wrong with the command line.
fn explain(usage: &clap::Error) -> ExitCode {
    if !usage.use_stderr() {
        let out = output::Output::new(false);
        out.text(usage.render().ansi().to_string().trim_end());
        return out.close(ExitCode::SUCCESS);
    }
    let json = std::env::args().any(|arg| arg == "--json");
    let out = output::Output::new(json);
    if json {
        let text = usage.render().to_string();
        // A value that a parser of ours refused has a kind of its own.
        let ours = std::error::Error::source(usage).and_then(|source| source.downcast_ref::<Error>());
        let kind = ours.map_or(Kind::ConfigInvalid, |error| error.kind().clone());
        let error = Error::new(kind, text.trim_start_matches("error: ").trim_end().to_string());
        out.finish(Err(Failure::Usage(error)));
    } else {
        output::say(usage.render().ansi().to_string().trim_end());
    }
    out.close(ExitCode::from(USAGE))
}
