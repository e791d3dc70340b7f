//! quinn's errors as ours.

use std::time::Duration;

use quinn::{ConnectionError, ReadError, TransportErrorCode, WriteError};
use rustls::AlertDescription;
use stackwire_certificate::{Verifier, explain};
use stackwire_core::{CloseCode, Error, Kind, Layer, Role, Violation, reset_error};

use crate::{NAME, party::ALPN};

/// TLS alerts as QUIC error codes (RFC 9001, section 4.8).
const FIRST_ALERT: u64 = 0x100;
const LAST_ALERT: u64 = 0x1ff;

/// Names this plug-in as the place of an error.
pub(crate) fn named(error: Error) -> Error {
    error.at(Layer::Transport, NAME)
}

/// Why a handshake failed.
pub(crate) fn of_handshake(error: &ConnectionError, role: Role, verifier: &Verifier) -> Error {
    // QUIC tells the peer an alert and us a text; the verifier still knows.
    if let Some(refusal) = verifier.refusal() {
        return named(explain(refusal));
    }
    named(match error {
        ConnectionError::TimedOut => nobody(),
        ConnectionError::TransportError(ours) if alert(ours.code) == Some(AlertDescription::NoApplicationProtocol) => {
            no_common_protocol(role)
        }
        ConnectionError::TransportError(ours) if alert(ours.code) == Some(AlertDescription::CertificateRequired) => {
            Error::new(Kind::AuthenticationFailed, "the peer sent no certificate")
        }
        ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
            Error::new(Kind::Refused, "the peer takes no connection here, or no more of them")
        }
        _ => return of_connection(error, Duration::ZERO),
    })
}

/// Nothing came back.
pub(crate) fn nobody() -> Error {
    named(Error::new(Kind::Unreachable, "nobody answers there by QUIC"))
}

/// Why a connection ended. `idle` is our limit on silence.
pub(crate) fn of_connection(error: &ConnectionError, idle: Duration) -> Error {
    named(match error {
        ConnectionError::LocallyClosed => Error::closed("the connection was closed here"),
        ConnectionError::ApplicationClosed(close) => match u64::from(close.error_code) {
            0 => Error::closed("the peer closed the connection"),
            code => CloseCode(narrow(code)).error(),
        },
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            // In TLS 1.3 the dialer is done before the listener has seen its certificate, so this can come late.
            Some(AlertDescription::NoApplicationProtocol) => no_common_protocol(Role::Dialer),
            Some(alert) => Error::new(
                Kind::AuthenticationFailed,
                format!("the peer refused the handshake with the TLS alert {alert:?}"),
            ),
            None if close.error_code == TransportErrorCode::NO_ERROR => Error::closed("the peer closed the connection"),
            None => {
                Error::new(Kind::Reset { code: 0 }, "the peer's QUIC gave the connection up").caused_by(error.clone())
            }
        },
        ConnectionError::TransportError(ours) if ours.code == TransportErrorCode::INTERNAL_ERROR => {
            Error::new(Kind::Io, "the socket is of no more use").caused_by(error.clone())
        }
        ConnectionError::TransportError(ours) => {
            Error::violated(violation(ours.code), "the peer broke QUIC").caused_by(error.clone())
        }
        ConnectionError::Reset => Error::new(Kind::Reset { code: 0 }, "the peer no longer knows the connection"),
        ConnectionError::TimedOut => Error::new(Kind::Timeout { limit: idle }, "the peer fell silent"),
        ConnectionError::VersionMismatch => Error::new(Kind::Unsupported, "the peer does not speak version 1 of QUIC"),
        ConnectionError::CidsExhausted => Error::new(Kind::Internal, "no connection id is left"),
    })
}

/// Why a stream can't be read.
pub(crate) fn of_reading(error: &ReadError, idle: Duration) -> Error {
    match error {
        ReadError::Reset(code) => reset((*code).into()),
        ReadError::ConnectionLost(error) => of_connection(error, idle),
        _ => named(Error::closed("reading a stream that is over")),
    }
}

/// Why a stream can't be written.
pub(crate) fn of_writing(error: &WriteError, idle: Duration) -> Error {
    match error {
        WriteError::Stopped(code) => reset((*code).into()),
        WriteError::ConnectionLost(error) => of_connection(error, idle),
        _ => named(Error::closed("writing after the end was sent")),
    }
}

fn reset(code: u64) -> Error {
    named(Error::io("moving bytes", reset_error(narrow(code))))
}

/// Codes are 62 bits in QUIC and 32 here.
fn narrow(code: u64) -> u32 {
    u32::try_from(code).unwrap_or(u32::MAX)
}

/// Which rule it was, by the code that quinn gives the peer (RFC 9000, section 20.1).
fn violation(code: TransportErrorCode) -> Violation {
    match code {
        TransportErrorCode::FLOW_CONTROL_ERROR | TransportErrorCode::STREAM_LIMIT_ERROR => Violation::FlowControl,
        TransportErrorCode::STREAM_STATE_ERROR | TransportErrorCode::FINAL_SIZE_ERROR => Violation::OutOfOrder,
        TransportErrorCode::FRAME_ENCODING_ERROR | TransportErrorCode::TRANSPORT_PARAMETER_ERROR => {
            Violation::Malformed
        }
        TransportErrorCode::CRYPTO_BUFFER_EXCEEDED => Violation::TooLarge,
        _ => Violation::Other,
    }
}

fn no_common_protocol(role: Role) -> Error {
    let ours = vec![ALPN.to_string()];
    let (offered, supported) = match role {
        Role::Dialer => (ours, Vec::new()),
        // What the dialer offered is not told to us.
        Role::Listener => (Vec::new(), ours),
    };
    Error::new(Kind::NoCommonProtocol { offered, supported }, "agreeing on what to speak over QUIC (ALPN)")
}

/// The TLS alert that `code` stands for, if it does.
pub(crate) fn alert(code: TransportErrorCode) -> Option<AlertDescription> {
    let code = u64::from(code);
    // The lowest eight bits are the alert.
    (FIRST_ALERT..=LAST_ALERT).contains(&code).then(|| AlertDescription::from(code as u8))
}
