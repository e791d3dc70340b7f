//! Handshake messages over a pipe, of whichever pattern.

use snow::{Builder, HandshakeState};
use stackwire_core::{BoxPipe, Env, Error, FirstFrame, Kind, Proof, Result, Role, Violation, exchange};
use stackwire_records::Channel;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::{
    crypto::{FrameCipher, KEY, KeyPair, Primitives, Suite, TAG},
    frames::Frames,
    wire::{HEADER, MAX_FRAME},
};

/// What a message holds at most besides its payload: two keys and two tags.
const OVERHEAD: usize = 2 * (KEY + TAG);

/// One of the Noise protocols of this crate.
#[derive(Clone, Copy)]
pub(crate) struct Variant {
    /// The name that errors bear.
    pub plugin: &'static str,
    /// The name in the Noise specification.
    pub protocol: &'static str,
    /// The cipher of `protocol`.
    pub suite: Suite,
}

/// What a side knows before the first message.
pub(crate) struct Known<'a> {
    /// Our static key.
    pub key: &'a KeyPair,
    /// The peer's static key, for the dialer of IK.
    pub remote: Option<&'a [u8; KEY]>,
    /// What both sides must have seen alike.
    pub prologue: &'a [u8],
}

/// A handshake under way.
pub(crate) struct Exchange {
    pipe: BoxPipe,
    state: HandshakeState,
    variant: Variant,
}

impl Exchange {
    /// A handshake before its first message.
    pub fn start(pipe: BoxPipe, role: Role, env: &Env, variant: Variant, known: &Known<'_>) -> Result<Self> {
        let broken = |e: snow::Error| Error::new(Kind::Internal, "starting the handshake").caused_by(e);
        let protocol = variant.protocol.parse().map_err(broken)?;
        let primitives = Primitives { env: env.clone(), known: known.key.clone() };
        let mut builder = Builder::with_resolver(protocol, Box::new(primitives))
            .local_private_key(known.key.private())
            .and_then(|builder| builder.prologue(known.prologue))
            .map_err(broken)?;
        if let Some(remote) = known.remote {
            builder = builder.remote_public_key(remote).map_err(broken)?;
        }
        let state = match role {
            Role::Dialer => builder.build_initiator(),
            Role::Listener => builder.build_responder(),
        };
        Ok(Self { pipe, state: state.map_err(broken)?, variant })
    }

    /// Sends the next message with `payload`, behind its length.
    pub async fn send(&mut self, payload: &[u8], during: &'static str) -> Result<()> {
        let mut frame = vec![0; HEADER];
        self.write(payload, &mut frame, during)?;
        let length =
            u16::try_from(frame.len() - HEADER).map_err(|e| Error::new(Kind::Internal, during).caused_by(e))?;
        frame[..HEADER].copy_from_slice(&length.to_be_bytes());
        self.send_bytes(&frame, during).await
    }

    /// Appends the next message with `payload` to `out`.
    pub fn write(&mut self, payload: &[u8], out: &mut Vec<u8>, during: &'static str) -> Result<()> {
        let start = out.len();
        out.resize(start + (payload.len() + OVERHEAD).min(MAX_FRAME), 0);
        let length = self.state.write_message(payload, &mut out[start..]).map_err(|e| {
            let kind = match e {
                // The peer's public key is one of the few that no secret can be agreed on with.
                snow::Error::Dh => Kind::PeerMisbehaved(Violation::Malformed),
                _ => Kind::Internal,
            };
            Error::new(kind, during).caused_by(e)
        })?;
        out.truncate(start + length);
        Ok(())
    }

    /// Sends `bytes` as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8], during: &'static str) -> Result<()> {
        exchange::send(&mut self.pipe, bytes, during).await
    }

    /// Reads the next message behind its length, takes exactly its bytes from the pipe, and returns its payload.
    pub async fn receive(&mut self, during: &'static str) -> Result<Vec<u8>> {
        let length = self.receive_length(during).await?;
        self.receive_bytes(length, during).await
    }

    /// Reads the length of the next message.
    pub async fn receive_length(&mut self, during: &'static str) -> Result<usize> {
        self.pipe.read_u16().await.map(usize::from).map_err(|e| Error::io(during, e))
    }

    /// Reads the next message, which has `length` bytes, and returns its payload.
    pub async fn receive_bytes(&mut self, length: usize, during: &'static str) -> Result<Vec<u8>> {
        let message = exchange::receive(&mut self.pipe, length, during).await?;
        self.read(&message, during)
    }

    /// Opens the next message and returns its payload.
    pub fn read(&mut self, message: &[u8], during: &'static str) -> Result<Vec<u8>> {
        let mut payload = vec![0; message.len()];
        let length = self.state.read_message(message, &mut payload).map_err(|e| {
            let kind = match e {
                snow::Error::Decrypt => Kind::AuthenticationFailed,
                _ => Kind::PeerMisbehaved(Violation::Malformed),
            };
            Error::new(kind, during).caused_by(e)
        })?;
        payload.truncate(length);
        Ok(payload)
    }

    /// The peer's static key, once a message told it.
    pub fn remote_static(&self) -> Result<[u8; KEY]> {
        let key = self.state.get_remote_static().and_then(|key| key.try_into().ok());
        key.ok_or_else(|| Error::misbehaved("a handshake without a static key"))
    }

    /// What names a finished handshake: the hash of all that was said in it (Noise, "Channel binding"). `None` before its
    /// last message.
    pub fn binding(&self) -> Option<[u8; 32]> {
        let hash = self.state.is_handshake_finished().then(|| self.state.get_handshake_hash());
        hash.and_then(|hash| hash.try_into().ok())
    }

    /// The channel that a finished handshake leads to.
    pub fn channel(self, role: Role) -> Channel<Frames> {
        self.channel_of(role, |frames| frames)
    }

    /// The same where the dialer's first frame is what proves it, and what proves the peer to this side.
    pub fn unproven_channel(self, role: Role) -> (Channel<Frames>, Proof) {
        match role {
            Role::Dialer => (self.channel_of(role, Frames::awaited), Proof::Complete),
            Role::Listener => {
                let first = FirstFrame::default();
                let channel = self.channel_of(role, |frames| frames.telling(first.clone()));
                (channel, Proof::WithFirstFrame(first))
            }
        }
    }

    fn channel_of(mut self, role: Role, with: impl FnOnce(Frames) -> Frames) -> Channel<Frames> {
        // Noise's `Split`: the first key is the dialer's to send with, the second the listener's.
        let (first, second) = self.state.dangerously_get_raw_split();
        let (first, second) = (Zeroizing::new(first), Zeroizing::new(second));
        let (sending, receiving) = match role {
            Role::Dialer => (first, second),
            Role::Listener => (second, first),
        };
        let cipher = |key| FrameCipher::new(self.variant.suite, key);
        let frames = Frames::new(cipher(&receiving), cipher(&sending), self.variant.plugin);
        Channel::new(self.pipe, with(frames))
    }
}
