//! The security protocol.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustls::{
    ClientConfig, Error as TlsError, HandshakeKind, ServerConfig,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::UnixTime,
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
    version::TLS13,
};
use stackwire_core::{BoxPipe, Env, Error, Kind, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext};

use crate::{ID, NAME, alpn, certificate::Cache, errors, handshake, pipe::TlsPipe, provider, verifier::Verifier};

/// libp2p `/tls/1.0.0`.
///
/// Keeps one certificate for each identity it has served (at most 8), so a handshake makes none. A handshake that is
/// dropped closes its pipe.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    certificates: Mutex<Cache>,
}

impl Tls {
    /// With our own aws-lc-rs provider.
    pub fn new() -> Self {
        Self { provider: Arc::new(provider::provider()), certificates: Mutex::default() }
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
            verifier: Arc::new(Verifier::new(self.provider.signature_verification_algorithms, context.expected)),
            alpn: alpn::offers(context.muxers),
            env: context.env.clone(),
        };
        let (pipe, connection) = match role {
            Role::Dialer => handshake::dial(pipe, &settings).await,
            Role::Listener => handshake::listen(pipe, &settings).await,
        }
        .map_err(errors::named)?;
        let Some(peer) = settings.verifier.identity().cloned() else {
            return Err(errors::named(Error::new(Kind::Internal, "a handshake without a peer")));
        };
        let muxer = alpn::muxer(connection.alpn_protocol(), context.muxers);
        // A listener that wants another key share than X25519 asks for it in a round trip of its own.
        let round_trips = match connection.handshake_kind() {
            Some(HandshakeKind::FullWithHelloRetryRequest) => 2,
            _ => 1,
        };
        Ok(SecuredPipe { pipe: Box::new(TlsPipe::new(pipe, connection, role)), peer, muxer, round_trips })
    }
}

/// What one handshake uses.
pub(crate) struct Settings {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) certificate: Arc<CertifiedKey>,
    pub(crate) verifier: Arc<Verifier>,
    /// The ALPN entries we offer as dialer, support as listener.
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) env: Env,
}

impl Settings {
    /// No SNI, no resumption (hence no 0-RTT).
    pub(crate) fn client(&self) -> Result<ClientConfig, TlsError> {
        let mut config = ClientConfig::builder_with_details(self.provider.clone(), self.clock())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.certificate.clone())));
        config.alpn_protocols = self.alpn.clone();
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// A certificate is required; no tickets, no 0-RTT; our order of cipher suites, as the dialer's may put the slow
    /// one first. ALPN is the caller's.
    pub(crate) fn server(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_details(self.provider.clone(), self.clock())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(self.verifier.clone())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.certificate.clone())));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.ignore_client_order = true;
        Ok(config)
    }

    fn clock(&self) -> Arc<Clock> {
        Arc::new(Clock(self.env.clone()))
    }
}

/// rustls's clock is the stack's.
#[derive(Debug)]
struct Clock(Env);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.unix_time()))
    }
}
