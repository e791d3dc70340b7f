//! Upgrades a connection rung by rung and records the path: the one place that knows the order of the layers.
//!
//! ```text
//!  Raw ──protector──▶ Raw ──security──▶ Secured ──muxer──▶ Multiplexed
//! ```
//!
//! A transport starts the upgrade at the rung it reached: TCP at the bottom, QUIC at the top. Security is negotiated on
//! the raw pipe, lazily where there is one offer; the muxer inside the security handshake where both sides can, else
//! on the secured pipe (libp2p specs, `connections/README.md` and `connections/inlined-muxer-negotiation.md`).

mod negotiators;
mod start;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use stackwire_core::{
    BoxPipe, Budget, Chosen, Claims, Driver, Env, Error, Keypair, Kind, Layer, Multiplexed, Muxer, MuxerContext,
    Negotiated, Negotiator, Path, PeerId, Proof, ProtectContext, Protector, ProtocolId, PublicKey, Result, Role, Rung,
    SecuredPipe, Security, SecurityContext, SelectContext, Session, Stage, Trust, Wait, address::FixedPath,
};

pub use negotiators::Negotiators;
pub use start::Start;

/// What a stack upgrades with.
#[derive(Clone)]
pub struct Upgrader {
    /// Who we are.
    pub identity: Keypair,
    /// What raw pipes are wrapped in before anything else, the outermost first.
    pub protectors: Vec<Arc<dyn Protector>>,
    /// Security protocols, most wanted first.
    pub securities: Vec<Arc<dyn Security>>,
    /// Muxers, most wanted first.
    pub muxers: Vec<Arc<dyn Muxer>>,
    /// How protocols are chosen, most wanted first. A listener tells them apart by a connection's first bytes.
    pub negotiators: Negotiators,
    /// Whom we trust, for security protocols that ask. `None`: only what they are configured with themselves.
    pub trust: Option<Trust>,
    /// Time, randomness, tasks.
    pub env: Env,
}

/// A connection at the top.
#[non_exhaustive]
pub struct Upgraded {
    /// The peer's identity key.
    pub peer: PublicKey,
    /// The streams.
    pub session: Arc<dyn Session>,
    /// Moves the bytes; whoever upgraded runs it.
    pub driver: Driver,
    /// Choose the protocols of its streams: the one that the connection itself was negotiated by, or all that may.
    pub negotiators: Negotiators,
    /// How it came about.
    pub path: Path,
    /// The scope that the streams charge.
    pub budget: Budget,
    /// What the security handshake agreed on beside the peer's key.
    pub claims: Claims,
    /// What names this very connection to both of its sides, where its security has such a thing.
    pub binding: Option<[u8; 32]>,
}

impl Upgrader {
    /// Upgrades to the top. Every failure names its rung: `NoCommonProtocol`, `PeerMismatch`, `AuthenticationFailed`,
    /// `PeerMisbehaved`, `Timeout`, `Closed`. Dropping the future closes the connection.
    pub async fn upgrade(&self, start: Start) -> Result<Upgraded> {
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
        let mut upgrade = Upgrade {
            stack: self,
            role: start.role,
            expected: start.expected,
            fixed: start.fixed,
            may_meet: start.may_meet && start.role == Role::Dialer,
            negotiator: None,
            transport: start.transport,
            path,
            clock: self.env.now(),
            end: start.since + start.limit,
            limit: start.limit,
            budget: start.budget,
        };
        let top = upgrade.run(start.stage).await?;
        let negotiators = match upgrade.negotiator.filter(|negotiator| negotiator.chooses()) {
            Some(settled) => Negotiators::new(vec![settled]),
            None => self.negotiators.choosing()?,
        };
        let Multiplexed { peer, session, driver, budget, claims, binding, .. } = top;
        Ok(Upgraded { peer, session, driver, negotiators, path: upgrade.path, budget, claims, binding })
    }
}

struct Upgrade<'a> {
    stack: &'a Upgrader,
    role: Role,
    expected: Option<PeerId>,
    fixed: FixedPath,
    /// Not settled yet who goes on as the dialer.
    may_meet: bool,
    /// The one in use, once there was something to negotiate.
    negotiator: Option<Arc<dyn Negotiator>>,
    transport: &'static str,
    path: Path,
    /// When the current rung began.
    clock: Instant,
    end: Instant,
    limit: Duration,
    budget: Budget,
}

