//! The laws of the transport layer.

#![cfg(unix)]

use stackwire_conformance::{transport::Subject, transport_laws};
use stackwire_transport_unix::UnixConfig;

transport_laws!(Subject::of_plugin::<UnixConfig>);
