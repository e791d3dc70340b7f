//! The protocols that the switch itself serves, by their ids.

use stackwire_core::ProtocolId;

/// The protocol by which nodes agree to replace a connection.
pub const RENEW: ProtocolId = ProtocolId::new("/stackwire/renew/1.0.0");

/// The protocol by which a node says why it is about to close a connection.
pub const GOODBYE: ProtocolId = ProtocolId::new("/stackwire/goodbye/1.0.0");
