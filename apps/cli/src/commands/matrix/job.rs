//! What a cell does: two nodes that come together and do everything, or that must not come together.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use stackwire_config::Catalogue;
use stackwire_node::{Chosen, ConnectionInfo, Error, Event, EventStream, Kind, Layer, Multiaddr, Node, Path, Result};
use tempfile::TempDir;

use super::{Cell, Group, Measured, Outcome, parts::Candidate, recipe::Recipe, talk::talk};
use crate::output::ms;

/// How long a cell may take; one that hangs is one that fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are moved where only that they arrive is of interest.
const FEW: u64 = 64 << 10;
/// The step that fails where everything works, but not as it should.
const CHECK: &str = "checking how it came about";

/// A cell before it was run.
pub(super) struct Job<'a> {
    pub(super) group: Group,
    pub(super) transport: String,
    pub(super) security: String,
    pub(super) muxer: String,
    pub(super) variant: Option<String>,
    pub(super) expected: Option<String>,
    pub(super) work: Work<'a>,
}

/// What to do.
pub(super) enum Work<'a> {
    /// Nothing, for this reason.
    Skip(String),
    /// They come together, by these rungs, and do everything.
    Meet(Pair<'a>, Vec<Wanted>),
    /// They do not come together; both sides say so.
    Refuse(Pair<'a>, Because),
}

/// Two nodes.
pub(super) struct Pair<'a> {
    pub(super) listener: Recipe<'a>,
    pub(super) dialer: Recipe<'a>,
    /// Which of the listener's addresses is dialed.
    pub(super) dial: usize,
    /// Whether the figures are of interest.
    pub(super) measured: bool,
}

/// What a rung must be, on both sides.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) layer: Layer,
    pub(super) plugin: &'static str,
    pub(super) how: How,
}

/// Why a rung must be what it is.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// For whichever reason.
    Any,
    /// The address names it.
    Address,
    /// The config puts it on every connection.
    Config,
    /// The transport brings it along.
    Transport,
    /// This negotiator chose it, or the security handshake did.
    By(&'static str),
}

/// Why two nodes must not come together.
#[derive(Clone, Copy)]
pub(super) enum Because {
    /// They share nothing, and the dialer is told.
    NothingInCommon,
    /// What one says makes no sense to the other.
    Gibberish,
}

impl<'a> Pair<'a> {
    /// The listener's first address, and figures that count.
    pub(super) fn new(listener: Recipe<'a>, dialer: Recipe<'a>) -> Self {
        Self { listener, dialer, dial: 0, measured: true }
    }

    /// Moving only a few bytes.
    pub(super) fn unmeasured(self) -> Self {
        Self { measured: false, ..self }
    }
}

impl Wanted {
    /// `candidate` at its layer.
    pub(super) fn new(candidate: &Candidate, how: How) -> Self {
        Self { layer: candidate.plugin.summary.layer, plugin: candidate.name(), how }
    }
}

impl Job<'_> {
    /// Runs it to its end.
    pub(super) async fn run(self, catalogue: &Catalogue, bytes: u64) -> Cell {
        let mut step = "starting the nodes";
        let mut actual = None;
        let work = async {
            match &self.work {
                Work::Skip(_) => Ok(None),
                Work::Meet(pair, wanted) => {
                    let bytes = if pair.measured { bytes } else { bytes.min(FEW) };
                    let measured = meet(pair, wanted, catalogue, bytes, &mut step, &mut actual).await?;
                    Ok(pair.measured.then_some(measured))
                }
                Work::Refuse(pair, why) => refuse(pair, *why, catalogue, &mut step, &mut actual).await.map(|()| None),
            }
        };
        let result = tokio::time::timeout(PATIENCE, work).await;
        let outcome = match (self.work, result) {
            (Work::Skip(reason), _) => Outcome::NotApplicable { reason },
            (_, Ok(Ok(measured))) => Outcome::Passed { measured },
            (_, Ok(Err(error))) => Outcome::Failed { step, error },
            (_, Err(_)) => Outcome::Failed { step, error: Error::new(Kind::Timeout { limit: PATIENCE }, step) },
        };
        Cell {
            group: self.group,
            transport: self.transport,
            security: self.security,
            muxer: self.muxer,
            variant: self.variant,
            // Where everything should work, saying so a hundred times helps nobody.
            actual: actual.filter(|_| self.expected.is_some()),
            expected: self.expected,
            outcome,
        }
    }
}

async fn meet(
    pair: &Pair<'_>,
    wanted: &[Wanted],
    catalogue: &Catalogue,
    bytes: u64,
    step: &mut &'static str,
    actual: &mut Option<String>,
) -> Result<Measured> {
    let (mut nodes, address) = start(pair, catalogue).await?;
    *step = "connecting";
    let here = nodes.dialer.connect(&address).await?;
    // The dialer speaks first: some security protocols prove it by that, and only then the listener has a connection.
    let dialer = talk(&nodes.dialer, &here, bytes, step).await?;
    *step = "waiting for the listener's end";
    let there = accepted(&mut nodes.accepting).await?;
    let listener = talk(&nodes.listener, &there, bytes, step).await?;
    *step = CHECK;
    *actual = Some(wanted.iter().map(|rung| tell(&here.path, rung.layer)).collect::<Vec<_>>().join("; "));
    for path in [&here.path, &there.path] {
        check(path, wanted)?;
    }
    let path = &here.path;
    let measured = Measured { handshake_ms: ms(path.took()), round_trips: path.round_trips(), dialer, listener };
    *step = "closing";
    nodes.dialer.shutdown().await;
    nodes.listener.shutdown().await;
    Ok(measured)
}

