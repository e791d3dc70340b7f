//! The errors of this plug-in.

use std::borrow::Cow;

use stackwire_core::{Error, Kind, Layer};

use crate::NAME;

/// An error of this plug-in.
pub(crate) fn error(kind: Kind, during: impl Into<Cow<'static, str>>) -> Error {
    Error::new(kind, during).at(Layer::Muxer, NAME)
}
