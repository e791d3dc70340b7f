//! The wire: four kinds of messages.

use bytes::Bytes;
use stackwire_core::{Error, PublicKey, Result, Violation, printable, read_delimited, write_delimited};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};

use crate::{
    proto::{self, message::Says, refusal::Cause as WireCause},
    refusal::{Cause, Refusal},
};

/// The most bytes of a status.
pub const MAX_STATUS: usize = 64 * 1024;
/// The most bytes of a message: a status, the longest key that there is (RSA of 8192 bits) and its signature.
const MAX_MESSAGE: usize = MAX_STATUS + 4096;
/// The most bytes of a refusal's text, and characters of it that are shown.
const MAX_TEXT: usize = 256;

/// 32 random bytes.
pub type Nonce = [u8; 32];

/// What is said in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The opener's status.
    Offer(Signed),
    /// The other's.
    Reply(Signed),
    /// The opener has accepted that.
    Confirm {
        /// When it was signed.
        unix_time_ms: u64,
        /// Of the offer, now with the nonce of the reply.
        signature: Bytes,
    },
    /// The sender refuses.
    Refusal(Refusal),
}

/// A status with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The signer's identity key.
    pub key: PublicKey,
    /// The signer's nonce.
    pub nonce: Nonce,
    /// When it was signed, by the signer's clock.
    pub unix_time_ms: u64,
    /// The status, [`MAX_STATUS`] bytes at most.
    pub status: Bytes,
    /// See [`Statement`](crate::Statement).
    pub signature: Bytes,
}