async fn refuse(
    pair: &Pair<'_>,
    why: Because,
    catalogue: &Catalogue,
    step: &mut &'static str,
    actual: &mut Option<String>,
) -> Result<()> {
    let (mut nodes, address) = start(pair, catalogue).await?;
    *step = "waiting for the dialer to fail";
    let dialing = refused_dialer(&nodes.dialer, &mut nodes.dialing, &address).await?;
    let leaf = leaf(&dialing);
    *actual = Some(format!("dialer: {leaf}"));
    *step = "waiting for the listener to fail";
    let refusal = refused_listener(&mut nodes.accepting).await?;
    *actual = Some(format!("dialer: {leaf}; listener: {refusal}"));
    *step = CHECK;
    let clean = match why {
        Because::NothingInCommon => matches!(leaf.kind(), Kind::NoCommonProtocol { .. }),
        Because::Gibberish => true,
    };
    if !clean {
        return Err(unexpected(format!("the dialer should learn that nothing is in common, and learns: {leaf}")));
    }
    for (who, node) in [("dialer", &nodes.dialer), ("listener", &nodes.listener)] {
        if !node.connections().is_empty() {
            return Err(unexpected(format!("the {who} still has a connection")));
        }
    }
    *step = "closing";
    nodes.dialer.shutdown().await;
    nodes.listener.shutdown().await;
    Ok(())
}

/// Two nodes that run, what they tell, and the folder they live in.
struct Nodes {
    listener: Node,
    accepting: EventStream,
    dialer: Node,
    dialing: EventStream,
    _folder: TempDir,
}

/// Both nodes, and the address to dial.
async fn start(pair: &Pair<'_>, catalogue: &Catalogue) -> Result<(Nodes, Multiaddr)> {
    let folder = TempDir::new().map_err(|e| Error::io("making a folder", e))?;
    let (listener, accepting) = pair.listener.start(catalogue, &folder.path().join("listener")).await?;
    let (dialer, dialing) = pair.dialer.start(catalogue, &folder.path().join("dialer")).await?;
    // In the order of the config, but those that share another's port come after those that have their own.
    let Some(address) = listener.addresses().into_iter().nth(pair.dial) else {
        return Err(Error::new(Kind::Internal, "the listener has no such address"));
    };
    Ok((Nodes { listener, accepting, dialer, dialing, _folder: folder }, address))
}

/// The listener's end of the only connection there is; it may be a moment behind the dialer's.
async fn accepted(events: &mut EventStream) -> Result<Arc<ConnectionInfo>> {
    loop {
        match events.next().await {
            Some(Event::Connected { connection }) => return Ok(connection),
            Some(Event::IncomingFailed { error, .. }) => return Err(error),
            Some(_) => {}
            None => return Err(Error::closed("the listener has stopped")),
        }
    }
}

/// How a dialer learns that it is refused: at once, or, where it did not wait for an answer, by the connection's end.
async fn refused_dialer(dialer: &Node, events: &mut EventStream, address: &Multiaddr) -> Result<Error> {
    let connection = match dialer.connect(address).await {
        Err(error) => return Ok(error),
        Ok(connection) => connection,
    };
    loop {
        match events.next().await {
            Some(Event::Disconnected { connection: id, end, .. }) if id == connection.id => {
                let without = || unexpected(format!("the dialer's connection ended without an error: {}", end.detail));
                return end.error.clone().ok_or_else(without);
            }
            Some(_) => {}
            None => return Err(Error::closed("the dialer has stopped")),
        }
    }
}

async fn refused_listener(events: &mut EventStream) -> Result<Error> {
    match accepted(events).await {
        Ok(connection) => Err(unexpected(format!("the listener has a connection: {}", connection.path))),
        Err(error) => Ok(error),
    }
}

fn check(path: &Path, wanted: &[Wanted]) -> Result<()> {
    for Wanted { layer, plugin, how } in wanted {
        let Some(rung) = path.rung(*layer) else {
            return Err(unexpected(format!("asked for {layer} {plugin}, got none")));
        };
        let reason = match (how, &rung.chosen) {
            (How::Any, _)
            | (How::Address, Chosen::Address)
            | (How::Config, Chosen::Config)
            | (How::Transport, Chosen::Transport)
            | (How::By(_), Chosen::InHandshake { .. }) => true,
            (How::By(name), Chosen::Negotiated { by, .. }) => by == name,
            _ => false,
        };
        if rung.plugin != *plugin || !reason {
            let side = format!("{:?}", path.role).to_lowercase();
            return Err(unexpected(format!("asked for {layer} {plugin}; the {side} has {}", tell(path, *layer))));
        }
    }
    Ok(())
}

/// `security noise (named by the address)`
fn tell(path: &Path, layer: Layer) -> String {
    match path.rung(layer) {
        Some(rung) if layer == Layer::Transport => format!("{layer} {}", rung.plugin),
        Some(rung) => format!("{layer} {} ({})", rung.plugin, rung.chosen),
        None => format!("no {layer}"),
    }
}

/// What went wrong at the only address.
fn leaf(error: &Error) -> Error {
    match error.kind() {
        Kind::DialFailed(failures) => failures.first().map_or(error, |failure| &failure.error).clone(),
        _ => error.clone(),
    }
}

fn unexpected(what: String) -> Error {
    Error::new(Kind::Internal, what)
}
