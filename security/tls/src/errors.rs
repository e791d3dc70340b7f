//! rustls's errors as ours.

use rustls::{AlertDescription, CertificateError, Error as TlsError};
use stackwire_core::{Error, Kind, Layer};

use crate::NAME;

/// The error of a handshake in which we offered or supported these ALPN entries.
pub(crate) fn of_handshake(error: &TlsError, ours: &[Vec<u8>], theirs: &[Vec<u8>]) -> Error {
    let (ours, theirs) = (crate::alpn::names(ours), crate::alpn::names(theirs));
    named(match error {
        // We are the listener, and say so to the dialer with an alert …
        TlsError::NoApplicationProtocol => Error::new(
            Kind::NoCommonProtocol { offered: theirs, supported: ours },
            "choosing among the dialer's ALPN entries",
        ),
        // … which the dialer gets here.
        TlsError::AlertReceived(AlertDescription::NoApplicationProtocol) => Error::new(
            Kind::NoCommonProtocol { offered: ours, supported: Vec::new() },
            "the listener took none of our ALPN entries",
        ),
        TlsError::AlertReceived(alert) => refused(*alert),
        other => return of_session(other),
    })
}

/// The error of a session, or of a handshake where the handshake does not matter.
pub(crate) fn of_session(error: &TlsError) -> Error {
    named(match error {
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
        TlsError::InappropriateMessage { .. }
        | TlsError::InappropriateHandshakeMessage { .. }
        | TlsError::InvalidMessage(_)
        | TlsError::PeerMisbehaved(_)
        | TlsError::PeerSentOversizedRecord => caused(Kind::PeerMisbehaved, "the peer broke TLS", error),
        _ => caused(Kind::Internal, "running TLS", error),
    })
}

/// The peer ended the handshake with an alert. In TLS 1.3 the dialer is done before the listener has seen its
/// certificate, so this can arrive with the first read.
pub(crate) fn refused(alert: AlertDescription) -> Error {
    named(Error::new(
        Kind::AuthenticationFailed,
        format!("the peer refused the handshake with the TLS alert {alert:?}"),
    ))
}

/// Names this plug-in as the place of an error.
pub(crate) fn named(error: Error) -> Error {
    error.at(Layer::Security, NAME)
}

fn caused(kind: Kind, during: &'static str, cause: &TlsError) -> Error {
    Error::new(kind, during).caused_by(cause.clone())
}
