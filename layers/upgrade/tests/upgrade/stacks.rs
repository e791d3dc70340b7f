//! Stacks of plug-ins by name, and upgrades between two of them.

use std::{sync::Arc, time::Duration};

use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{
    BoxPipe, Budget, Chosen, Error, Keypair, Layer, Multiaddr, Muxer, Negotiator, Path, Protector, Result, Role,
    Security, Stage, address,
};
use stackwire_muxer_mplex::MplexConfig;
use stackwire_muxer_yamux_ref::YamuxConfig;
use stackwire_negotiator_fixed::Fixed;
use stackwire_negotiator_libra::Libra;
use stackwire_negotiator_multistream::Multistream;
use stackwire_plugin::Plugin;
use stackwire_security_noise::{NoiseConfig, NoiseIkConfig, NoiseIxConfig};
use stackwire_security_plaintext::PlaintextConfig;
use stackwire_security_pnet::{Pnet, PreSharedKey};
use stackwire_security_tls::TlsConfig;
use stackwire_upgrade::{Negotiators, Start, Upgraded, Upgrader};

pub const LIMIT: Duration = Duration::from_secs(10);

pub fn security(name: &str) -> Arc<dyn Security> {
    let parts = match name {
        "noise" => NoiseConfig::default().build(),
        "noise-ix" => NoiseIxConfig::default().build(),
        "noise-ik" => NoiseIkConfig::default().build(),
        "tls" => TlsConfig::default().build(),
        _ => PlaintextConfig { insecure: true }.build(),
    };
    parts.expect("it builds").securities.remove(0)
}

pub fn muxer(name: &str) -> Arc<dyn Muxer> {
    let parts = if name == "yamux-ref" { YamuxConfig::default().build() } else { MplexConfig::default().build() };
    parts.expect("it builds").muxers.remove(0)
}

pub fn negotiators(names: &[&str]) -> Negotiators {
    let make = |name: &&str| -> Arc<dyn Negotiator> {
        match *name {
            "fixed" => Arc::new(Fixed),
            "libra" => Arc::new(Libra),
            _ => Arc::new(Multistream),
        }
    };
    Negotiators::new(names.iter().map(make).collect())
}

/// The private network of this number.
pub fn network(number: u8) -> Arc<dyn Protector> {
    Arc::new(Pnet::new(PreSharedKey::new([number; 32])))
}

pub fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

/// A stack that negotiates by multistream-select.
pub fn stack(seed: u8, securities: &[&str], muxers: &[&str]) -> Upgrader {
    Upgrader {
        identity: key(seed),
        protectors: Vec::new(),
        securities: securities.iter().map(|name| security(name)).collect(),
        muxers: muxers.iter().map(|name| muxer(name)).collect(),
        negotiators: negotiators(&["multistream"]),
        trust: None,
        env: env(),
    }
}

pub fn start(stack: &Upgrader, stage: Stage, role: Role) -> Start {
    start_at("/memory/1", stack, stage, role)
}

/// The start of an upgrade at an address, which may fix what is upgraded with.
pub fn start_at(address: &str, stack: &Upgrader, stage: Stage, role: Role) -> Start {
    let address: Multiaddr = address::parse(address).expect("it is an address");
    Start {
        stage,
        role,
        expected: None,
        fixed: address.fixed().clone(),
        may_meet: false,
        remote: address,
        local: None,
        transport: "memory",
        round_trips: 0,
        took: Duration::ZERO,
        since: stack.env.now(),
        limit: LIMIT,
        budget: Budget::unlimited(),
    }
}

pub type Both = (Result<Upgraded>, Result<Upgraded>);

/// The dialer's upgrade and the listener's.
pub async fn upgrade(dialer: &Upgrader, listener: &Upgrader) -> Both {
    upgrade_at("/memory/1", dialer, listener).await
}

pub async fn upgrade_at(address: &str, dialer: &Upgrader, listener: &Upgrader) -> Both {
    upgrade_over(pipes::pair(), address, dialer, listener).await
}

pub async fn upgrade_over((a, b): (BoxPipe, BoxPipe), address: &str, dialer: &Upgrader, listener: &Upgrader) -> Both {
    let up = async {
        let mut upgraded = dialer.upgrade(start_at(address, dialer, Stage::Raw(a), Role::Dialer)).await?;
        // A dialer with one muxer does not wait for the answer: its driver has yet to propose it.
        let driver = tokio::spawn(upgraded.driver);
        upgraded.driver = Box::pin(async { driver.await.expect("a driver does not panic") });
        Ok(upgraded)
    };
    let down = listener.upgrade(start_at(address, listener, Stage::Raw(b), Role::Listener));
    in_time("an upgrade", async { tokio::join!(up, down) }).await
}

/// Two upgrades that arrive, and what both have recorded.
pub fn arrived((a, b): Both) -> [Upgraded; 2] {
    match (a, b) {
        (Ok(a), Ok(b)) => [a, b],
        (a, b) => panic!("dialer: {:?}; listener: {:?}", a.err(), b.err()),
    }
}

pub fn error(result: Result<Upgraded>) -> Error {
    result.map(|_| ()).expect_err("the upgrade fails")
}

/// Why the connection has what it has in `layer`.
pub fn chosen(path: &Path, layer: Layer) -> &Chosen {
    &path.rung(layer).unwrap_or_else(|| panic!("{path} has no {layer}")).chosen
}

/// By which negotiator `layer` was chosen.
pub fn chosen_by(path: &Path, layer: Layer) -> &str {
    match chosen(path, layer) {
        Chosen::Negotiated { by, .. } => by,
        other => panic!("{layer} of {path}: {other}"),
    }
}
