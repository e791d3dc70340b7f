//! The security protocol.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustls::{HandshakeKind, crypto::CryptoProvider};
use stackwire_certificate::{Certificates, Proofs, Settings, Verifier, provider};
use stackwire_core::{BoxPipe, Error, Kind, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext};
use stackwire_records::Channel;

use crate::{ID, NAME, alpn, errors, handshake};

/// libp2p `/tls/1.0.0`.
///
/// Keeps one certificate for each identity it has served (at most 8), so a handshake makes none, and remembers what those
/// of peers have proved (at most 1024). A handshake that is
/// dropped closes its pipe.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    certificates: Mutex<Certificates>,
    proofs: Arc<Proofs>,
}

impl Tls {
    /// With our own aws-lc-rs provider.
    pub fn new() -> Self {
        let provider = provider();
        let proofs = Arc::new(Proofs::new(provider.signature_verification_algorithms));
        Self { provider: Arc::new(provider), certificates: Mutex::default(), proofs }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

#[async_trait]
impl Security for Tls {
    fn name(&self) -> &'static str {
        NAME
    }

    fn id(&self) -> ProtocolId {
        ID.into()
    }

    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        let certificate = self.certificates.lock().get(context.identity, &self.provider).map_err(errors::named)?;
        let settings = Settings {
            provider: self.provider.clone(),
            certificate,
            verifier: Arc::new(Verifier::remembering(self.proofs.clone(), context.expected)),
            alpn: alpn::offers(context.muxers),
            env: context.env.clone(),
        };
        let (pipe, side) = match role {
            Role::Dialer => handshake::dial(pipe, &settings).await,
            Role::Listener => handshake::listen(pipe, &settings).await,
        }
        .map_err(errors::named)?;
        let Some(peer) = settings.verifier.identity().cloned() else {
            return Err(errors::named(Error::new(Kind::Internal, "a handshake without a peer")));
        };
        let muxer = alpn::muxer(side.state().alpn_protocol(), context.muxers);
        // A listener that wants another key share than X25519 asks for it in a round trip of its own.
        let round_trips = match side.state().handshake_kind() {
            Some(HandshakeKind::FullWithHelloRetryRequest) => 2,
            _ => 1,
        };
        let binding = side.binding();
        let channel = Channel::new(pipe, side.into_records()?);
        Ok(SecuredPipe::new(Box::new(channel), peer).with_muxer(muxer).after(round_trips).with_binding(binding))
    }
}
