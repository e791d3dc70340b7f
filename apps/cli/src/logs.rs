//! Logs: what the node tells of itself beside its events, on the error output.

use anstream::{AutoStream, ColorChoice};
use stackwire_node::{Error, Kind, printable};
use tracing_subscriber::{
    field::MakeExt as _,
    filter::{LevelFilter, Targets},
    fmt::format::{self, debug_fn},
    prelude::*,
};

use crate::{
    failure::Failure,
    output::{Logs, plain, say},
};

/// Characters of one field: events can be long, and much of them is a stranger's.
const MAX_FIELD: usize = 4096;

/// What a filter looks like.
const HELP: &str = "write `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `warn,stackwire_node=debug`";

/// Starts logging: what `wanted` says, else what `RUST_LOG` says, else warnings and errors.
pub fn start(wanted: Option<&str>) -> Result<(), Failure> {
    let filter = match wanted {
        Some(wanted) => wanted.parse::<Targets>().map_err(|error| {
            let why = format!("`--log {wanted}` is no level; {HELP}");
            Failure::Usage(Error::new(Kind::ConfigInvalid, why).caused_by(error))
        })?,
        None => of_environment().unwrap_or_else(warnings),
    };
    let colour = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    // Fields are escaped here, where a line break of a stranger can be told from the one that ends the line.
    let fields = debug_fn(|to: &mut format::Writer<'_>, field, value| {
        let name = field.name();
        // Where a record of the crate `log` came from; its module stands before it.
        if name.starts_with("log.") {
            return Ok(());
        }
        if name != "message" {
            write!(to, "{name}=")?;
        }
        write!(to, "{}", printable(format_args!("{value:?}")).at_most(MAX_FIELD))
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .fmt_fields(fields.delimited(" "))
        .with_writer(|| Logs)
        .with_filter(filter);
    tracing_subscriber::registry().with(lines).init();
    Ok(())
}

/// What `RUST_LOG` says. It is meant for many programs, so one that says nothing to us is no reason to stop.
fn of_environment() -> Option<Targets> {
    let wanted = std::env::var("RUST_LOG").ok()?;
    let filter = wanted.parse();
    if let Err(error) = &filter {
        say(&format!("warning: RUST_LOG is `{}`, which is no filter ({error}) and is ignored; {HELP}", plain(&wanted)));
    }
    filter.ok()
}

fn warnings() -> Targets {
    Targets::new().with_default(LevelFilter::WARN)
}
