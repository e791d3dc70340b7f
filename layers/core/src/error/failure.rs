//! How the addresses of a dial failed.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Error, Result};
use crate::Multiaddr;

/// One address that a dial tried, and how it failed.
#[derive(Clone, Debug)]
pub struct AddressFailure {
    /// The address, as it was dialed (names resolved).
    pub address: Multiaddr,
    /// How it failed.
    pub error: Error,
    /// Whether its transport had connected: then somebody is there, whatever the layers above came to.
    pub reached: bool,
}

impl AddressFailure {
    /// Whether somebody is there: its transport had connected, or failed in what it does above bytes.
    fn found_somebody(&self) -> bool {
        self.reached || self.error.is_an_answer()
    }
}

impl PartialEq for AddressFailure {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.error.kind() == other.error.kind()
    }
}
impl Eq for AddressFailure {}

impl Serialize for AddressFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("AddressFailure", 3)?;
        s.serialize_field("address", &self.address.to_string())?;
        s.serialize_field("error", &self.error)?;
        s.serialize_field("reached", &self.found_somebody())?;
        s.end()
    }
}

/// What all failures of a dial come to.
pub(super) fn outcome(failures: &[AddressFailure]) -> &'static str {
    match failures.iter().any(AddressFailure::found_somebody) {
        true => "an address was reached, and no connection came of it",
        false => "no address could be reached",
    }
}
