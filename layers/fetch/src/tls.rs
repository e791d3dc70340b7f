//! TLS as the web has it: the name of a server is proven by one of the authorities that everybody knows.

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, time_provider::TimeProvider};
use rustls_pki_types::{CertificateDer, UnixTime};
use stackwire_core::{Env, Error, Kind, Result};

/// The settings of a client that takes the word of the web's authorities, and of these.
pub(crate) fn settings(
    env: &Env,
    more: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in more {
        roots
            .add(authority)
            .map_err(|e| Error::new(Kind::ConfigInvalid, "a certificate is no authority's").caused_by(e))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_details(provider, Arc::new(Clock(env.clone())))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Internal, "setting TLS up").caused_by(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(client))
}

/// The environment's time of day, by which certificates are valid or not.
struct Clock(Env);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.unix_time()))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
