//! The errors of this plug-in.

use stackwire_core::{Error, Kind, Layer, Violation};
use yamux::{ConnectionError, FrameDecodeError};

use crate::NAME;

/// An error of this plug-in.
pub(crate) fn error(kind: Kind, during: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(kind, during).at(Layer::Muxer, NAME)
}

/// The state machine's error as ours.
pub(crate) fn connection_error(error: ConnectionError) -> Error {
    let ours = match error {
        ConnectionError::Io(source) | ConnectionError::Decode(FrameDecodeError::Io(source)) => {
            Error::io("moving frames", source)
        }
        ConnectionError::Decode(source) => Error::misbehaved("the peer sent a malformed frame").caused_by(source),
        ConnectionError::InvalidWindowUpdate => {
            Error::violated(Violation::FlowControl, "the peer sent an impossible window update")
        }
        ConnectionError::NoMoreStreamIds => Error::new(
            Kind::LimitExceeded { limit: "stream ids of the connection", max: u64::from(u32::MAX / 2) },
            "opening a stream",
        ),
        ConnectionError::Closed => Error::closed("using the connection"),
        other => Error::new(Kind::Internal, "driving the connection").caused_by(other),
    };
    ours.at(Layer::Muxer, NAME)
}
