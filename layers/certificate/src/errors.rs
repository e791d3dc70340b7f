//! rustls's errors as ours.

use rustls::{CertificateError, Error as TlsError, OtherError};
use stackwire_core::{Error, Kind, Violation};

/// What an error of rustls means. Names no layer or plug-in: whoever runs the handshake does.
///
/// `AuthenticationFailed` where a proof does not hold, `PeerMismatch` where it is another's, `PeerMisbehaved` where the
/// peer broke TLS, `Unsupported` where its TLS shares too little with ours.
pub fn explain(error: &TlsError) -> Error {
    match error {
        TlsError::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => caused(Kind::AuthenticationFailed, "the peer's certificate is refused", error),
        },
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            caused(Kind::AuthenticationFailed, "the peer's certificate expired", error)
        }
        TlsError::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            caused(Kind::AuthenticationFailed, "the peer's certificate is not valid yet", error)
        }
        TlsError::InvalidCertificate(_) => {
            caused(Kind::AuthenticationFailed, "the peer's proof of its certificate's key does not hold", error)
        }
        TlsError::NoCertificatesPresented => Error::new(Kind::AuthenticationFailed, "the peer sent no certificate"),
        // Whether the peer or somebody in between altered the record can't be told.
        TlsError::DecryptError => Error::new(Kind::AuthenticationFailed, "a record was altered on its way"),
        TlsError::AlertReceived(alert) => {
            Error::new(Kind::Reset { code: 0 }, format!("the peer ended the session with the TLS alert {alert:?}"))
        }
        TlsError::PeerIncompatible(_) => caused(Kind::Unsupported, "the peer's TLS shares too little with ours", error),
        TlsError::InappropriateMessage { .. } | TlsError::InappropriateHandshakeMessage { .. } => {
            broke(Violation::OutOfOrder, error)
        }
        TlsError::InvalidMessage(_) => broke(Violation::Malformed, error),
        TlsError::PeerSentOversizedRecord => broke(Violation::TooLarge, error),
        TlsError::PeerMisbehaved(_) => broke(Violation::Other, error),
        _ => caused(Kind::Internal, "running TLS", error),
    }
}

/// Carries our error through rustls; [`explain`] takes it out again.
pub(crate) fn refuse(error: Error) -> CertificateError {
    CertificateError::Other(OtherError(std::sync::Arc::new(error)))
}

fn broke(violation: Violation, cause: &TlsError) -> Error {
    caused(Kind::PeerMisbehaved(violation), "the peer broke TLS", cause)
}

fn caused(kind: Kind, during: &'static str, cause: &TlsError) -> Error {
    Error::new(kind, during).caused_by(cause.clone())
}
