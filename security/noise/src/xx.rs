//! XX, libp2p's: `e`, then `e, ee, s, es` with the listener's payload, then `s, se` with the dialer's.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Claims, Error, Kind, Layer, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext, Trust,
};

use crate::{
    config::NoiseConfig,
    crypto::Suite,
    exchange::{Exchange, Known, Variant},
    ix::no_handshake,
    proven::Proven,
    static_key::{StaticKey, StaticKeys},
    trust::{Authentication, Configured, KnownBy, TrustedSet},
    wire::{Introduction, MAX_MUXERS, decode_payload, encode_payload},
};

const VARIANT: Variant =
    Variant { plugin: Noise::NAME, protocol: "Noise_XX_25519_ChaChaPoly_SHA256", suite: Suite::ChaChaPoly };

/// The security protocol `/noise`.
#[derive(Default)]
pub struct Noise {
    static_keys: StaticKeys,
    proven: Proven,
    /// `None`: everyone is fine.
    trust: Option<Configured>,
}

impl Noise {
    /// The name configs use.
    pub const NAME: &'static str = "noise";
    /// The id on the wire.
    pub const ID: &'static str = "/noise";

    /// A value that makes a static key at the first handshake of each identity, and keeps it. Everyone is trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// The protocol by its options. Fails with `ConfigInvalid` where one is malformed.
    pub fn with_config(config: NoiseConfig) -> Result<Self> {
        if config.trusted.is_none() && config.trusted_file.is_none() {
            return match config.authentication {
                None => Ok(Self::new()),
                Some(_) => {
                    let why = "`authentication` without a trusted set says nothing: add `trusted` or `trusted_file`";
                    Err(Error::new(Kind::ConfigInvalid, why))
                }
            };
        }
        let authentication = config.authentication.unwrap_or(Authentication::Mutual);
        let trusted = config.trusted.unwrap_or_default();
        let trust = Configured::new(&trusted, config.trusted_file, authentication, KnownBy::Identity)?;
        Ok(Self { trust: Some(trust), ..Self::default() })
    }

    /// The trusted set of the options, whose sources are `config` and `file`. Code may add others at any time. `None`: there is
    /// no set, and everyone is trusted.
    pub fn trusted(&self) -> Option<Trust> {
        self.trust.as_ref().map(|configured| configured.trust().clone())
    }

    async fn run(&self, pipe: BoxPipe, role: Role, context: &SecurityContext<'_>) -> Result<SecuredPipe> {
        no_handshake(context)?;
        // Without a set of its own, who is in the node's has a role, and nobody else is refused.
        let trusted = match &self.trust {
            Some(configured) => configured.current(context)?,
            None => TrustedSet::new(Arc::default(), context.trust),
        };
        let asked = self
            .trust
            .as_ref()
            .is_some_and(|configured| role == Role::Dialer || configured.authentication == Authentication::Mutual);
        let introduced = |exchange: &Exchange, payload: &[u8]| {
            let theirs = introduced(exchange, payload, &self.proven, context)?;
            if asked {
                trusted.check_identity(&theirs.key)?;
            }
            Ok::<_, Error>(theirs)
        };
        let key: &StaticKey = &self.static_keys.of(context.identity, context.env);
        let known = Known { key: &key.pair, remote: None, prologue: &[] };
        let mut exchange = Exchange::start(pipe, role, context.env, VARIANT, &known)?;
        let muxers = &context.muxers[..context.muxers.len().min(MAX_MUXERS)];
        let ours = encode_payload(context.identity, &key.signature, muxers);
        let theirs = match role {
            Role::Dialer => {
                exchange.send(&[], "sending message 1").await?;
                let theirs = exchange.receive("reading message 2").await?;
                let theirs = introduced(&exchange, &theirs)?;
                exchange.send(&ours, "sending message 3").await?;
                theirs
            }
            Role::Listener => {
                // Message 1 is not yet encrypted, and nothing in it is for us.
                exchange.receive("reading message 1").await?;
                exchange.send(&ours, "sending message 2").await?;
                let theirs = exchange.receive("reading message 3").await?;
                introduced(&exchange, &theirs)?
            }
        };
        let muxer = agreed_muxer(role, muxers, &theirs.muxers);
        let claims = Claims::default().with_role(trusted.role_of(&theirs.key));
        let binding = exchange.binding();
        let channel = exchange.channel(role);
        let secured = SecuredPipe::new(Box::new(channel), theirs.key).with_muxer(muxer);
        Ok(secured.after(1).with_claims(claims).with_binding(binding))
    }
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noise")
    }
}

