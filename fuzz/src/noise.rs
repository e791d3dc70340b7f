//! A Noise peer of plain `snow`, whose keys are always the same.

use snow::{
    Builder, Error, HandshakeState,
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use stackwire_core::{BoxPipe, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{THEM, field};

const STATIC: [u8; 32] = [3; 32];
const EPHEMERAL: [u8; 32] = [4; 32];

/// The payload of an honest peer that offers yamux.
pub fn payload() -> Vec<u8> {
    let mut key = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("snow has X25519");
    key.set(&STATIC).expect("32 bytes are a key");
    let signature = THEM.sign(&[b"noise-libp2p-static-key:", key.pubkey()].concat());
    [field(1, &THEM.public().encode()), field(2, &signature), field(4, &field(2, b"/yamux/1.0.0"))].concat()
}

/// Sends and receives frames.
pub struct Peer {
    /// The peer's end.
    pub pipe: BoxPipe,
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

    /// Runs its side of the handshake with `payload` in its last message.
    pub async fn handshake(mut self, payload: &[u8]) -> std::io::Result<Channel> {
        while !self.state.is_handshake_finished() {
            let mut message = vec![0; 65535];
            if self.state.is_my_turn() {
                let first = self.state.is_initiator() && !self.state.was_write_payload_encrypted();
                let n = self.state.write_message(if first { &[] } else { payload }, &mut message);
                send(&mut self.pipe, &message[..n.map_err(std::io::Error::other)?]).await?;
            } else {
                let length = self.pipe.read_u16().await?;
                let mut frame = vec![0; length.into()];
                self.pipe.read_exact(&mut frame).await?;
                self.state.read_message(&frame, &mut message).map_err(std::io::Error::other)?;
            }
        }
        Ok(Channel { pipe: self.pipe, state: self.state.into_transport_mode().map_err(std::io::Error::other)? })
    }
}
