//! The gate: whom a node refuses, asked before anything is spent on a connection.

mod access;

use std::borrow::Cow;

pub use access::{AccessList, Party};

use crate::{ConnectionInfo, Error, Kind, Layer, Multiaddr, PeerId, PublicKey, Reason, Retry, Role};

/// Decides which connections may come about. Asked step by step, so that a refusal costs as little as it can. Every method is
/// pure and quick, is called on the node's own tasks, and must not call the node. Without a gate all is allowed.
///
/// `connected` is called under the lock that makes the connection known, so that two connections of one peer are judged one
/// after the other.
pub trait Gate: Send + Sync + 'static {
    /// Before `address` is dialed, names resolved. `peer` is who should answer, if that is known.
    fn dial(&self, peer: Option<&PeerId>, address: &Multiaddr) -> Result<(), Refusal> {
        let _ = (peer, address);
        Ok(())
    }

    /// Before a connection that arrives takes a place among those that are pending.
    fn accept(&self, local: &[Multiaddr], remote: &Multiaddr) -> Result<(), Refusal> {
        let _ = (local, remote);
        Ok(())
    }

    /// After the peer has proven its key, and the path is settled.
    fn secured(&self, role: Role, key: &PublicKey, remote: &Multiaddr) -> Result<(), Refusal> {
        let _ = (role, key, remote);
        Ok(())
    }

    /// Before a connection is made known. `others` are the connections that there are with the same peer.
    fn connected(&self, info: &ConnectionInfo, others: &[&ConnectionInfo]) -> Result<(), Refusal> {
        let _ = (info, others);
        Ok(())
    }
}

/// Allows every connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Gate for OpenGate {}

/// Why a gate refuses a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What the peer is told, if it is there to be told.
    pub reason: Reason,
    /// What the operator is told: a short phrase such as “banned until 12:00”.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    /// A refusal for `reason`.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// Nobody wants this peer.
    pub fn gated(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::Gated, detail)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let error = Error::new(Kind::Gated { reason: refusal.reason }, refusal.detail).at(Layer::Node, "gate");
        // Whom we do not trust now we may trust later.
        if refusal.reason == Reason::Untrusted { error.retry_advice(Retry::Later) } else { error }
    }
}