impl Upgrade<'_> {
    async fn run(&mut self, stage: Stage) -> Result<Multiplexed> {
        let mut secured = match stage {
            Stage::Raw(pipe) => {
                let pipe = self.protect(pipe).await?;
                self.secure(pipe).await?
            }
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
        let waited = self.prove(&mut secured).await?;
        self.check_peer(&secured.peer)?;
        self.multiplex(secured, waited).await
    }

    async fn protect(&mut self, mut pipe: BoxPipe) -> Result<BoxPipe> {
        let stack = self.stack;
        for protector in &stack.protectors {
            let protecting = async {
                let protected = protector.protect(pipe, ProtectContext::new(self.role, &stack.env)).await;
                protected.map_err(|e| e.at(Layer::Protector, protector.name()))
            };
            pipe = self.in_time("entering a private network", protecting).await?;
            self.reached(Layer::Protector, protector.name(), None, Chosen::Config, 0);
        }
        Ok(pipe)
    }

    async fn secure(&mut self, pipe: BoxPipe) -> Result<SecuredPipe> {
        let stack = self.stack;
        let (security, offers, pipe, before, chosen) = match self.fixed.security() {
            Some(name) => {
                let Some(security) = stack.securities.iter().find(|s| s.name() == name) else {
                    return Err(not_here("security", name, stack.securities.iter().map(|s| s.name())));
                };
                (security, vec![security.id()], pipe, 0, Chosen::Address)
            }
            None => {
                let offered: Vec<_> = stack.securities.iter().filter(|s| s.negotiable()).collect();
                if offered.is_empty() {
                    let why = "the security protocols of this stack can't be negotiated: write one into the address";
                    return Err(missing(why));
                }
                let offers: Vec<ProtocolId> = offered.iter().map(|s| s.id()).collect();
                let (choice, chosen) = self.negotiate(pipe, &offers, "choosing a security protocol").await?;
                (offered[choice.index], offers, choice.pipe, choice.round_trips, chosen)
            }
        };
        let muxers: Vec<ProtocolId> = match self.fixed.muxer() {
            Some(_) => Vec::new(),
            None => stack.muxers.iter().map(|m| m.id()).collect(),
        };
        let context = SecurityContext::new(&stack.identity, &stack.env)
            .expecting(self.expected)
            .with_muxers(&muxers)
            .with_offers(&offers)
            .with_fixed(&self.fixed)
            .with_trust(stack.trust.as_ref());
        let handshake = async {
            let secured = security.handshake(pipe, self.role, context).await;
            secured.map_err(|e| rename(e, "choosing a security protocol").at(Layer::Security, security.name()))
        };
        let secured = self.in_time("the security handshake", handshake).await?;
        let round_trips = before.saturating_add(secured.round_trips);
        self.reached(Layer::Security, security.name(), Some(security.id()), chosen, round_trips);
        Ok(secured)
    }

    /// Waits for what proves the peer, where the handshake has not. Whatever chooses the muxer, nothing that may be
    /// somebody else's leaves this layer. Returns the round trips that it took.
    async fn prove(&self, secured: &mut SecuredPipe) -> Result<u8> {
        let waits = u8::from(!matches!(secured.proof, Proof::Complete));
        self.in_time("waiting for the proof of the peer's identity", secured.prove()).await.map_err(|error| {
            let security = self.path.rungs.last().map_or_else(String::new, |rung| rung.plugin.clone());
            error.at(Layer::Security, security)
        })?;
        Ok(waits)
    }

    /// `waited`: how many round trips it took until the dialer's first bytes were here, which may choose the muxer.
    async fn multiplex(&mut self, secured: SecuredPipe, waited: u8) -> Result<Multiplexed> {
        let stack = self.stack;
        let offers: Vec<ProtocolId> = stack.muxers.iter().map(|m| m.id()).collect();
        let agreed = secured.muxer.and_then(|id| offers.iter().position(|offer| *offer == id));
        let (index, pipe, round_trips, chosen) = match (self.fixed.muxer(), agreed) {
            (Some(name), _) => match stack.muxers.iter().position(|m| m.name() == name) {
                Some(index) => (index, secured.pipe, 0, Chosen::Address),
                None => return Err(not_here("muxer", name, stack.muxers.iter().map(|m| m.name()))),
            },
            (None, Some(index)) => (index, secured.pipe, 0, Chosen::InHandshake { offered: offers.into() }),
            (None, None) => {
                let (choice, chosen) = self.negotiate(secured.pipe, &offers, "choosing a muxer").await?;
                (choice.index, choice.pipe, choice.round_trips, chosen)
            }
        };
        let muxer = &stack.muxers[index];
        let context = MuxerContext::new(self.role, &stack.env)
            .with_budget(self.budget.clone())
            .with_claims(secured.claims.clone());
        let (session, driver) = muxer.start(pipe, context);
        self.reached(Layer::Muxer, muxer.name(), Some(muxer.id()), chosen, round_trips.max(waited));
        let top = Multiplexed::new(secured.peer, session, driver);
        Ok(top.with_budget(self.budget.clone()).with_claims(secured.claims).with_binding(secured.binding))
    }

    /// Chooses one of `offers`; `step` says of what.
    async fn negotiate(
        &mut self,
        pipe: BoxPipe,
        offers: &[ProtocolId],
        step: &'static str,
    ) -> Result<(Negotiated, Chosen)> {
        let finding = self.negotiator(pipe);
        let (negotiator, pipe) = self.in_time(step, finding).await?;
        // Only the first negotiation of a connection may find two dialers.
        let wait = match std::mem::take(&mut self.may_meet) && negotiator.can_meet() {
            true => Wait::Meeting { nonce: u64::from_be_bytes(self.stack.env.random()) },
            false => Wait::Lazy,
        };
        let negotiating = async {
            let negotiated = negotiator.select(pipe, SelectContext::new(self.role, offers).waiting(wait)).await;
            negotiated.map_err(|e| rename(e, step))
        };
        let negotiated = self.in_time(step, negotiating).await?;
        self.role = negotiated.role;
        self.path.role = negotiated.role;
        let chosen = Chosen::Negotiated { by: negotiator.name(), offered: offers.into() };
        self.negotiator = Some(negotiator);
        Ok((negotiated, chosen))
    }

    /// The connection's negotiator: what the address says, else what dialer or listener settle on.
    async fn negotiator(&self, pipe: BoxPipe) -> Result<(Arc<dyn Negotiator>, BoxPipe)> {
        let known = &self.stack.negotiators;
        match (&self.negotiator, self.fixed.negotiator()) {
            (Some(settled), _) => Ok((settled.clone(), pipe)),
            (None, Some(name)) => match known.named(name) {
                Some(negotiator) => Ok((negotiator.clone(), pipe)),
                None => Err(not_here("negotiator", name, known.names())),
            },
            (None, None) => known.settle(pipe, self.role).await,
        }
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

    fn reached(&mut self, layer: Layer, plugin: &str, protocol: Option<ProtocolId>, chosen: Chosen, round_trips: u8) {
        let now = self.stack.env.now();
        let took = now.saturating_duration_since(std::mem::replace(&mut self.clock, now));
        let plugin = plugin.to_string();
        self.path.rungs.push(Rung { layer, plugin, protocol, chosen, round_trips, took });
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

fn missing(why: &'static str) -> Error {
    Error::new(Kind::ConfigInvalid, why)
}

/// The address fixes what this stack does not have.
fn not_here<'a>(what: &str, name: &str, have: impl Iterator<Item = &'a str>) -> Error {
    let have = have.collect::<Vec<_>>().join(", ");
    Error::new(Kind::Unsupported, format!("the address fixes {what} `{name}`, and this stack has: {have}"))
}

/// Says which choice found nothing in common: the negotiator itself does not know what it negotiates, and a lazy
/// refusal shows only in the next handshake.
fn rename(error: Error, choosing: &'static str) -> Error {
    match error.kind() {
        // A security protocol that negotiates something of its own says so itself.
        kind @ Kind::NoCommonProtocol { .. } if error.layer() != Some(Layer::Security) => {
            Error::new(kind.clone(), choosing).at(Layer::Negotiator, error.plugin().unwrap_or_default().to_string())
        }
        _ => error,
    }
}
