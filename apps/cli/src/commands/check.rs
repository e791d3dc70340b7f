//! `check FILE`

use std::{path::Path, process::ExitCode};

use serde_json::json;
use stackwire_config::Plan;

use crate::{
    output::{BAD, GOOD, Output},
    stack,
};

pub fn run(file: &Path, out: &Output) -> ExitCode {
    let read = stack::catalogue().and_then(|catalogue| Ok((catalogue, stack::read_config(file)?)));
    let (catalogue, text) = match read {
        Ok(read) => read,
        Err(error) => return out.finish(None, Err(error)),
    };
    match Plan::parse(&text, &catalogue) {
        Ok(plan) => {
            out.text(format!("{plan}\n{GOOD}ok{GOOD:#} {}", file.display()));
            out.object(&json!({ "ok": true, "plan": plan }));
            ExitCode::SUCCESS
        }
        Err(error) if out.json => {
            let problems: Vec<_> = error
                .problems
                .iter()
                .map(|p| json!({ "line": p.line, "column": p.column, "message": p.message, "help": p.help }))
                .collect();
            out.object(&json!({ "ok": false, "problems": problems }));
            ExitCode::FAILURE
        }
        Err(error) => {
            anstream::eprintln!("{BAD}{}{BAD:#} does not describe a stack:", file.display());
            out.complain(&error.into());
            ExitCode::FAILURE
        }
    }
}
