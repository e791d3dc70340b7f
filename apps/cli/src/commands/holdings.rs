//! Who holds what in a running node: a table, on SIGUSR1.

use serde_json::json;
use stackwire_node::{Amount, Node};

use super::run::{of, prefix};
use crate::{
    failure::Failure,
    output::{Output, Table},
};

/// Tells when the table is asked for.
pub struct Asked(#[cfg(unix)] tokio::signal::unix::Signal);

impl Asked {
    /// Waits for SIGUSR1 from now on; where there are no signals, for nothing.
    pub fn new() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signal = signal(SignalKind::user_defined1());
            Ok(Self(signal.map_err(|error| stackwire_node::Error::io("waiting for SIGUSR1", error))?))
        }
        #[cfg(not(unix))]
        Ok(Self())
    }

    /// Waits until somebody asks. Cancel-safe.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(()) = self.0.recv().await {
            return;
        }
        std::future::pending().await
    }
}

/// Shows what each scope of each network holds, and what was refused.
pub fn show(node: &Node, out: &Output) {
    for network in node.networks() {
        let (name, holdings, refused) = (network.name(), network.holdings(), network.refused());
        out.object(&of(name, json!({ "event": "holdings", "scopes": holdings, "refused": refused })));
        let mut table = Table::new(&["scope", "memory", "streams", "descriptors"]);
        for one in &holdings {
            let memory = amount(one.memory, |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)));
            let count = |amount_of| amount(amount_of, |n| n.to_string());
            table.row([one.scope.clone(), memory, count(one.streams), count(one.descriptors)]);
        }
        out.text(prefix(name) + "what is held for others:");
        out.text(table.render().trim_end());
        if !refused.is_empty() {
            let mut table = Table::new(&["limit", "times", "refused to"]);
            refused.into_iter().for_each(|one| table.row([one.limit.into(), one.count.to_string(), one.who]));
            out.text(table.render().trim_end());
        }
    }
}

fn amount(amount: Amount, shown: impl Fn(usize) -> String) -> String {
    let max = amount.max.map_or_else(String::new, |max| format!(" of {}", shown(max)));
    shown(amount.held) + &max
}
