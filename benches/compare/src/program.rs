//! This program as a contestant: our stacks, and the limits.

use stackwire_contest::{Command, Contestant, Result};

use crate::{limits, limits::Limit, ours, ours::OurClient};

/// The names of the stacks in this program.
pub fn stacks() -> impl Iterator<Item = &'static str> {
    ours::names().chain(limits::names())
}

/// Serves, or runs a workload, with the stack that `command` names.
pub async fn run(command: Command) -> Result<()> {
    match &command {
        Command::Stacks => {
            let all = [OurClient::stacks(), Limit::stacks()].concat();
            println!("{}", serde_json::to_string(&all)?);
            Ok(())
        }
        Command::Server { stack, .. } | Command::Client { stack, .. } => {
            if limits::names().any(|name| name == stack) {
                stackwire_contest::run::<Limit>(command).await
            } else if ours::names().any(|name| name == stack) {
                stackwire_contest::run::<OurClient>(command).await
            } else {
                let names: Vec<_> = stacks().collect();
                Err(format!("no stack `{stack}`; there are: {}", names.join(", ")).into())
            }
        }
    }
}
