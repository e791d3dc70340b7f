//! `check FILE`

use std::{path::Path, process::ExitCode};

use serde_json::json;
use stackwire_config::{Plan, TrustSummary};

use crate::{
    failure::Failure,
    output::{GOOD, Output},
    stack,
};

pub fn run(file: &Path, out: &Output) -> ExitCode {
    let read = stack::catalogue().and_then(|catalogue| Ok((catalogue, stack::read_config(file)?)));
    let (catalogue, text) = match read {
        Ok(read) => read,
        Err(error) => return out.finish(Err(error.into())),
    };
    let plan = Plan::parse_in(stack::folder_of(file), &text, &catalogue);
    match plan.and_then(|plan| Ok((plan.inspect()?, plan))) {
        Ok((warnings, plan)) => {
            warnings.iter().for_each(|warning| out.complain(format_args!("warning: {warning}")));
            let trust: Vec<TrustSummary> = plan.networks().map(Plan::trust_summary).collect();
            let told: String = trust.iter().map(|summary| format!("\n{summary}")).collect();
            out.text(format!("{plan}{told}\n{GOOD}ok{GOOD:#} {}", file.display()));
            out.object(&json!({ "ok": true, "plan": plan, "trust": trust, "warnings": warnings }));
            ExitCode::SUCCESS
        }
        Err(error) => out.finish(Err(Failure::in_config(file, error))),
    }
}
