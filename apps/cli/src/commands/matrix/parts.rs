//! What there is to mix: the plug-ins of the catalogue, as their fixtures make them.

use stackwire_config::{Catalogue, Descriptor, Fixture, Parts, Reach, suggest};
use stackwire_node::{
    Env, Error, Keypair, Kind, Layer, Result, TokioRuntime,
    address::{self, Fixed, Multiaddr},
    identity::KeyType,
};

use super::Choice;

/// A plug-in as tests make it.
pub(super) struct Candidate {
    pub(super) plugin: &'static Descriptor,
    pub(super) fixture: Fixture,
    parts: Parts,
}

/// The candidates of the layers that are mixed. Filters leave fewer of the first three.
pub(super) struct Mix {
    pub(super) transports: Vec<Candidate>,
    pub(super) securities: Vec<Candidate>,
    pub(super) muxers: Vec<Candidate>,
    pub(super) negotiators: Vec<Candidate>,
    pub(super) protectors: Vec<Candidate>,
    /// Somebody's identity, to ask a security protocol what it adds to an address.
    identity: Keypair,
}

impl Candidate {
    /// Its name in configs and paths.
    pub(super) fn name(&self) -> &'static str {
        self.plugin.summary.name
    }

    /// What reports call it.
    pub(super) fn label(&self) -> &'static str {
        self.fixture.label
    }

    /// How high it reaches, for a transport.
    pub(super) fn reaches(&self) -> Reach {
        self.plugin.summary.capabilities.reaches
    }

    /// Whether it can be one of several offers. Muxers always can.
    pub(super) fn negotiable(&self) -> bool {
        self.parts.securities.iter().all(|security| security.negotiable())
    }

    /// Whether it can choose the protocol of a stream, for a negotiator.
    pub(super) fn chooses(&self) -> bool {
        self.parts.negotiators.iter().any(|negotiator| negotiator.chooses())
    }

    /// What it is negotiated by.
    fn id(&self) -> Option<String> {
        let security = self.parts.securities.first().map(|security| security.id());
        let id = security.or_else(|| Some(self.parts.muxers.first()?.id()));
        id.map(|id| id.to_string())
    }

    /// Whose port it can share: the address it listens on there, for a transport that runs over another.
    pub(super) fn carrier(&self) -> Option<Multiaddr> {
        self.parts.transports.first()?.carrier(&address::parse(self.fixture.listen).ok()?)
    }
}

impl Mix {
    /// Those of `choice`. Fails where it names something that is not linked, or a fixture does not build.
    pub(super) fn chosen(catalogue: &Catalogue, choice: &Choice) -> Result<Self> {
        let env = Env::new(TokioRuntime::new());
        Ok(Self {
            transports: chosen(catalogue, Layer::Transport, &choice.transports)?,
            securities: chosen(catalogue, Layer::Security, &choice.securities)?,
            muxers: chosen(catalogue, Layer::Muxer, &choice.muxers)?,
            negotiators: chosen(catalogue, Layer::Negotiator, &[])?,
            protectors: chosen(catalogue, Layer::Protector, &[])?,
            identity: Keypair::generate(KeyType::Ed25519, &env)?,
        })
    }

    /// The step of an address that fixes this security protocol, as listeners write it.
    pub(super) fn step(&self, security: &Candidate) -> Fixed {
        let step = security.parts.securities.first().and_then(|security| security.address(&self.identity));
        match step {
            // A listener's key is its own; the node fills it in.
            Some(Fixed::NoiseIk(_)) => Fixed::NoiseIk(None),
            Some(step) => step,
            None => Fixed::Security(security.name().to_string()),
        }
    }

    /// The transport for cells that are not about transports: one that costs next to nothing where there is one.
    pub(super) fn cheap_transport(&self) -> Option<&Candidate> {
        let raw = || self.transports.iter().filter(|transport| transport.reaches() == Reach::Raw);
        raw().find(|transport| transport.plugin.summary.capabilities.in_process).or_else(|| raw().next())
    }

    /// The security protocols that can be negotiated with each other, each wire id once.
    pub(super) fn negotiable(&self) -> Vec<&Candidate> {
        once_each(self.securities.iter().filter(|security| security.negotiable()))
    }

    /// The muxers, each wire id once.
    pub(super) fn distinct_muxers(&self) -> Vec<&Candidate> {
        once_each(self.muxers.iter())
    }

    /// The security protocol for cells that are not about security.
    pub(super) fn usual_security(&self) -> Option<&Candidate> {
        let all = self.negotiable();
        let safe = all.iter().find(|security| !security.plugin.summary.capabilities.insecure);
        all.iter().find(|security| security.name() == "noise").or(safe).or(all.first()).copied()
    }

    /// The muxer for cells that are not about muxers.
    pub(super) fn usual_muxer(&self) -> Option<&Candidate> {
        self.muxers.iter().find(|muxer| muxer.name() == "yamux").or(self.muxers.first())
    }
}

fn once_each<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<&'a Candidate> {
    let mut all: Vec<&Candidate> = Vec::new();
    for candidate in candidates {
        if !all.iter().any(|other| other.id() == candidate.id()) {
            all.push(candidate);
        }
    }
    all
}

fn chosen(catalogue: &Catalogue, layer: Layer, names: &[String]) -> Result<Vec<Candidate>> {
    let fixtures: Vec<(&'static Descriptor, Fixture)> = catalogue
        .layer(layer)
        .flat_map(|plugin| plugin.fixtures().into_iter().map(move |fixture| (plugin, fixture)))
        .collect();
    let fits = |name: &String, (plugin, fixture): &(&Descriptor, Fixture)| {
        *name == fixture.label || *name == plugin.summary.name
    };
    if let Some(wrong) = names.iter().find(|name| !fixtures.iter().any(|fixture| fits(name, fixture))) {
        let help = suggest(wrong, fixtures.iter().map(|(_, fixture)| fixture.label));
        return Err(Error::new(Kind::ConfigInvalid, format!("{layer} `{wrong}` is not linked; {help}")));
    }
    let wanted = fixtures.into_iter().filter(|fixture| names.is_empty() || names.iter().any(|n| fits(n, fixture)));
    wanted.map(|(plugin, fixture)| candidate(plugin, fixture)).collect()
}

fn candidate(plugin: &'static Descriptor, fixture: Fixture) -> Result<Candidate> {
    match plugin.build_from(fixture.options) {
        Ok(parts) => Ok(Candidate { plugin, fixture, parts }),
        Err(problem) => {
            let why = format!("the fixture {} does not build: {problem}", fixture.label);
            Err(Error::new(Kind::Internal, why).at(plugin.summary.layer, plugin.summary.name))
        }
    }
}
