//! A Noise peer of plain `snow`, whose keys are always the same.

use std::{io, sync::LazyLock};

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use snow::{
    Builder, Error, HandshakeState, TransportState,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::{CryptoResolver, DefaultResolver},
    types::{Cipher, Dh, Hash, Random},
};
use stackwire_core::{BoxPipe, Role};
use stackwire_security_noise::raw::Sealer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Step, THEM, field};

const MAX_FRAME: usize = 65535;
const STATIC: [u8; 32] = [3; 32];
const EPHEMERAL: [u8; 32] = [4; 32];

/// The payload of an honest peer that offers yamux.
pub static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let signature = THEM.sign(&[&b"noise-libp2p-static-key:"[..], &public(&STATIC)].concat());
    [field(1, &THEM.public().encode()), field(2, &signature), field(4, &field(2, b"/yamux/1.0.0"))].concat()
});

/// The public half of an X25519 key.
pub fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut key = Agreement::default();
    key.set(private);
    key.public
}

/// A builder whose X25519 is aws-lc's: snow's own is slow where it is instrumented.
pub fn builder(protocol: &str) -> Result<Builder<'static>, Error> {
    Ok(Builder::with_resolver(protocol.parse()?, Box::new(Resolver)))
}

struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }
    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(Agreement::default()))
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

#[derive(Default)]
struct Agreement {
    private: [u8; 32],
    public: [u8; 32],
}

impl Agreement {
    fn key(&self) -> PrivateKey {
        PrivateKey::from_private_key(&X25519, &self.private).expect("every 32 bytes are a key")
    }
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, private: &[u8]) {
        self.private.copy_from_slice(private);
        let public = self.key().compute_public_key().expect("a key has a public half");
        self.public.copy_from_slice(public.as_ref());
    }
    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut private = [0; 32];
        random.try_fill_bytes(&mut private)?;
        self.set(&private);
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.public
    }
    fn privkey(&self) -> &[u8] {
        &self.private
    }
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        agree(&self.key(), UnparsedPublicKey::new(&X25519, &public[..32]), Error::Dh, |shared| {
            out[..32].copy_from_slice(shared);
            Ok(())
        })
    }
}

/// What a peer says behind a handshake, sealed by `sealer`; then it ends its half.
pub async fn follow(mut pipe: BoxPipe, mut sealer: Sealer, steps: &[Step<'_>]) -> io::Result<BoxPipe> {
    for step in steps {
        match step {
            Step::Sealed(bytes) => pipe.write_all(&sealer.seal(bytes)).await?,
            Step::Raw(bytes) => pipe.write_all(bytes).await?,
        }
    }
    pipe.shutdown().await?;
    Ok(pipe)
}

/// A peer before the handshake.
pub struct Peer {
    pipe: BoxPipe,
    state: HandshakeState,
}

impl Peer {
    /// A peer in `role` that has not spoken yet.
    pub fn new(pipe: BoxPipe, role: Role) -> Result<Self, Error> {
        let builder = builder("Noise_XX_25519_ChaChaPoly_SHA256")?
            .local_private_key(&STATIC)?
            .fixed_ephemeral_key_for_testing_only(&EPHEMERAL);
        let state = match role {
            Role::Dialer => builder.build_initiator()?,
            Role::Listener => builder.build_responder()?,
        };
        Ok(Self { pipe, state })
    }

    /// Runs its side of the handshake with `payload` in the message that introduces it.
    pub async fn handshake(mut self, payload: &[u8]) -> io::Result<Channel> {
        let mut buffer = vec![0; MAX_FRAME];
        // A dialer's first message introduces nobody.
        let mut anonymous = self.state.is_initiator();
        while !self.state.is_handshake_finished() {
            if self.state.is_my_turn() {
                let payload = if std::mem::take(&mut anonymous) { &[] } else { payload };
                let n = self.state.write_message(payload, &mut buffer).map_err(io::Error::other)?;
                send(&mut self.pipe, &buffer[..n]).await?;
            } else {
                let mut frame = vec![0; self.pipe.read_u16().await?.into()];
                self.pipe.read_exact(&mut frame).await?;
                self.state.read_message(&frame, &mut buffer).map_err(io::Error::other)?;
            }
        }
        Ok(Channel { pipe: self.pipe, state: self.state.into_transport_mode().map_err(io::Error::other)? })
    }
}

/// A peer after the handshake.
pub struct Channel {
    pipe: BoxPipe,
    state: TransportState,
}

impl Channel {
    /// Does what `steps` say and ends its half.
    pub async fn follow(&mut self, steps: &[Step<'_>]) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Sealed(bytes) => {
                    let mut frame = vec![0; MAX_FRAME];
                    let n = self.state.write_message(bytes, &mut frame).map_err(io::Error::other)?;
                    send(&mut self.pipe, &frame[..n]).await?;
                }
                Step::Raw(bytes) => self.pipe.write_all(bytes).await?,
            }
        }
        self.pipe.shutdown().await
    }
}

async fn send(pipe: &mut BoxPipe, frame: &[u8]) -> io::Result<()> {
    let length = u16::try_from(frame.len()).map_err(io::Error::other)?;
    pipe.write_all(&[&length.to_be_bytes(), frame].concat()).await
}
