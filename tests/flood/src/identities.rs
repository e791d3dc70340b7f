//! Connections of a fresh identity each, from any address of loopback.

use std::{sync::Arc, time::Duration};

use stackwire_config::{Catalogue, Plan, Stack};
use stackwire_core::{Budget, Buffered, Env, Keypair, Multiaddr, Role, Stage, address::FixedPath, identity::KeyType};
use stackwire_node::TokioRuntime;
use stackwire_upgrade::{Negotiators, Start, Upgrader};
use tokio::net::TcpStream;

const CONFIG: &str =
    "protocol = []\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";

/// What strangers connect with.
pub(crate) fn stack() -> Arc<Stack> {
    let catalogue = Catalogue::linked().expect("no two plug-ins clash");
    Arc::new(Plan::parse(CONFIG, &catalogue).expect("the config is good").stack())
}

/// Connects over `stream` as somebody new, and stays until the other side ends it.
pub(crate) async fn identity(stack: Arc<Stack>, stream: TcpStream, remote: Multiaddr) {
    let env = Env::new(TokioRuntime::new());
    let Ok(identity) = Keypair::generate(KeyType::Ed25519, &env) else { return };
    let upgrader = Upgrader {
        identity,
        protectors: Vec::new(),
        securities: stack.parts.securities.clone(),
        muxers: stack.parts.muxers.clone(),
        negotiators: Negotiators::new(stack.parts.negotiators.clone()),
        trust: None,
        env: env.clone(),
    };
    let start = Start {
        stage: Stage::Raw(Box::new(Buffered::new(stream))),
        role: Role::Dialer,
        expected: None,
        remote,
        local: None,
        fixed: FixedPath::default(),
        may_meet: false,
        transport: "tcp",
        round_trips: 1,
        took: Duration::ZERO,
        since: env.now(),
        limit: Duration::from_secs(15),
        budget: Budget::unlimited(),
    };
    if let Ok(upgraded) = upgrader.upgrade(start).await {
        let _session = upgraded.session;
        // However it ends, it is over.
        let _ = upgraded.driver.await;
    }
}