#[async_trait]
impl Security for Noise {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn id(&self) -> ProtocolId {
        Self::ID.into()
    }

    /// Takes less than 1 MiB, whatever the peer sends, and waits for the peer once in either role.
    ///
    /// The muxer is the first of the dialer's that the listener has too. The specification fails a handshake whose
    /// lists have nothing in common; here, as in go-libp2p, it ends without a muxer, and negotiation on the channel
    /// then fails with an error that names both sides' protocols.
    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        self.run(pipe, role, &context).await.map_err(|e| e.at(Layer::Security, Self::NAME))
    }
}

/// Proves who sent `payload`.
fn introduced(
    exchange: &Exchange,
    payload: &[u8],
    proven: &Proven,
    context: &SecurityContext<'_>,
) -> Result<Introduction> {
    let theirs = decode_payload(payload, &exchange.remote_static()?, proven)?;
    let actual = theirs.key.peer_id();
    match context.expected {
        Some(expected) if expected != actual => {
            Err(Error::new(Kind::PeerMismatch { expected, actual }, "checking the peer's id"))
        }
        _ => Ok(theirs),
    }
}

/// The dialer's preference among what both have.
fn agreed_muxer(role: Role, ours: &[ProtocolId], theirs: &[String]) -> Option<ProtocolId> {
    let we_have = |id: &String| ours.iter().find(|our| our.as_str() == id).cloned();
    match role {
        Role::Dialer => ours.iter().find(|our| theirs.iter().any(|id| id == our.as_str())).cloned(),
        Role::Listener => theirs.iter().find_map(we_have),
    }
}

#[cfg(test)]
mod tests {
    use snow::{Builder, HandshakeState};
    use stackwire_core::{Buffered, Keypair, Violation};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::{
        crypto::{KEY, TAG},
        wire::sign,
    };

    /// A peer of plain `snow` with its own primitives, which speaks the wire format by hand.
    struct Plain {
        pipe: DuplexStream,
        state: HandshakeState,
        payload: Vec<u8>,
    }

    impl Plain {
        fn new(pipe: DuplexStream, role: Role, identity: &Keypair, muxers: &[ProtocolId]) -> Self {
            let builder = Builder::new(VARIANT.protocol.parse().unwrap());
            let key = builder.generate_keypair().unwrap();
            let payload = encode_payload(identity, &sign(identity, &key.public), muxers);
            let builder = builder.local_private_key(&key.private).unwrap();
            let state = match role {
                Role::Dialer => builder.build_initiator().unwrap(),
                Role::Listener => builder.build_responder().unwrap(),
            };
            Self { pipe, state, payload }
        }

        async fn frame(pipe: &mut DuplexStream) -> Vec<u8> {
            let mut frame = vec![0; pipe.read_u16().await.unwrap().into()];
            pipe.read_exact(&mut frame).await.unwrap();
            frame
        }

        async fn send(&mut self, payload: &[u8]) {
            let mut message = vec![0; 65535];
            let n = self.state.write_message(payload, &mut message).unwrap();
            self.pipe.write_u16(n as u16).await.unwrap();
            self.pipe.write_all(&message[..n]).await.unwrap();
        }

        async fn receive(&mut self) -> Vec<u8> {
            let mut payload = vec![0; 65535];
            let n = self.state.read_message(&Self::frame(&mut self.pipe).await, &mut payload).unwrap();
            payload.truncate(n);
            payload
        }

