//! rustls's configs for one handshake.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, Error as TlsError, KeyLog, KeyLogFile, NoKeyLog, ServerConfig,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::UnixTime,
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
    version::TLS13,
};
use stackwire_core::{Env, Result};

use crate::Verifier;

/// The environment variable that names the file to write session keys to.
const KEY_LOG: &str = "SSLKEYLOGFILE";

/// What one handshake uses.
pub struct Settings {
    /// The cryptography; see [`provider`](crate::provider).
    pub provider: Arc<CryptoProvider>,
    /// What we show.
    pub certificate: Arc<CertifiedKey>,
    /// Judges what the peer shows, and knows who it is afterwards. For one handshake only.
    pub verifier: Arc<Verifier>,
    /// The ALPN entries we offer as dialer, support as listener.
    pub alpn: Vec<Vec<u8>>,
    /// Time.
    pub env: Env,
}

impl Settings {
    /// The dialer's config: no SNI, no resumption (hence no 0-RTT).
    pub fn client(&self) -> Result<ClientConfig, TlsError> {
        let mut config = ClientConfig::builder_with_details(self.provider.clone(), self.clock())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.certificate.clone())));
        config.alpn_protocols = self.alpn.clone();
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        config.key_log = key_log();
        Ok(config)
    }

    /// The listener's config: a certificate is required; no tickets, no 0-RTT; our order of cipher suites, as the
    /// dialer's may put the slow one first.
    pub fn server(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_details(self.provider.clone(), self.clock())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(self.verifier.clone())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.certificate.clone())));
        config.alpn_protocols = self.alpn.clone();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.ignore_client_order = true;
        config.key_log = key_log();
        Ok(config)
    }

    fn clock(&self) -> Arc<Clock> {
        Arc::new(Clock(self.env.clone()))
    }
}

/// Whoever runs the program may ask for the keys of its sessions, nobody else.
fn key_log() -> Arc<dyn KeyLog> {
    match std::env::var_os(KEY_LOG) {
        Some(path) if !path.is_empty() => Arc::new(KeyLogFile::new()),
        _ => Arc::new(NoKeyLog {}),
    }
}

/// The stack's clock, in the forms that TLS and QUIC implementations ask for.
#[derive(Clone, Debug)]
pub struct Clock(pub Env);

impl Clock {
    /// Wall-clock time.
    pub fn system_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.since_epoch()
    }

    fn since_epoch(&self) -> Duration {
        self.0.unix_time()
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.since_epoch()))
    }
}
