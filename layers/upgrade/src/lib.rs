//! Climbs a connection rung by rung and records the path: the one place that knows the order of the layers.
//!
//! ```text
//!  Raw ──security──▶ Secured ──muxer──▶ Multiplexed
//! ```
//!
//! A transport starts the climb at the rung it reached: TCP at the bottom, QUIC at the top. Security is negotiated on
//! the raw pipe, lazily where there is one offer; the muxer inside the security handshake where both sides can, else
//! on the secured pipe (libp2p specs, `connections/README.md` and `connections/inlined-muxer-negotiation.md`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use stackwire_core::{
    BoxPipe, Chosen, Driver, Env, Error, Keypair, Kind, Layer, Multiaddr, Multiplexed, Muxer, Negotiator, Path, PeerId,
    ProtocolId, PublicKey, Result, Role, Rung, SecuredPipe, Security, SecurityContext, Session, Stage, Wait,
};

/// What a stack climbs with.
#[derive(Clone)]
pub struct Upgrader {
    /// Who we are.
    pub identity: Keypair,
    /// Security protocols, most wanted first.
    pub securities: Vec<Arc<dyn Security>>,
    /// Muxers, most wanted first.
    pub muxers: Vec<Arc<dyn Muxer>>,
    /// How protocols are chosen.
    pub negotiator: Arc<dyn Negotiator>,
    /// Time, randomness, tasks.
    pub env: Env,
}

/// Where a climb starts.
pub struct Start {
    /// What the transport reached.
    pub stage: Stage,
    /// Which side we are.
    pub role: Role,
    /// Who must be at the other end, where we know.
    pub expected: Option<PeerId>,
    /// The peer's end.
    pub remote: Multiaddr,
    /// Our end, where known.
    pub local: Option<Multiaddr>,
    /// The transport's name.
    pub transport: &'static str,
    /// Round trips the transport took.
    pub round_trips: u8,
    /// Time the transport took.
    pub took: Duration,
    /// When the climb began, for its time limit.
    pub since: Instant,
    /// How long the whole climb may take.
    pub limit: Duration,
}

/// A connection at the top.
pub struct Climbed {
    /// The peer's identity key.
    pub peer: PublicKey,
    /// The streams.
    pub session: Arc<dyn Session>,
    /// Moves the bytes; whoever climbed runs it.
    pub driver: Driver,
    /// How it came about.
    pub path: Path,
}

impl Upgrader {
    /// Climbs to the top. Every failure names its rung: `NoCommonProtocol`, `PeerMismatch`, `AuthenticationFailed`,
    /// `PeerMisbehaved`, `Timeout`, `Closed`. Dropping the future closes the connection.
    pub async fn climb(&self, start: Start) -> Result<Climbed> {
        let relayed = start.remote.iter().any(|part| part == stackwire_core::AddressPart::P2pCircuit);
        let transport = Rung {
            layer: Layer::Transport,
            plugin: start.transport.to_string(),
            protocol: None,
            chosen: Chosen::Address,
            round_trips: start.round_trips,
            took: start.took,
        };
        let path = Path { role: start.role, local: start.local, remote: start.remote, relayed, rungs: vec![transport] };
        let mut climb = Climb {
            stack: self,
            role: start.role,
            expected: start.expected,
            transport: start.transport,
            path,
            clock: self.env.now(),
            end: start.since + start.limit,
            limit: start.limit,
        };
        let top = climb.run(start.stage).await?;
        Ok(Climbed { peer: top.peer, session: top.session, driver: top.driver, path: climb.path })
    }
}

struct Climb<'a> {
    stack: &'a Upgrader,
    role: Role,
    expected: Option<PeerId>,
    transport: &'static str,
    path: Path,
    /// When the current rung began.
    clock: Instant,
    end: Instant,
    limit: Duration,
}

