//! A Noise peer of plain `snow`, whose keys are always the same.

use std::io;

use snow::{
    Builder, Error, HandshakeState, TransportState,
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use stackwire_core::{BoxPipe, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Step, THEM, field};

const MAX_FRAME: usize = 65535;
const STATIC: [u8; 32] = [3; 32];
const EPHEMERAL: [u8; 32] = [4; 32];

/// The payload of an honest peer that offers yamux.
pub fn payload() -> Vec<u8> {
    let mut key = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("snow has X25519");
    key.set(&STATIC);
    let signature = THEM.sign(&[b"noise-libp2p-static-key:", key.pubkey()].concat());
    [field(1, &THEM.public().encode()), field(2, &signature), field(4, &field(2, b"/yamux/1.0.0"))].concat()
}

/// A peer before the handshake.
pub struct Peer {
    pipe: BoxPipe,
    state: HandshakeState,
}

impl Peer {
    /// A peer in `role` that has not spoken yet.
    pub fn new(pipe: BoxPipe, role: Role) -> Result<Self, Error> {
        let builder = Builder::new("Noise_XX_25519_ChaChaPoly_SHA256".parse()?)
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
