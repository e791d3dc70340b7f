//! Two ends of a handshake, and an environment whose randomness and time a test sets.

#![allow(dead_code, reason = "each test uses a part")]

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join};
use stackwire_core::{
    BoxPipe, Env, Keypair, PeerId, Result, Role, Runtime, SecuredPipe, Security, SecurityContext, Trust,
    address::{Fixed, FixedPath},
};
use stackwire_plugin::{Descriptor, Plugin};

/// Every draw of randomness gives these bytes; the wall clock stands.
pub struct Still {
    pub random: [u8; 32],
    pub unix_ms: u64,
    /// For the rest.
    pub env: Env,
}

impl Runtime for Still {
    fn now(&self) -> Instant {
        self.env.now()
    }
    fn unix_time(&self) -> Duration {
        Duration::from_millis(self.unix_ms)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.env.sleep(duration)
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.random[..bytes.len()]);
    }
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("a handshake needs no task");
    }
}

/// The identity of a seed.
pub fn identity(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

/// The X25519 form of an identity.
pub fn x25519(identity: &Keypair) -> [u8; 32] {
    identity.public().x25519().unwrap()
}

/// The bytes of hex digits.
pub fn bytes(digits: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(digit).collect()
}

/// The digits of bytes.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One end.
#[derive(Clone)]
pub struct End {
    pub identity: Keypair,
    pub expected: Option<PeerId>,
    pub fixed: FixedPath,
    pub trust: Option<Trust>,
    pub env: Env,
}

impl End {
    pub fn new(seed: u8) -> Self {
        let env = stackwire_conformance::env_seeded(seed.into());
        Self { identity: identity(seed), expected: None, fixed: FixedPath::default(), trust: None, env }
    }

    pub fn expecting(mut self, peer: PeerId) -> Self {
        self.expected = Some(peer);
        self
    }

    pub fn fixed(mut self, steps: impl IntoIterator<Item = Fixed>) -> Self {
        self.fixed = FixedPath::new(steps);
        self
    }

    pub fn trusting(mut self, trust: &Trust) -> Self {
        self.trust = Some(trust.clone());
        self
    }

    pub fn env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    pub async fn handshake(&self, security: &dyn Security, pipe: BoxPipe, role: Role) -> Result<SecuredPipe> {
        let context = SecurityContext::new(&self.identity, &self.env)
            .expecting(self.expected)
            .with_fixed(&self.fixed)
            .with_trust(self.trust.as_ref());
        security.handshake(pipe, role, context).await
    }
}

/// The handshakes of a dialer and a listener.
pub async fn meet(
    (dialing, dialer): (&dyn Security, &End),
    (listening, listener): (&dyn Security, &End),
) -> (Result<SecuredPipe>, Result<SecuredPipe>) {
    let (a, b) = stackwire_conformance::pipes::pair();
    join(dialer.handshake(dialing, a, Role::Dialer), listener.handshake(listening, b, Role::Listener)).await
}

/// Why a config is refused.
pub fn refusal<P: Plugin>(options: &str) -> String {
    match Descriptor::of::<P>("tests").build_from(options) {
        Ok(parts) => panic!("{} takes {options}", parts.securities[0].name()),
        Err(problem) => problem.to_string(),
    }
}

/// A plug-in's config.
pub fn config<P: Plugin>(options: &str) -> P {
    stackwire_plugin::deserialize(stackwire_plugin::parse_options(options).unwrap()).unwrap()
}