impl Climb<'_> {
    async fn run(&mut self, stage: Stage) -> Result<Multiplexed> {
        let secured = match stage {
            Stage::Raw(pipe) => self.secure(pipe).await?,
            Stage::Secured(secured) => {
                self.brought_along(Layer::Security);
                secured
            }
            Stage::Multiplexed(top) => {
                self.brought_along(Layer::Security);
                self.brought_along(Layer::Muxer);
                self.check_peer(&top.peer)?;
                return Ok(top);
            }
        };
        self.check_peer(&secured.peer)?;
        self.multiplex(secured).await
    }

    async fn secure(&mut self, pipe: BoxPipe) -> Result<SecuredPipe> {
        let stack = self.stack;
        let offers: Vec<ProtocolId> = stack.securities.iter().map(|s| s.id()).collect();
        let muxers: Vec<ProtocolId> = stack.muxers.iter().map(|m| m.id()).collect();
        let negotiating = async {
            let negotiated = stack.negotiator.select(pipe, self.role, &offers, Wait::Lazy).await;
            negotiated.map_err(|e| rename(e, "choosing a security protocol"))
        };
        let negotiated = self.in_time("choosing a security protocol", negotiating).await?;
        let security = &stack.securities[negotiated.index];
        let context =
            SecurityContext { identity: &stack.identity, expected: self.expected, muxers: &muxers, env: &stack.env };
        let handshake = async {
            let secured = security.handshake(negotiated.pipe, self.role, context).await;
            secured.map_err(|e| rename(e, "choosing a security protocol").at(Layer::Security, security.name()))
        };
        let secured = self.in_time("the security handshake", handshake).await?;
        let round_trips = negotiated.round_trips.saturating_add(secured.round_trips);
        let by = stack.negotiator.name().to_string();
        let chosen = Chosen::Negotiated { by, offered: offers };
        self.reached(Layer::Security, security.name(), security.id(), chosen, round_trips);
        Ok(secured)
    }

    async fn multiplex(&mut self, secured: SecuredPipe) -> Result<Multiplexed> {
        let stack = self.stack;
        let offers: Vec<ProtocolId> = stack.muxers.iter().map(|m| m.id()).collect();
        let agreed = secured.muxer.and_then(|id| offers.iter().position(|offer| *offer == id));
        let (index, pipe, round_trips, chosen) = match agreed {
            Some(index) => (index, secured.pipe, 0, Chosen::InHandshake { offered: offers }),
            None => {
                let negotiating = async {
                    let negotiated = stack.negotiator.select(secured.pipe, self.role, &offers, Wait::Lazy).await;
                    negotiated.map_err(|e| rename(e, "choosing a muxer"))
                };
                let negotiated = self.in_time("choosing a muxer", negotiating).await?;
                let by = stack.negotiator.name().to_string();
                let chosen = Chosen::Negotiated { by, offered: offers };
                (negotiated.index, negotiated.pipe, negotiated.round_trips, chosen)
            }
        };
        let muxer = &stack.muxers[index];
        let (session, driver) = muxer.start(pipe, self.role, &stack.env);
        self.reached(Layer::Muxer, muxer.name(), muxer.id(), chosen, round_trips);
        Ok(Multiplexed { peer: secured.peer, session, driver })
    }

    fn check_peer(&self, peer: &PublicKey) -> Result<()> {
        let actual = peer.peer_id();
        match self.expected {
            Some(expected) if expected != actual => {
                Err(Error::new(Kind::PeerMismatch { expected, actual }, "checking who answered"))
            }
            _ => Ok(()),
        }
    }

    fn reached(&mut self, layer: Layer, plugin: &str, protocol: ProtocolId, chosen: Chosen, round_trips: u8) {
        let now = self.stack.env.now();
        let took = now.saturating_duration_since(std::mem::replace(&mut self.clock, now));
        let plugin = plugin.to_string();
        self.path.rungs.push(Rung { layer, plugin, protocol: Some(protocol), chosen, round_trips, took });
    }

    fn brought_along(&mut self, layer: Layer) {
        self.path.rungs.push(Rung {
            layer,
            plugin: self.transport.to_string(),
            protocol: None,
            chosen: Chosen::Transport,
            round_trips: 0,
            took: Duration::ZERO,
        });
    }

    /// Runs one step within what is left of the limit; the error of a late one names the step and the whole limit.
    async fn in_time<T>(&self, step: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.end.saturating_duration_since(self.stack.env.now());
        self.stack.env.timeout(left, step, work).await.map_err(|e| match e.kind() {
            Kind::Timeout { limit } if *limit == left => Error::new(Kind::Timeout { limit: self.limit }, step),
            _ => e,
        })
    }
}

/// Says which choice found nothing in common: the negotiator itself does not know what it negotiates, and a lazy
/// refusal shows only in the next handshake.
fn rename(error: Error, choosing: &'static str) -> Error {
    match error.kind() {
        kind @ Kind::NoCommonProtocol { .. } => {
            Error::new(kind.clone(), choosing).at(Layer::Negotiator, error.plugin().unwrap_or_default().to_string())
        }
        _ => error,
    }
}
