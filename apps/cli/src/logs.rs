//! Logs: what the node tells of itself beside its events, on the error output.

use anstream::{AutoStream, ColorChoice};
use stackwire_node::{Error, Kind, Result, printable};
use tracing_subscriber::{
    field::MakeExt as _,
    filter::{LevelFilter, Targets},
    fmt::format::{self, debug_fn},
    prelude::*,
};

use crate::output::Logs;

/// Characters of one field: events can be long, and much of them is a stranger's.
const MAX_FIELD: usize = 4096;

/// Starts logging: what `wanted` says, else what `RUST_LOG` says, else warnings and errors.
pub fn start(wanted: Option<&str>) -> Result<()> {
    let filter = match wanted {
        Some(wanted) => wanted.parse::<Targets>().map_err(|error| {
            let help = "write `--log error`, `warn`, `info`, `debug` or `trace`, or a filter such as `warn,stackwire_node=debug`";
            Error::new(Kind::ConfigInvalid, format!("`--log {wanted}` is no level; {help}")).caused_by(error)
        })?,
        None => std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or_else(warnings),
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

fn warnings() -> Targets {
    Targets::new().with_default(LevelFilter::WARN)
}
