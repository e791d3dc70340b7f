//! The channel without a handshake, for those who test it against peers that break it. No stable API.

use stackwire_core::BoxPipe;
use stackwire_records::{Channel, Codec};

use crate::{
    Noise,
    crypto::{FrameCipher, KEY, Suite, TAG},
    frames::Frames,
    wire::HEADER,
};

fn frames(receiving: &[u8; KEY], sending: &[u8; KEY]) -> Frames {
    let cipher = |key| FrameCipher::new(Suite::ChaChaPoly, key);
    Frames::new(cipher(receiving), cipher(sending), Noise::NAME)
}

/// A channel with these keys, before its first frame.
pub fn channel(below: BoxPipe, receiving: &[u8; KEY], sending: &[u8; KEY]) -> BoxPipe {
    Box::new(Channel::new(below, frames(receiving, sending)))
}

/// What the peer of a channel sends.
pub struct Sealer(Frames);

impl Sealer {
    /// Frames under this key.
    pub fn new(sending: &[u8; KEY]) -> Self {
        Self(frames(sending, sending))
    }

    /// The next frame, with up to 65 519 bytes of content.
    pub fn seal(&mut self, content: &[u8]) -> Vec<u8> {
        let mut frame = [&[0; HEADER], content, &[0; TAG]].concat();
        self.0.seal(&mut frame).expect("the caller's content fits into a frame");
        frame
    }
}
