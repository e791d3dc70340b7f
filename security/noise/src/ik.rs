//! IK, as Diem and Aptos speak it.
//!
//! ```text
//! dialer    peer id (16 or 32) ‖ the listener's static key (32), both the prologue too
//!           e, es, s, ss, and as payload the unix time in ms, u64 little-endian: 104
//! listener  e, ee, se: 48
//! ```
//!
//! Nothing has a length before it, and the dialer's part goes out at once.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Claims, Error, Keypair, Kind, Layer, Proof, ProtocolId, PublicKey, Result, Role, SecuredPipe, Security,
    SecurityContext, Trust, address::Fixed, exchange::receive, trust::AccountId,
};

use crate::{
    config::NoiseIkConfig,
    crypto::{KEY, KeyPair, Suite, TAG},
    diem_handshake::{self, HandshakeMessage, VERSION},
    exchange::{Exchange, Known, Variant},
    network_key::{KeySource, NetworkKey, whom},
    replay::Timestamps,
    trust::{Authentication, Configured, KnownBy, TrustedSet, account},
};

const VARIANT: Variant =
    Variant { plugin: NoiseIk::NAME, protocol: "Noise_IK_25519_AESGCM_SHA256", suite: Suite::AesGcm };
/// Bytes of the payload of message 1.
const TIMESTAMP: usize = 8;
/// Bytes of message 1.
const MESSAGE_1: usize = KEY + (KEY + TAG) + (TIMESTAMP + TAG);
/// Bytes of message 2.
const MESSAGE_2: usize = KEY + TAG;

/// The security protocol of Diem and Aptos, which an address chooses: `/noise-ik/0x<the listener's key>`, with
/// `/handshake/0` behind it where the application handshake follows.
pub struct NoiseIk {
    key: KeySource,
    trust: Configured,
    /// Bytes of a peer id.
    width: usize,
    account: Option<AccountId>,
    handshake: HandshakeMessage,
    /// Whether a handshake may end without a protocol in common.
    none_is_fine: bool,
    seen: Timestamps,
    /// The last timestamp we sent.
    sent: AtomicU64,
}

impl NoiseIk {
    /// The name configs use.
    pub const NAME: &'static str = "noise-ik";
    /// What it is called in reports; nobody negotiates it.
    pub const ID: &'static str = "/noise-ik";

    /// The protocol by its options. Fails with `ConfigInvalid` where one is malformed.
    pub fn new(config: NoiseIkConfig) -> Result<Self> {
        let width = usize::from(config.peer_id);
        let wrong = |why: &str| Error::new(Kind::ConfigInvalid, why.to_owned());
        if !matches!(width, 16 | KEY) {
            return Err(wrong("`peer_id` is the size of peer ids in bytes: 16 (Diem) or 32 (Aptos)"));
        }
        let account = config.account.as_deref().map(account).transpose()?;
        if account.as_ref().is_some_and(|account| account.as_bytes().len() != width) {
            return Err(wrong("`account` has not the size that `peer_id` says (16 bytes: 32 hex digits; 32: 64)"));
        }
        let trusted = config.trusted.unwrap_or_default();
        let trust = Configured::new(&trusted, config.trusted_file, config.authentication, KnownBy::Account(width))?;
        let (handshake, none_is_fine) = config.handshake.message()?;
        let (seen, sent) = (Timestamps::default(), AtomicU64::default());
        Ok(Self { key: KeySource::new(config.key), trust, width, account, handshake, none_is_fine, seen, sent })
    }

    /// The trusted set of the options, whose sources are `config` and `file`. Code may add others at any time.
    pub fn trusted(&self) -> Trust {
        self.trust.trust().clone()
    }

    async fn run(&self, pipe: BoxPipe, role: Role, context: &SecurityContext<'_>) -> Result<SecuredPipe> {
        if let Some(version) = context.fixed.handshake().filter(|version| *version != VERSION) {
            let why = format!("the address says /handshake/{version}; there is a version 0 only");
            return Err(Error::new(Kind::AddressInvalid, why));
        }
        let key = self.key.key(context.identity, Self::NAME)?;
        let trusted = self.trust.current(context)?;
        let (exchange, peer, account, mut round_trips) = match role {
            Role::Dialer => self.dial(pipe, context, &key, &trusted).await?,
            Role::Listener => self.accept(pipe, context, &key, &trusted).await?,
        };
        let theirs = exchange.remote_static()?;
        // Message 1 may be one that somebody recorded.
        let binding = exchange.binding();
        let (channel, mut proof) = exchange.unproven_channel(role);
        let mut pipe: BoxPipe = Box::new(channel);
        let mut claims = Claims::default().with_role(trusted.role(Some(&account), &theirs)).with_account(account);
        if context.fixed.handshake().is_some() {
            let message = diem_handshake::exchange(&mut pipe, &self.handshake).await?;
            let agreed = self.handshake.agree(&message, role, self.none_is_fine)?;
            tracing::debug!(version = agreed.version, protocols = ?agreed.protocols, "handshake");
            claims = claims
                .with_chain(message.chain_id.into(), Some(message.network.name().to_owned()))
                .with_protocols(agreed.names());
            proof = Proof::Complete;
            // The listener's message is behind its part of IK, so only the listener waits for another.
            round_trips += u8::from(role == Role::Listener);
        }
        let secured = SecuredPipe::new(pipe, peer).with_proof(proof);
        Ok(secured.after(round_trips).with_claims(claims).with_binding(binding))
    }

