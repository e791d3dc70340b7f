//! One exchange on one stream.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use stackwire_core::{Error, Host, Keypair, Kind, Result, Stream, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    judge::{Said, Sides},
    refusal::{Cause, Refusal},
    service::Validator,
    statement::Phase,
    wire::{Message, Nonce, Signed, read_message, write_message},
};

/// How long a peer has to hear why it is refused, before its connection is closed.
const HEARING: Duration = Duration::from_secs(2);

/// How an exchange went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Both sides have accepted: this is what the peer said, and when.
    Accepted { status: Bytes, unix_time: Duration },
    /// We refuse.
    WeRefuse(Refusal),
    /// The peer does.
    PeerRefuses(Refusal),
}

/// One exchange, from either side.
pub(crate) struct Exchange<'a> {
    pub(crate) host: &'a Host,
    pub(crate) sides: Sides,
    pub(crate) validator: Option<&'a dyn Validator>,
}

/// What we have signed.
struct Ours {
    nonce: Nonce,
    status: Bytes,
}

impl Exchange<'_> {
    /// The opener's side, with our status.
    pub(crate) async fn open(&self, stream: &mut Stream, status: Bytes) -> Result<Outcome> {
        if let Err(refusal) = self.sides.check_binding() {
            return self.refuse(stream, refusal).await;
        }
        let ours = Ours { nonce: self.host.env().random(), status };
        let offer = self.signed(Phase::Offer, &ours, None);
        write_message(stream, Message::Offer(offer)).await?;
        let reply = match read_message(stream).await? {
            Some(Message::Reply(reply)) => reply,
            other => return instead(stream, other).await,
        };
        if let Err(refusal) = self.judge(Phase::Reply, &reply, Some(&ours.nonce)) {
            return self.refuse(stream, refusal).await;
        }
        let (unix_time_ms, signature) = self.sign(Phase::Confirm, &ours, Some(&reply.nonce));
        write_message(stream, Message::Confirm { unix_time_ms, signature: signature.into() }).await?;
        stream.shutdown().await.map_err(|e| Error::io("ending an exchange", e))?;
        match read_message(stream).await? {
            None => Ok(accepted(reply)),
            other => instead(stream, other).await,
        }
    }

    /// The responder's side. `status` gives our status, perhaps only after a while.
    pub(crate) async fn respond(&self, stream: &mut Stream, status: impl Future<Output = Bytes>) -> Result<Outcome> {
        let offer = match read_message(stream).await? {
            Some(Message::Offer(offer)) => offer,
            other => return instead(stream, other).await,
        };
        if let Err(refusal) = self.judge(Phase::Offer, &offer, None) {
            return self.refuse(stream, refusal).await;
        }
        let ours = Ours { nonce: self.host.env().random(), status: status.await };
        let reply = self.signed(Phase::Reply, &ours, Some(&offer.nonce));
        write_message(stream, Message::Reply(reply)).await?;
        let (unix_time_ms, signature) = match read_message(stream).await? {
            Some(Message::Confirm { unix_time_ms, signature }) => (unix_time_ms, signature),
            other => return instead(stream, other).await,
        };
        let said = Said {
            phase: Phase::Confirm,
            nonce: &offer.nonce,
            others_nonce: Some(&ours.nonce),
            unix_time_ms,
            status: &offer.status,
        };
        if let Err(refusal) = self.sides.check(&offer, said, &signature, self.host.env().unix_time()) {
            return self.refuse(stream, refusal).await;
        }
        stream.shutdown().await.map_err(|e| Error::io("ending an exchange", e))?;
        Ok(accepted(offer))
    }

    /// Whether the peer's signature holds, and the application takes its status.
    fn judge(&self, phase: Phase, signed: &Signed, others_nonce: Option<&Nonce>) -> Result<(), Refusal> {
        let Signed { nonce, unix_time_ms, status, signature, .. } = signed;
        let said = Said { phase, nonce, others_nonce, unix_time_ms: *unix_time_ms, status };
        self.sides.check(signed, said, signature, self.host.env().unix_time())?;
        self.sides.ask(self.validator, status)
    }

    fn sign(&self, phase: Phase, ours: &Ours, others_nonce: Option<&Nonce>) -> (u64, Vec<u8>) {
        let key: &Keypair = self.host.identity();
        let unix_time_ms = u64::try_from(self.host.env().unix_time().as_millis()).unwrap_or(u64::MAX);
        let said = Said { phase, nonce: &ours.nonce, others_nonce, unix_time_ms, status: &ours.status };
        (unix_time_ms, self.sides.sign(key, said))
    }

    fn signed(&self, phase: Phase, ours: &Ours, others_nonce: Option<&Nonce>) -> Signed {
        let (unix_time_ms, signature) = self.sign(phase, ours, others_nonce);
        let key = self.host.identity().public().clone();
        Signed { key, nonce: ours.nonce, unix_time_ms, status: ours.status.clone(), signature: signature.into() }
    }

    /// Tells the peer, and waits a moment until it has heard.
    pub(crate) async fn refuse(&self, stream: &mut Stream, refusal: Refusal) -> Result<Outcome> {
        let telling = async {
            write_message(stream, Message::Refusal(refusal.clone())).await?;
            stream.shutdown().await.map_err(|e| Error::io("ending an exchange", e))?;
            // What else it says is of no use.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        };
        // Whether it has heard it or not, it is refused.
        let _ = self.host.env().timeout(HEARING, "telling a peer why it is refused", telling).await;
        Ok(Outcome::WeRefuse(refusal))
    }
}

fn accepted(signed: Signed) -> Outcome {
    Outcome::Accepted { status: signed.status, unix_time: Duration::from_millis(signed.unix_time_ms) }
}

/// What there is instead of the message that was expected.
async fn instead(stream: &mut Stream, message: Option<Message>) -> Result<Outcome> {
    match message {
        Some(Message::Refusal(refusal)) => {
            // The peer learns that we have heard it. Whether it does or not, we are refused.
            let _ = stream.shutdown().await;
            Ok(Outcome::PeerRefuses(refusal))
        }
        Some(_) => Err(Error::violated(Violation::OutOfOrder, "a message that is not due")),
        None => Err(Error::closed("the stream ended within an exchange")),
    }
}

/// The refusal of a peer whose exchange failed with this error. `None`: the error is not the peer's.
pub(crate) fn refusal_of(error: &Error) -> Option<Refusal> {
    match error.kind() {
        Kind::PeerMisbehaved(_) => Some(Refusal::new(Cause::Broken, "what was said is not of the protocol")),
        Kind::Timeout { .. } => Some(Refusal::new(Cause::NotInTime, "there was no status in time")),
        Kind::Closed | Kind::Reset { .. } => Some(Refusal::new(Cause::NotInTime, "the exchange was broken off")),
        _ => None,
    }
}