/// Reads the next message; `None` at the end of the stream.
///
/// Fails with `PeerMisbehaved` where it is too large or malformed. Whether signatures hold is not looked at. Has no time limit.
/// Not cancel-safe: a message read in part is lost.
pub async fn read_message(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Message>> {
    let Some(message) = read_delimited::<proto::Message>(stream, MAX_MESSAGE).await? else { return Ok(None) };
    Ok(Some(match message.says {
        Some(Says::Offer(said)) => Message::Offer(signed(said)?),
        Some(Says::Reply(said)) => Message::Reply(signed(said)?),
        Some(Says::Confirm(said)) => Message::Confirm { unix_time_ms: said.unix_time_ms, signature: said.signature },
        Some(Says::Refusal(said)) => Message::Refusal(refusal(&said)),
        None => return Err(Error::misbehaved("a message that says nothing")),
    }))
}

/// Writes and flushes a message. Not cancel-safe.
pub async fn write_message(stream: &mut (impl AsyncWrite + Unpin), message: Message) -> Result<()> {
    let of_signed = |said: Signed| proto::Signed {
        key: said.key.encode().into(),
        nonce: Bytes::copy_from_slice(&said.nonce),
        unix_time_ms: said.unix_time_ms,
        status: said.status,
        signature: said.signature,
    };
    let says = match message {
        Message::Offer(said) => Says::Offer(of_signed(said)),
        Message::Reply(said) => Says::Reply(of_signed(said)),
        Message::Confirm { unix_time_ms, signature } => Says::Confirm(proto::Confirm { unix_time_ms, signature }),
        Message::Refusal(said) => Says::Refusal(proto::Refusal {
            cause: wire_cause(said.cause).into(),
            code: said.code,
            text: Bytes::copy_from_slice(&said.text.as_bytes()[..said.text.floor_char_boundary(MAX_TEXT)]),
        }),
    };
    write_delimited(stream, &proto::Message { says: Some(says) }).await?;
    stream.flush().await.map_err(|e| Error::io("sending a message", e))
}

fn signed(said: proto::Signed) -> Result<Signed> {
    if said.status.len() > MAX_STATUS {
        let error = Error::violated(Violation::TooLarge, "a status over its limit");
        return Err(error.with("bytes", said.status.len()).with("limit", MAX_STATUS));
    }
    let nonce = (*said.nonce).try_into().map_err(|_| Error::misbehaved("a nonce that is not 32 bytes"))?;
    let key = PublicKey::decode(&said.key).map_err(|e| Error::misbehaved("a key that does not decode").caused_by(e))?;
    Ok(Signed { key, nonce, unix_time_ms: said.unix_time_ms, status: said.status, signature: said.signature })
}

/// Whoever refuses is heard, whatever else it says.
fn refusal(said: &proto::Refusal) -> Refusal {
    let cause = match said.cause() {
        WireCause::Application => Cause::Application,
        WireCause::BadSignature => Cause::BadSignature,
        WireCause::Stale => Cause::Stale,
        WireCause::NoBinding => Cause::NoBinding,
        WireCause::NotInTime => Cause::NotInTime,
        WireCause::Broken => Cause::Broken,
    };
    let text = String::from_utf8_lossy(&said.text[..said.text.len().min(MAX_TEXT)]);
    Refusal { cause, code: said.code, text: printable(text).at_most(MAX_TEXT).to_string() }
}

fn wire_cause(cause: Cause) -> WireCause {
    match cause {
        Cause::Application => WireCause::Application,
        Cause::BadSignature => WireCause::BadSignature,
        Cause::Stale => WireCause::Stale,
        Cause::NoBinding => WireCause::NoBinding,
        Cause::NotInTime => WireCause::NotInTime,
        Cause::Broken => WireCause::Broken,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_conformance::pipes;
    use stackwire_core::{Keypair, Kind};

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts").block_on(test)
    }

    async fn read(bytes: &[u8]) -> Result<Option<Message>> {
        let (mut ours, mut theirs) = pipes::pair_with_capacity(256 * 1024);
        theirs.write_all(bytes).await?;
        theirs.shutdown().await?;
        read_message(&mut ours).await
    }

    async fn there_and_back(message: Message) -> Result<Option<Message>> {
        let (mut ours, mut theirs) = pipes::pair_with_capacity(256 * 1024);
        write_message(&mut ours, message).await?;
        read_message(&mut theirs).await
    }

    fn signed_with(status: usize) -> Signed {
        Signed {
            key: Keypair::ed25519_from_seed([1; 32]).public().clone(),
            nonce: [2; 32],
            unix_time_ms: 3,
            status: vec![4; status].into(),
            signature: vec![5; 64].into(),
        }
    }

    #[test]
    fn a_status_has_a_limit() {
        run(async {
            let offer = Message::Offer(signed_with(MAX_STATUS));
            assert_eq!(there_and_back(offer.clone()).await.unwrap(), Some(offer));
            for too_much in [MAX_STATUS + 1, MAX_MESSAGE] {
                let error = there_and_back(Message::Reply(signed_with(too_much))).await.unwrap_err();
                assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::TooLarge));
            }
        });
    }

    #[test]
    fn a_refusal_is_bounded_and_safe_to_show() {
        run(async {
            let text = "\u{1b}[31m".repeat(100);
            let refusal = Refusal { cause: Cause::Application, code: 7, text };
            let Some(Message::Refusal(read)) = there_and_back(Message::Refusal(refusal)).await.unwrap() else {
                panic!("another message")
            };
            assert_eq!((read.cause, read.code), (Cause::Application, 7));
            assert!(read.text.len() <= MAX_TEXT * 8 && !read.text.contains('\u{1b}'), "{}", read.text);
        });
    }

    #[test]
    fn malformed_messages_are_the_peers_fault() {
        run(async {
            let confirm = Message::Confirm { unix_time_ms: 1, signature: Bytes::from_static(b"s") };
            assert_eq!(there_and_back(confirm.clone()).await.unwrap(), Some(confirm));
            assert_eq!(read(&[]).await.unwrap(), None);
            // Nothing said; an offer without a nonce; an unfinished message.
            for bytes in [&[0][..], &[2, 0x0a, 0], &[5, 0x1a]] {
                let error = read(bytes).await.unwrap_err();
                assert!(error.violation().is_some(), "{error}");
            }
            // An unknown cause is a refusal all the same.
            let Some(Message::Refusal(refusal)) = read(&[4, 0x22, 2, 8, 99]).await.unwrap() else {
                panic!("another message")
            };
            assert_eq!(refusal.cause, Cause::Application);
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Err(error) = run(read(&bytes)) {
                prop_assert!(error.violation().is_some(), "{}", error);
            }
        }

        #[test]
        fn what_is_said_is_read(nonce: Nonce, unix_time_ms: u64, status: Vec<u8>, signature: Vec<u8>, code: u32, text in "[ -~]{0,256}") {
            let key = Keypair::ed25519_from_seed([1; 32]).public().clone();
            let signed = Signed { key, nonce, unix_time_ms, status: status.into(), signature: signature.clone().into() };
            for message in [
                Message::Offer(signed.clone()),
                Message::Reply(signed),
                Message::Confirm { unix_time_ms, signature: signature.into() },
                Message::Refusal(Refusal { cause: Cause::Stale, code, text }),
            ] {
                prop_assert_eq!(run(there_and_back(message.clone())).unwrap(), Some(message));
            }
        }
    }
}
