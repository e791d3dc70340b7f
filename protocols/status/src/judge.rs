//! Whether what a peer signed is to be taken. Pure, but for the application's validator.

use std::time::Duration;

use stackwire_core::{Keypair, PeerId};

use crate::{
    refusal::{Cause, Refusal},
    service::Validator,
    statement::{Phase, Statement},
    wire::{Nonce, Signed},
};

/// What is asked of a peer's signatures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How far its time may be from ours.
    pub(crate) max_age: Duration,
    /// Whether there has to be a binding.
    pub(crate) require_binding: bool,
}

/// The two sides of one exchange.
#[derive(Clone, Debug)]
pub(crate) struct Sides {
    pub(crate) us: PeerId,
    pub(crate) peer: PeerId,
    /// What names the connection.
    pub(crate) binding: Option<[u8; 32]>,
    pub(crate) rules: Rules,
}

/// What one side has said, and what the other's nonce is.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) phase: Phase,
    pub(crate) nonce: &'a Nonce,
    pub(crate) others_nonce: Option<&'a Nonce>,
    pub(crate) unix_time_ms: u64,
    pub(crate) status: &'a [u8],
}

impl Sides {
    fn statement<'a>(&'a self, signer: &'a PeerId, other: &'a PeerId, said: Said<'a>) -> Statement<'a> {
        let Said { phase, nonce, others_nonce, unix_time_ms, status } = said;
        let binding = self.binding.as_ref();
        Statement { phase, signer, other, binding, nonce, others_nonce, unix_time_ms, status }
    }

    /// Our signature of what we say.
    pub(crate) fn sign(&self, key: &Keypair, said: Said<'_>) -> Vec<u8> {
        self.statement(&self.us, &self.peer, said).sign(key)
    }

    /// Whether statuses can be exchanged on this connection at all.
    pub(crate) fn check_binding(&self) -> Result<(), Refusal> {
        match self.binding.is_some() || !self.rules.require_binding {
            true => Ok(()),
            false => Err(Refusal::new(Cause::NoBinding, "the connection's security has no channel binding")),
        }
    }

    /// Whether the peer has said that, now, and to us.
    pub(crate) fn check(
        &self,
        signed: &Signed,
        said: Said<'_>,
        signature: &[u8],
        now: Duration,
    ) -> Result<(), Refusal> {
        self.check_binding()?;
        let off = Duration::from_millis(said.unix_time_ms).abs_diff(now);
        if off > self.rules.max_age {
            let text = format!("the status was signed {off:?} from now; {:?} is allowed", self.rules.max_age);
            return Err(Refusal::new(Cause::Stale, text));
        }
        match self.statement(&self.peer, &self.us, said).is_signed(&signed.key, signature) {
            true => Ok(()),
            false => Err(Refusal::new(Cause::BadSignature, "the signature of the status does not hold")),
        }
    }

    /// Whether the application takes what the peer said.
    pub(crate) fn ask(&self, validator: Option<&dyn Validator>, status: &[u8]) -> Result<(), Refusal> {
        validator.map_or(Ok(()), |validator| validator.check(&self.peer, status)).map_err(Refusal::from)
    }
}
