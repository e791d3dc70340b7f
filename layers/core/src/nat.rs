//! NAT traversal: opens a way in, or finds out whether there is one.

use async_trait::async_trait;

use crate::{Host, Result};

/// A way through a NAT or a firewall: a port mapping (UPnP, NAT-PMP, PCP), a check of reachability (AutoNAT), an upgrade of
/// relayed connections (DCUtR).
#[async_trait]
pub trait Nat: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Works until there can be no more to do. The node drops it when it stops; see [`Host`] for what it may do. An error is
    /// reported, and the node goes on without this plug-in.
    async fn run(&self, host: &Host) -> Result<()>;
}
