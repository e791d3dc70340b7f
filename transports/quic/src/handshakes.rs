//! The handshakes of a listener, until their dialers have shown that they receive.

use std::{
    future::pending,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::{
    StreamExt,
    future::{AbortHandle, Abortable, BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use quinn::{ConnectionError, crypto::HandshakeTokenKey};
use rustls::AlertDescription;
use stackwire_certificate::{Settings, Verifier};
use stackwire_core::{Budgets, Env, Error, Keypair, Multiplexed, Result, Role};
use stackwire_socket::{HalfOpen, Source, canonical};

use crate::{
    errors::{self, named},
    listener::to_multiaddr,
    party::Party,
    session,
    unproven::{Unproven, Watch},
};

/// One source may have one in so many of the handshakes of proven addresses, and of unproven ones.
const PER_SOURCE: usize = 16;
const UNPROVEN_PER_SOURCE: usize = 4;

/// What the handshakes of a listener need.
pub(crate) struct Shared {
    pub(crate) party: Arc<Party>,
    pub(crate) identity: Keypair,
    pub(crate) token_key: Arc<dyn HandshakeTokenKey>,
    pub(crate) env: Env,
    pub(crate) budgets: Budgets,
}

/// How a handshake came out whose dialer receives what we send.
pub(crate) struct Outcome {
    pub(crate) remote: SocketAddr,
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) opened: Result<Multiplexed>,
}

/// The number of a handshake, and what came of it that anybody should hear of.
type Done = (u64, Option<Outcome>);

pub(crate) struct Handshakes {
    shared: Arc<Shared>,
    running: FuturesUnordered<Abortable<BoxFuture<'static, Done>>>,
    /// Those whose addresses are unproven, which never push each other out, and those whose are. The oldest of these ends
    /// where there are too many.
    unproven: HalfOpen<u64, AbortHandle>,
    proven: HalfOpen<u64, AbortHandle>,
    next: u64,
}

impl Handshakes {
    pub(crate) fn new(shared: Shared) -> Self {
        let (proven, unproven) = (shared.party.config.backlog.into(), shared.party.config.retry_above as usize);
        Self {
            shared: Arc::new(shared),
            running: FuturesUnordered::new(),
            unproven: HalfOpen::new(unproven, unproven / UNPROVEN_PER_SOURCE),
            proven: HalfOpen::new(proven, proven / PER_SOURCE),
            next: 0,
        }
    }

    /// Waits for the next outcome. Cancel-safe; without handshakes it waits for ever.
    pub(crate) async fn next(&mut self) -> Outcome {
        while let Some(done) = self.running.next().await {
            // An aborted one has left the table already.
            let Ok((number, outcome)) = done else { continue };
            self.unproven.remove(&number).or_else(|| self.proven.remove(&number));
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
        pending().await
    }

    /// Begins a handshake, or has the dialer prove its address first.
    pub(crate) fn begin(&mut self, incoming: quinn::Incoming, addresses: &Arc<Unproven>) {
        let (remote, proven) = (incoming.remote_address(), incoming.remote_address_validated());
        let source = Source::of(remote.ip());
        let watch = if !proven && self.may_skip_proof(source) {
            addresses.watch(remote, &incoming.orig_dst_cid())
        } else {
            None
        };
        if !proven && watch.is_none() {
            // Where it may not be asked, because it was asked before, it is proven.
            let _asked = incoming.retry();
            return;
        }
        let number = self.next;
        self.next += 1;
        let shaking_hands = shake_hands(self.shared.clone(), incoming, watch).map(move |outcome| (number, outcome));
        let (abort, registration) = AbortHandle::new_pair();
        self.running.push(Abortable::new(shaking_hands.boxed(), registration));
        let table = if proven { &mut self.proven } else { &mut self.unproven };
        if let Some((_, oldest)) = table.insert(source, number, abort) {
            oldest.abort();
        }
    }

    fn may_skip_proof(&self, source: Source) -> bool {
        self.shared.party.config.retry_above > 0 && self.unproven.has_room(source)
    }
}

/// The listener's side of a handshake. `watch` counts where the address is unproven. Nothing where the dialer has not
/// shown that it receives.
async fn shake_hands(shared: Arc<Shared>, incoming: quinn::Incoming, watch: Option<Watch>) -> Option<Outcome> {
    let (remote, local_ip) = (canonical(incoming.remote_address()), incoming.local_ip());
    let settings = shared.party.settings(&shared.identity, None, &shared.env).map_err(named);
    let proven = watch.is_none();
    let opened = match &settings {
        Ok(settings) => open(&shared, settings, incoming, watch).await,
        Err(error) => Err(Failure { error: error.clone(), proven: false }),
    };
    let opened = match opened {
        Ok(top) => Ok(top),
        Err(failure) if proven || failure.proven => Err(failure.error),
        Err(_) => return None,
    };
    Some(Outcome { remote, local_ip, opened })
}

/// Why a handshake failed, and whether that proves that the dialer receives.
struct Failure {
    error: Error,
    proven: bool,
}

async fn open(
    shared: &Shared,
    settings: &Settings,
    incoming: quinn::Incoming,
    watch: Option<Watch>,
) -> Result<Multiplexed, Failure> {
    let (party, verifier) = (&shared.party, &settings.verifier);
    let unproven = |error| Failure { error, proven: false };
    let failed = |error: ConnectionError| {
        let proven = shows_receipt(&error, verifier);
        Failure { error: errors::of_handshake(&error, Role::Listener, verifier), proven }
    };
    let remote = canonical(incoming.remote_address());
    let config = party.server(settings, remote, &shared.token_key).map_err(named).map_err(unproven)?;
    let connecting = incoming.accept_with(Arc::new(config)).map_err(failed)?;
    let shaking_hands = async { Ok(connecting.await) };
    let connected = shared.env.timeout(party.handshake_timeout(), "the QUIC handshake", shaking_hands).await;
    let connection = connected.map_err(named).map_err(unproven)?.map_err(failed)?;
    if let Some(watch) = watch {
        watch.proven();
    }
    let budget = shared.budgets.of(&to_multiaddr(remote));
    session::start(connection, verifier, party, &shared.env, budget).map_err(unproven)
}

/// Whether a failed handshake can't have come so far without an answer of ours. An alert of the peer's may be forged, by
/// a second packet; it costs nobody a place.
fn shows_receipt(error: &ConnectionError, verifier: &Verifier) -> bool {
    verifier.refusal().is_some()
        || match error {
            ConnectionError::ConnectionClosed(close) => errors::alert(close.error_code).is_some(),
            ConnectionError::TransportError(ours) => {
                errors::alert(ours.code) == Some(AlertDescription::CertificateRequired)
            }
            _ => false,
        }
}
