//! The rungs of a connection.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, ready},
};

use serde::Serialize;
use tokio::io::AsyncBufRead;

use crate::{BoxPipe, Claims, Error, Multiplexed, ProtocolId, PublicKey, Result};

/// Which side of a connection we are. It decides who proposes in negotiation, who is the TLS client and the Noise
/// initiator, and the parity of stream ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// We dialed.
    Dialer,
    /// We accepted.
    Listener,
}

impl Role {
    /// The other side's role.
    pub fn other(self) -> Self {
        match self {
            Role::Dialer => Role::Listener,
            Role::Listener => Role::Dialer,
        }
    }
}

/// How high a transport reached. `stackwire-upgrade` upgrades the rest.
pub enum Stage {
    /// A byte channel with an unknown peer (TCP, WebSocket, a relayed circuit).
    Raw(BoxPipe),
    /// A channel with a proven peer.
    Secured(SecuredPipe),
    /// Streams with a proven peer (QUIC).
    Multiplexed(Multiplexed),
}

/// A channel with a peer that is proven, or will be by its first frame: what a security handshake returns.
#[non_exhaustive]
pub struct SecuredPipe {
    /// The channel; everything on it is authenticated, and encrypted unless the security protocol says otherwise.
    pub pipe: BoxPipe,
    /// The peer's identity key.
    pub peer: PublicKey,
    /// Whether the peer has shown that it holds the key of `peer`.
    pub proof: Proof,
    /// The muxer both sides agreed on inside the handshake, if they did.
    pub muxer: Option<ProtocolId>,
    /// Round trips this side waited for.
    pub round_trips: u8,
    /// What else the handshake agreed on.
    pub claims: Claims,
    /// What names this very connection to both of its sides and to nobody else, where the protocol has such a thing: the
    /// handshake's hash, or what TLS exports. Whoever signs it signs for this connection alone. It is no secret.
    pub binding: Option<[u8; 32]>,
}

impl SecuredPipe {
    /// A channel with a peer that the handshake has proven, without a muxer, round trips, claims or a binding.
    pub fn new(pipe: BoxPipe, peer: PublicKey) -> Self {
        Self {
            pipe,
            peer,
            proof: Proof::Complete,
            muxer: None,
            round_trips: 0,
            claims: Claims::default(),
            binding: None,
        }
    }

    /// With this proof of the peer.
    #[must_use]
    pub fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    /// With the muxer that both sides agreed on, if they did.
    #[must_use]
    pub fn with_muxer(mut self, muxer: impl Into<Option<ProtocolId>>) -> Self {
        self.muxer = muxer.into();
        self
    }

    /// After so many round trips that this side waited for.
    #[must_use]
    pub fn after(mut self, round_trips: u8) -> Self {
        self.round_trips = round_trips;
        self
    }

    /// With what else the handshake agreed on.
    #[must_use]
    pub fn with_claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// With this channel binding, if the protocol has one.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<Option<[u8; 32]>>) -> Self {
        self.binding = binding.into();
        self
    }

    /// Waits until the peer is proven, and takes nothing from the pipe. Nobody may be told of the peer before.
    ///
    /// Fails with `Closed` where the pipe ends before, and as reading fails. There is no time limit: that is the
    /// caller's. Cancel-safe.
    pub async fn prove(&mut self) -> Result<()> {
        const WAITING: &str = "waiting for the first frame, which proves the peer's key";
        let Proof::WithFirstFrame(first) = &self.proof else { return Ok(()) };
        let pipe = &mut self.pipe;
        let opened = poll_fn(|cx| {
            let read = Pin::new(&mut *pipe).poll_fill_buf(cx);
            if first.is_opened() {
                return Poll::Ready(Ok(()));
            }
            // An end, as content without a frame there can't be.
            let _end = ready!(read).map_err(|e| Error::io(WAITING, e))?;
            Poll::Ready(Err(Error::closed(WAITING)))
        });
        opened.await?;
        self.proof = Proof::Complete;
        Ok(())
    }
}

/// Whether a peer has shown that it holds the key it is known by.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The handshake has shown it, as far as the protocol proves anything.
    Complete,
    /// The handshake has only named the key, or might be a recorded one. Whoever sent the first frame that opens holds
    /// the key.
    WithFirstFrame(FirstFrame),
}

/// Whether the peer's first frame was opened, with content in it or without. Told by the channel.
#[derive(Clone, Debug, Default)]
pub struct FirstFrame(Arc<AtomicBool>);

impl FirstFrame {
    /// It was opened.
    pub fn opened(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was.
    pub fn is_opened(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
