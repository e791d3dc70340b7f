//! IX, as Libra spoke it: `e, s`, then `e, ee, se, s, es`, each behind its length in two bytes, big-endian, and without
//! a payload.

use std::fmt;

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Claims, Error, Kind, Layer, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext, Trust,
};

use crate::{
    config::NoiseIxConfig,
    crypto::{KEY, KeyPair, Suite, TAG},
    exchange::{Exchange, Known, Variant},
    network_key::{KeySource, whom},
    trust::{Authentication, Configured, KnownBy},
};

const VARIANT: Variant =
    Variant { plugin: NoiseIx::NAME, protocol: "Noise_IX_25519_AESGCM_SHA256", suite: Suite::AesGcm };

/// Bytes of message 1: two keys in clear.
const MESSAGE_1: usize = KEY + KEY;
/// Bytes of message 2: a key in clear, one sealed, and the tag of a payload that is empty.
const MESSAGE_2: usize = KEY + (KEY + TAG) + TAG;

/// The security protocol `/noise_ix_25519_aesgcm_sha256/1.0.0`.
///
/// Both sides learn a static X25519 key of the other, and nothing else. The dialer's is proven to the listener by the
/// first frame that it can open.
pub struct NoiseIx {
    key: KeySource,
    trust: Configured,
}

impl NoiseIx {
    /// The name configs use.
    pub const NAME: &'static str = "noise-ix";
    /// The id on the wire.
    pub const ID: &'static str = "/noise_ix_25519_aesgcm_sha256/1.0.0";

    /// The protocol by its options. Fails with `ConfigInvalid` where one is malformed.
    pub fn new(config: NoiseIxConfig) -> Result<Self> {
        let trusted = config.trusted.unwrap_or_default();
        let trust = Configured::new(&trusted, config.trusted_file, config.authentication, KnownBy::Key)?;
        Ok(Self { key: KeySource::new(config.key), trust })
    }

    /// The trusted set of the options, whose sources are `config` and `file`. Code may add others at any time.
    pub fn trusted(&self) -> Trust {
        self.trust.trust().clone()
    }

    async fn run(&self, pipe: BoxPipe, role: Role, context: &SecurityContext<'_>) -> Result<SecuredPipe> {
        no_handshake(context)?;
        let key = self.key.key(context.identity, Self::NAME)?;
        let trusted = self.trust.current(context)?;
        let known = Known { key: &KeyPair::of(&key.private), remote: None, prologue: &[] };
        let mut exchange = Exchange::start(pipe, role, context.env, VARIANT, &known)?;
        let check = |exchange: &Exchange| {
            let theirs = exchange.remote_static()?;
            if theirs == key.public {
                return Err(Error::new(Kind::AuthenticationFailed, "a peer with our own key: ourselves, most likely"));
            }
            let peer = whom(theirs, context.expected, &trusted)?;
            if role == Role::Listener || self.trust.authentication == Authentication::Mutual {
                trusted.check_key(&theirs, self.trust.authentication)?;
            }
            Ok::<_, Error>(peer)
        };
        let (peer, round_trips) = match role {
            Role::Dialer => {
                exchange.send(&[], "sending message 1").await?;
                receive(&mut exchange, MESSAGE_2, "reading message 2").await?;
                (check(&exchange)?, 1)
            }
            Role::Listener => {
                receive(&mut exchange, MESSAGE_1, "reading message 1").await?;
                let peer = check(&exchange)?;
                exchange.send(&[], "sending message 2").await?;
                (peer, 0)
            }
        };
        let theirs = exchange.remote_static()?;
        // The dialer may have told somebody else's key.
        let binding = exchange.binding();
        let (channel, proof) = exchange.unproven_channel(role);
        let claims = Claims::default().with_role(trusted.role(None, &theirs));
        let secured = SecuredPipe::new(Box::new(channel), peer).with_proof(proof);
        Ok(secured.after(round_trips).with_claims(claims).with_binding(binding))
    }
}

/// Reads a message of `length` bytes. Fails with `PeerMisbehaved` where it says that it has another length.
async fn receive(exchange: &mut Exchange, length: usize, during: &'static str) -> Result<()> {
    match exchange.receive_length(during).await? {
        told if told == length => exchange.receive_bytes(length, during).await.map(|_empty| ()),
        told => Err(Error::misbehaved(format!("a handshake message of {told} bytes instead of {length}"))),
    }
}

/// Fails where the address asks for Diem's handshake, which only `noise-ik` does.
pub(crate) fn no_handshake(context: &SecurityContext<'_>) -> Result<()> {
    match context.fixed.handshake() {
        None => Ok(()),
        Some(version) => {
            let why = format!("the address says /handshake/{version}, which goes with /noise-ik only");
            Err(Error::new(Kind::AddressInvalid, why))
        }
    }
}

impl fmt::Debug for NoiseIx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoiseIx")
    }
}

#[async_trait]
impl Security for NoiseIx {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn id(&self) -> ProtocolId {
        Self::ID.into()
    }

    /// Takes less than 100 bytes of whoever cannot prove its key. The dialer waits once, the listener for nothing: to it the
    /// dialer is proven with the first frame.
    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        self.run(pipe, role, &context).await.map_err(|e| e.at(Layer::Security, Self::NAME))
    }
}
