//! rustls's errors as ours.

use rustls::{AlertDescription, Error as TlsError};
use stackwire_certificate::explain;
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
    named(explain(error))
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