    async fn dial(
        &self,
        pipe: BoxPipe,
        context: &SecurityContext<'_>,
        key: &NetworkKey,
        trusted: &TrustedSet,
    ) -> Result<(Exchange, PublicKey, AccountId, u8)> {
        const SENDING: &str = "sending message 1";
        let listener = listener_key(context, trusted)?;
        let peer = whom(listener, context.expected, trusted)?;
        if self.trust.authentication == Authentication::Mutual {
            trusted.check_key(&listener, Authentication::Mutual)?;
        }
        let mut message = self.account(key).as_bytes().to_vec();
        message.extend_from_slice(&listener);
        let known = Known { key: &KeyPair::of(&key.private), remote: Some(&listener), prologue: &message };
        let mut exchange = Exchange::start(pipe, Role::Dialer, context.env, VARIANT, &known)?;
        let timestamp = self.timestamp(context);
        exchange.write(&timestamp.to_le_bytes(), &mut message, SENDING).map_err(|e| match e.kind() {
            Kind::PeerMisbehaved(_) => {
                Error::new(Kind::AddressInvalid, "no secret can be agreed on with the listener's key").caused_by(e)
            }
            _ => e,
        })?;
        exchange.send_bytes(&message, SENDING).await?;
        exchange.receive_bytes(MESSAGE_2, "reading message 2").await?;
        Ok((exchange, peer, trusted.account_of(&listener, self.width), 1))
    }

    async fn accept(
        &self,
        mut pipe: BoxPipe,
        context: &SecurityContext<'_>,
        key: &NetworkKey,
        trusted: &TrustedSet,
    ) -> Result<(Exchange, PublicKey, AccountId, u8)> {
        const READING: &str = "reading message 1";
        let failed = |why: &'static str| Err(Error::new(Kind::AuthenticationFailed, why));
        let received = receive(&mut pipe, self.width + KEY + MESSAGE_1, READING).await?;
        let (prologue, message) = received.split_at(self.width + KEY);
        let (theirs, meant) = prologue.split_at(self.width);
        let theirs = AccountId::new(theirs)?;
        if theirs == self.account(key) {
            return failed("a dialer with our own peer id: ourselves, or somebody with our account");
        }
        if meant != key.public {
            return failed("a dialer that wants a listener of another key");
        }
        let known = Known { key: &KeyPair::of(&key.private), remote: None, prologue };
        let mut exchange = Exchange::start(pipe, Role::Listener, context.env, VARIANT, &known)?;
        let payload = exchange.read(message, READING)?;
        let static_key = exchange.remote_static()?;
        trusted.check_account(&theirs, &static_key, self.trust.authentication)?;
        let peer = whom(static_key, context.expected, trusted)?;
        if self.trust.authentication == Authentication::Mutual {
            let Ok(timestamp) = payload.try_into().map(u64::from_le_bytes) else {
                return Err(Error::misbehaved("a timestamp that is not 8 bytes"));
            };
            self.seen.advance(static_key, timestamp)?;
        }
        let mut answer = Vec::new();
        exchange.write(&[], &mut answer, "sending message 2")?;
        exchange.send_bytes(&answer, "sending message 2").await?;
        Ok((exchange, peer, theirs, 0))
    }

    /// Our peer id.
    fn account(&self, key: &NetworkKey) -> AccountId {
        self.account.clone().unwrap_or_else(|| AccountId::of_key(&key.public, self.width))
    }

    /// The time, or the next number where two dials are in one millisecond: listeners want each above the last.
    fn timestamp(&self, context: &SecurityContext<'_>) -> u64 {
        let now = u64::try_from(context.env.unix_time().as_millis()).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last.saturating_add(1));
        let last = self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_default())
    }
}

/// The listener's static key: what the address says, what the trusted set says of the expected peer, or that peer's
/// own key.
fn listener_key(context: &SecurityContext<'_>, trusted: &TrustedSet) -> Result<[u8; KEY]> {
    if let Some(key) = context.fixed.noise_ik() {
        return Ok(key);
    }
    let of_peer = context.expected.as_ref().and_then(|expected| {
        trusted.key_of(expected).or_else(|| PublicKey::of_peer(expected).and_then(|key| key.x25519()))
    });
    of_peer.ok_or_else(|| {
        let why =
            "the listener's X25519 key is not known: dial …/noise-ik/0x<64 hex digits>, or a peer id of an Ed25519 key";
        Error::new(Kind::AddressInvalid, why)
    })
}

impl fmt::Debug for NoiseIk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoiseIk")
    }
}

#[async_trait]
impl Security for NoiseIk {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn id(&self) -> ProtocolId {
        Self::ID.into()
    }

    fn negotiable(&self) -> bool {
        false
    }

    fn address(&self, identity: &Keypair) -> Option<Fixed> {
        self.key.public(identity).map(|key| Fixed::NoiseIk(Some(key)))
    }

    /// Takes less than 200 bytes of whoever cannot prove its key. The dialer waits once, the listener for nothing;
    /// `/handshake/0` makes it wait once and take up to 64 KiB more. Without that the dialer is proven to it with the first
    /// frame, as a recorded message 1 may be sent again by anybody.
    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        self.run(pipe, role, &context).await.map_err(|e| e.at(Layer::Security, Self::NAME))
    }
}