        /// The handshake, then data one way and back. Returns what the other side told of itself.
        async fn run(mut self) -> Introduction {
            let payload = self.payload.clone();
            let theirs = if self.state.is_initiator() {
                self.send(&[]).await;
                let theirs = self.receive().await;
                self.send(&payload).await;
                theirs
            } else {
                assert!(self.receive().await.is_empty(), "message 1 has no payload");
                self.send(&payload).await;
                self.receive().await
            };
            let theirs = decode_payload(
                &theirs,
                self.state.get_remote_static().unwrap().try_into().unwrap(),
                &Proven::default(),
            )
            .unwrap();
            let mut transport = self.state.into_transport_mode().unwrap();
            let (mut frame, mut text) = (vec![0; 65535], vec![0; 65535]);
            let n = transport.write_message(b"from snow", &mut frame).unwrap();
            self.pipe.write_u16(n as u16).await.unwrap();
            self.pipe.write_all(&frame[..n]).await.unwrap();
            let n = transport.read_message(&Self::frame(&mut self.pipe).await, &mut text).unwrap();
            assert_eq!(&text[..n], b"to snow");
            theirs
        }
    }

    async fn meets_plain_snow(role: Role) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let us = Keypair::ed25519_from_seed([1; 32]);
        let them = Keypair::ed25519_from_seed([2; 32]);
        let muxers = ["/a", "/b"].map(ProtocolId::new);
        let reversed = ["/b", "/a"].map(ProtocolId::new);
        let plain = Plain::new(theirs, role.other(), &them, &reversed).run();

        let env = stackwire_conformance::env();
        let context = SecurityContext::new(&us, &env).expecting(them.peer_id()).with_muxers(&muxers);
        let noise = Noise::new();
        let ours = async {
            let mut secured = noise.handshake(Box::new(Buffered::new(ours)), role, context).await.unwrap();
            secured.pipe.write_all(b"to snow").await.unwrap();
            secured.pipe.flush().await.unwrap();
            let mut data = [0; 9];
            secured.pipe.read_exact(&mut data).await.unwrap();
            assert_eq!(&data, b"from snow");
            secured
        };
        let (secured, theirs) = futures::future::join(ours, plain).await;
        assert_eq!((&secured.peer, secured.round_trips), (them.public(), 1));
        assert_eq!(secured.muxer.unwrap().as_str(), if role == Role::Dialer { "/a" } else { "/b" });
        assert_eq!(theirs, Introduction { key: us.public().clone(), muxers: vec!["/a".into(), "/b".into()] });
    }

    #[tokio::test]
    async fn dials_a_peer_with_other_primitives() {
        meets_plain_snow(Role::Dialer).await;
    }

    #[tokio::test]
    async fn answers_a_peer_with_other_primitives() {
        meets_plain_snow(Role::Listener).await;
    }

    #[tokio::test]
    async fn a_key_that_no_secret_can_be_agreed_on_with_is_the_peers_fault() {
        for (role, length) in [(Role::Listener, KEY), (Role::Dialer, 2 * (KEY + TAG))] {
            let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
            theirs.write_u16(length as u16).await.unwrap();
            theirs.write_all(&vec![0; length]).await.unwrap();
            let us = Keypair::ed25519_from_seed([1; 32]);
            let env = stackwire_conformance::env();
            let context = SecurityContext::new(&us, &env);
            let result = Noise::new().handshake(Box::new(Buffered::new(ours)), role, context).await;
            assert_eq!(result.err().unwrap().kind(), &Kind::PeerMisbehaved(Violation::Malformed), "{role:?}");
        }
    }

    #[tokio::test]
    async fn a_signature_of_somebody_else_is_refused() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let [us, them, other] = [1, 2, 3].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
        let mut plain = Plain::new(theirs, Role::Listener, &them, &[]);
        // The key of one, and the signature of another.
        plain.payload = encode_payload(&other, &sign(&them, &[0; KEY]), &[]);
        let env = stackwire_conformance::env();
        let context = SecurityContext::new(&us, &env).expecting(other.peer_id());
        let answer = async {
            plain.receive().await;
            let payload = plain.payload.clone();
            plain.send(&payload).await;
        };
        let noise = Noise::new();
        let handshake = noise.handshake(Box::new(Buffered::new(ours)), Role::Dialer, context);
        let (result, ()) = futures::future::join(handshake, answer).await;
        assert_eq!(result.err().unwrap().kind(), &Kind::AuthenticationFailed);
    }
}
