//! Whole networks in one process: nodes on the `memory` transport, seeds, and a clock that only moves when nobody works.
//!
//! A test runs on a current-thread runtime with paused time (`#[tokio::test(start_paused = true)]`). Then a minute of
//! the network takes as long as its work does, and time passes alike for everyone.

#![allow(clippy::disallowed_methods, reason = "the simulation is what implements `Env`")]

mod air;
mod courier;
mod runtime;
mod witness;
pub mod world;

pub use air::Air;
pub use courier::{Courier, Mail, Message, call, mail};
pub use runtime::{SimRuntime, simulate};
pub use witness::{Record, Witness, ask};

// Links the plug-ins that the configs name.
use stackwire_bundle as _;
use stackwire_config::{Catalogue, Plan, Stack};
use stackwire_core::{Keypair, Multiaddr, PeerId, Protocol, Result, Runtime};
use stackwire_node::{Builder, Changes, Node};
use std::sync::Arc;

/// A node of a simulated network.
pub struct SimNode {
    /// The node.
    pub node: Node,
}

impl SimNode {
    /// Starts node `number` of the network `seed` on `text`, with `protocols` beside those of the config. Its identity
    /// and its randomness follow from the seed.
    pub async fn start(seed: u64, number: u8, text: &str, protocols: Vec<Arc<dyn Protocol>>) -> Result<Self> {
        Self::start_changed(seed, number, text, protocols, |_| ()).await
    }

    /// As [`SimNode::start`], with the stack `changed` by code before it runs: decorated by faults, for instance.
    pub async fn start_changed(
        seed: u64,
        number: u8,
        text: &str,
        protocols: Vec<Arc<dyn Protocol>>,
        changed: impl FnOnce(&mut Stack),
    ) -> Result<Self> {
        let runtime = SimRuntime::new(seed ^ u64::from(number) << 32);
        let mut key = [number; 32];
        runtime.fill_random(&mut key[1..]);
        let mut stack = Plan::parse(text, &catalogue()?)?.stack();
        changed(&mut stack);
        stack.parts.protocols.extend(protocols);
        let builder = Builder::from(stack).identity(Keypair::ed25519_from_seed(key)).runtime(runtime);
        Ok(Self { node: builder.start().await? })
    }

    /// Takes a new config while running.
    pub async fn configure(&self, text: &str) -> Result<Changes> {
        self.node.reload(text, &catalogue()?).await
    }

    /// Who it is.
    pub fn peer_id(&self) -> PeerId {
        self.node.peer_id()
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.node.addresses()
    }
}

fn catalogue() -> Result<Catalogue> {
    Catalogue::linked()
}

/// Tells every node where all the others are.
pub fn introduce(nodes: &[SimNode]) {
    for node in nodes {
        for other in nodes.iter().filter(|other| other.peer_id() != node.peer_id()) {
            node.node.add_addresses(other.peer_id(), &other.addresses());
        }
    }
}
