//! The handshake: hello, hello with the listener's introduction, the dialer's introduction (SPEC.md, section 1.2).

use std::fmt;

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Error, Kind, Layer, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext, Violation, exchange,
};
use stackwire_records::Channel;
use tokio::io::AsyncReadExt;

use crate::{
    Cipher,
    aead::TAG,
    ephemeral::{Ephemeral, POINT},
    introduction::{self, Introduced, MAX_INTRODUCTION},
    records::Records,
    schedule::Schedule,
    suite::Suite,
    terms::{Both, Terms},
};

/// Bytes of a hello: a cipher's number and a key.
const HELLO: usize = 1 + POINT;

/// The security protocol `/stackwire/ecies/1.0.0`.
pub struct Ecies {
    wanted: Suite,
    rekey_bytes: u64,
}

impl Ecies {
    /// The name configs use.
    pub const NAME: &'static str = "ecies";
    /// The id on the wire.
    pub const ID: &'static str = "/stackwire/ecies/1.0.0";

    /// With these options; see [`EciesConfig`](crate::EciesConfig).
    pub fn new(cipher: Cipher, rekey_bytes: u64) -> Self {
        Self { wanted: Suite::wanted(cipher), rekey_bytes }
    }
}

impl fmt::Debug for Ecies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecies").field("wanted", &self.wanted).field("rekey_bytes", &self.rekey_bytes).finish()
    }
}

#[async_trait]
impl Security for Ecies {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn id(&self) -> ProtocolId {
        Self::ID.into()
    }

    /// Takes less than 64 KiB, whatever the peer sends, and waits for the peer once in either role.
    ///
    /// The muxer is the first of the dialer's that the listener has too; none where they share none. Fails with
    /// `AuthenticationFailed` also where the negotiation that chose this protocol was tampered with, on both sides.
    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        let ephemeral = Ephemeral::generate(context.env);
        self.run(pipe, role, &context, &ephemeral).await.map_err(|e| e.at(Layer::Security, Self::NAME))
    }
}

impl Ecies {
    async fn run(
        &self,
        pipe: BoxPipe,
        role: Role,
        context: &SecurityContext<'_>,
        ephemeral: &Ephemeral,
    ) -> Result<SecuredPipe> {
        let terms = Terms::ours(context)?;
        let mut exchange = Exchange { pipe, context, terms: &terms };
        let (schedule, theirs) = match role {
            Role::Dialer => exchange.dial(self.wanted, ephemeral).await?,
            Role::Listener => exchange.listen(self.wanted, ephemeral).await?,
        };
        let both = Both::new(role, &terms, &theirs.terms);
        // Last, so that a dialer has introduced itself by now and the listener learns of a downgrade too.
        both.check_negotiation()?;
        let (receiving, sending) = (schedule.traffic(role.other()), schedule.traffic(role));
        let records = Records::new(schedule.suite(), receiving, sending, self.rekey_bytes);
        let channel = Channel::new(exchange.pipe, records);
        Ok(SecuredPipe::new(Box::new(channel), theirs.key).with_muxer(both.muxer()).after(1))
    }
}

/// A handshake under way.
struct Exchange<'a> {
    pipe: BoxPipe,
    context: &'a SecurityContext<'a>,
    terms: &'a Terms,
}

impl Exchange<'_> {
    async fn dial(&mut self, wanted: Suite, ephemeral: &Ephemeral) -> Result<(Schedule, Introduced)> {
        let ours = hello(wanted, ephemeral);
        self.send(&ours, "sending message 1").await?;
        let (theirs, suite, key) = self.hello("reading message 2").await?;
        if Suite::agreed(wanted, suite) != suite {
            return Err(Error::violated(Violation::WrongAnswer, "a listener that chose a cipher we do not want"));
        }
        let shared = ephemeral.agree(&key).ok_or_else(no_point)?;
        let mut schedule = Schedule::new(suite, &ours, &theirs, &shared);
        let introduced = self.introduced(&mut schedule, Role::Listener, "reading message 2").await?;
        // Only now: who we are is for the right peer alone.
        let sealed = self.introduction(&mut schedule, Role::Dialer);
        self.send(&sealed, "sending message 3").await?;
        Ok((schedule, introduced))
    }

    async fn listen(&mut self, wanted: Suite, ephemeral: &Ephemeral) -> Result<(Schedule, Introduced)> {
        let (theirs, dialers, key) = self.hello("reading message 1").await?;
        let shared = ephemeral.agree(&key).ok_or_else(no_point)?;
        let suite = Suite::agreed(dialers, wanted);
        let ours = hello(suite, ephemeral);
        let mut schedule = Schedule::new(suite, &theirs, &ours, &shared);
        let sealed = self.introduction(&mut schedule, Role::Listener);
        self.send(&[ours.as_slice(), &sealed].concat(), "sending message 2").await?;
        let introduced = self.introduced(&mut schedule, Role::Dialer, "reading message 3").await?;
        Ok((schedule, introduced))
    }

    async fn send(&mut self, message: &[u8], during: &'static str) -> Result<()> {
        exchange::send(&mut self.pipe, message, during).await
    }

    /// Reads the peer's hello: its bytes, the cipher, the key.
    async fn hello(&mut self, during: &'static str) -> Result<([u8; HELLO], Suite, [u8; POINT])> {
        let mut bytes = [0; HELLO];
        self.pipe.read_exact(&mut bytes).await.map_err(|e| Error::io(during, e))?;
        let [number, key @ ..] = bytes;
        let suite = Suite::of_wire(number).ok_or_else(|| Error::misbehaved(format!("a cipher of number {number}")))?;
        Ok((bytes, suite, key))
    }

    /// Our introduction as it is sent, added to the transcript.
    fn introduction(&self, schedule: &mut Schedule, role: Role) -> Vec<u8> {
        let introduction = introduction::introduce(schedule, role, self.context.identity, self.terms);
        let sealed = schedule.seal(role, &introduction);
        let length = u16::try_from(sealed.len()).expect("limited lists, a key and a signature take less than 16 KiB");
        [&length.to_be_bytes(), sealed.as_slice()].concat()
    }

    /// Reads, proves and checks the peer's introduction, and adds it to the transcript.
    async fn introduced(&mut self, schedule: &mut Schedule, sender: Role, during: &'static str) -> Result<Introduced> {
        let length = usize::from(self.pipe.read_u16().await.map_err(|e| Error::io(during, e))?);
        if !(TAG..=MAX_INTRODUCTION + TAG).contains(&length) {
            let violation = if length < TAG { Violation::Malformed } else { Violation::TooLarge };
            return Err(Error::violated(violation, "an introduction of a wrong size").with("bytes", length));
        }
        let sealed = exchange::receive(&mut self.pipe, length, during).await?;
        let theirs = schedule.open(sender, sealed, |schedule, bytes| introduction::read(schedule, sender, bytes))?;
        let actual = theirs.key.peer_id();
        match self.context.expected {
            Some(expected) if expected != actual => {
                Err(Error::new(Kind::PeerMismatch { expected, actual }, "checking the peer's id"))
            }
            _ => Ok(theirs),
        }
    }
}

fn hello(suite: Suite, ephemeral: &Ephemeral) -> [u8; HELLO] {
    let mut bytes = [suite as u8; HELLO];
    bytes[1..].copy_from_slice(&ephemeral.public());
    bytes
}

fn no_point() -> Error {
    Error::misbehaved("an ephemeral key that is no point of secp256k1")
}
