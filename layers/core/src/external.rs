//! Addresses at which others reach a node, beside those that it listens on.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::Multiaddr;

/// An address at which others reach us, and who says so. Times are unix times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExternalAddress {
    /// The address, without `/p2p/…`.
    #[serde(serialize_with = "crate::event::address_text")]
    pub address: Multiaddr,
    /// Who says so: [`ExternalAddress::OBSERVED`], [`ExternalAddress::CONFIG`], or the name of a plug-in such as `upnp`.
    pub source: &'static str,
    /// How many have said so: observers on different networks; for other sources, how often the source says it.
    pub confidence: u32,
    /// Since when peers are told of it.
    pub since: Duration,
    /// When it ends unless somebody says so again; `None`: when its source takes it back.
    pub expires: Option<Duration>,
}

impl ExternalAddress {
    /// The source of what enough peers have seen.
    pub const OBSERVED: &'static str = "observed";
    /// The source of what the operator has written.
    pub const CONFIG: &'static str = "config";

    /// An address that `source` says once, from `since` until it takes it back.
    pub fn new(address: Multiaddr, source: &'static str, since: Duration) -> Self {
        Self { address, source, confidence: 1, since, expires: None }
    }

    /// With this many who say so.
    #[must_use]
    pub fn with_confidence(mut self, confidence: u32) -> Self {
        self.confidence = confidence;
        self
    }

    /// Until then, or as long as the source says so.
    #[must_use]
    pub fn until(mut self, expires: Option<Duration>) -> Self {
        self.expires = expires;
        self
    }
}

/// How a NAT in front of us maps our addresses (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// Everybody sees the same address: holes can be punched. So it is without a NAT, too.
    EndpointIndependent,
    /// Each peer may see another one: nobody can foretell where we are for the next.
    EndpointDependent,
}

impl fmt::Display for NatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::EndpointDependent => "endpoint-dependent",
        })
    }
}
