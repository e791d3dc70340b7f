//! Sealed messages: signed by their sender and encrypted to their recipient's identity key, for others to carry.
//!
//! A relay sees who a message is for, how long it is, and which cipher it has; not who sent it, when, or what it says.
//! It can't alter it, readdress it, or have it taken twice. Keys: recipients have Ed25519 or secp256k1 identities,
//! senders any that sign.
//!
//! ```
//! use std::time::Duration;
//! use stackwire_core::{Env, Keypair, identity::KeyType};
//! use stackwire_security_ecies::sealed::{self, ReplayGuard, SealedError};
//!
//! # fn example(env: &Env) -> Result<(), SealedError> {
//! # let [alice, bob] = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
//! // Alice seals for Bob; anybody may carry it.
//! let sealed = sealed::seal(bob.public(), &alice, "chat/1", b"hello", env)?;
//! assert_eq!(sealed::recipient(&sealed)?, bob.peer_id());
//!
//! // Bob keeps one guard for as long as he takes messages.
//! let mut guard = ReplayGuard::new(Duration::from_secs(24 * 3600), 100_000);
//! let opened = sealed::open(&sealed, &bob, "chat/1", &mut guard, env)?;
//! assert_eq!((opened.from.peer_id(), &opened.content[..]), (alice.peer_id(), &b"hello"[..]));
//!
//! // Whoever kept it can't have it taken again.
//! assert_eq!(sealed::open(&sealed, &bob, "chat/1", &mut guard, env), Err(SealedError::Replayed));
//! # Ok(())
//! # }
//! # example(&stackwire_conformance::env()).unwrap();
//! ```
//!
//! `SPEC.md`, section 2, has the format, its limits, and what it does not give: forward secrecy towards the
//! recipient above all, whose identity key opens every message it was ever sent.

mod agreement;
mod envelope;
mod error;
mod guard;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use stackwire_core::{Env, Keypair, PeerId, PublicKey};

pub use error::SealedError;
pub use guard::{MAX_SKEW, ReplayGuard};

use agreement::Agreement;
use envelope::Letter;

use crate::suite::Suite;

/// The most bytes of content: 1 MiB.
pub const MAX_CONTENT: usize = 1 << 20;
/// The longest sealed message, in bytes: the content, and 8 KiB for everything around it.
pub const MAX_SEALED: usize = MAX_CONTENT + 8 * 1024;
/// The longest domain, in bytes.
pub const MAX_DOMAIN: usize = 128;

/// A message that was opened: who sent it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The sender's identity key.
    pub from: PublicKey,
    /// The message's id, random for each.
    pub id: [u8; 16],
    /// When the sender says it was sealed, since 1970-01-01 UTC, to the millisecond.
    pub sent_at: Duration,
    /// What it says.
    pub content: Bytes,
}

/// Seals `content` from `from` for `to`, and returns what travels.
///
/// `domain` names what it is for, such as `chat/1`: who opens it has to say the same, so that no application takes
/// another's messages. The ephemeral key, the id and the time come from `env`.
///
/// Fails with [`SealedError::TooLarge`] above [`MAX_CONTENT`] or [`MAX_DOMAIN`], [`SealedError::UnsupportedKey`] where
/// `to` is neither Ed25519 nor secp256k1, and [`SealedError::BadKey`] where it is a key that no secret can be agreed on
/// with.
pub fn seal(to: &PublicKey, from: &Keypair, domain: &str, content: &[u8], env: &Env) -> Result<Vec<u8>, SealedError> {
    let letter = Draft { id: env.random(), sent_at: millis(env.unix_time()), domain, content };
    seal_draft(to, from, Suite::fastest(), || Agreement::generate(to, env), &letter)
}

/// Opens a sealed message that is for us, once.
///
/// `guard` remembers what was opened; only messages that are proven and in time get there. What is wrong is told by
/// the [`SealedError`]: what can be seen from outside first, then whether the ciphertext and the signature hold, then
/// the domain, the time, and whether it was opened before. Copies the message twice at most, and takes no more than
/// [`MAX_SEALED`] bytes of memory for either.
pub fn open(
    sealed: &[u8],
    us: &Keypair,
    domain: &str,
    guard: &mut ReplayGuard,
    env: &Env,
) -> Result<Opened, SealedError> {
    let envelope = envelope::read(sealed)?;
    let recipient = us.peer_id();
    if envelope.recipient != recipient {
        return Err(SealedError::WrongRecipient { recipient: Box::new(envelope.recipient) });
    }
    let shared = agreement::agree(us, &envelope.ephemeral)?;
    let context = agreement::context(us.public(), envelope.suite, &envelope.ephemeral);
    let mut text = Vec::from(envelope.ciphertext);
    let length =
        agreement::key(&context, &shared, envelope.suite).open(0, &context, &mut text).ok_or(SealedError::Altered)?;
    text.truncate(length);

    let letter = Letter::read(text.into(), &context)?;
    if letter.domain != domain {
        return Err(SealedError::WrongDomain);
    }
    guard.admit(millis(env.unix_time()), &letter.sender.peer_id(), &letter.id, letter.sent_at)?;
    Ok(Opened {
        from: letter.sender,
        id: letter.id,
        sent_at: Duration::from_millis(letter.sent_at),
        content: letter.content,
    })
}

/// Who a sealed message says it is for: what a relay needs, without any proof. Copies the message once.
pub fn recipient(sealed: &[u8]) -> Result<PeerId, SealedError> {
    envelope::read(sealed).map(|envelope| envelope.recipient)
}

/// What a sender decides.
struct Draft<'a> {
    id: [u8; 16],
    sent_at: u64,
    domain: &'a str,
    content: &'a [u8],
}

fn seal_draft(
    to: &PublicKey,
    from: &Keypair,
    suite: Suite,
    agree: impl FnOnce() -> Result<Agreement, SealedError>,
    draft: &Draft<'_>,
) -> Result<Vec<u8>, SealedError> {
    too_large(draft.content.len(), MAX_CONTENT)?;
    too_large(draft.domain.len(), MAX_DOMAIN)?;
    Ok(encrypt(to, suite, agree()?, |context| envelope::encode_letter(from, draft, context)))
}

/// Encrypts what `letter` makes for the context of this message.
fn encrypt(to: &PublicKey, suite: Suite, agreement: Agreement, letter: impl FnOnce(&[u8; 32]) -> Vec<u8>) -> Vec<u8> {
    let Agreement { ephemeral, shared } = agreement;
    let context = agreement::context(to, suite, &ephemeral);
    let mut text = letter(&context);
    let tag = agreement::key(&context, &shared, suite).seal(0, &context, &mut text);
    text.extend_from_slice(&tag);
    envelope::encode(&to.peer_id(), suite, ephemeral, text)
}

/// Encrypts any letter, which gets the context it is bound to: for tests of what a sender may put there. No stable API.
#[doc(hidden)]
pub fn encrypt_letter(
    to: &PublicKey,
    env: &Env,
    letter: impl FnOnce(&[u8; 32]) -> Vec<u8>,
) -> Result<Vec<u8>, SealedError> {
    Ok(encrypt(to, Suite::fastest(), Agreement::generate(to, env)?, letter))
}

/// What a sender signs. No stable API.
#[doc(hidden)]
pub fn signed_text(context: &[u8; 32], claims: &[u8]) -> Vec<u8> {
    envelope::signed_text(context, claims)
}

fn too_large(size: usize, max: usize) -> Result<(), SealedError> {
    if size > max { Err(SealedError::TooLarge { size, max }) } else { Ok(()) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
