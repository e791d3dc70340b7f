//! The frames of the channel after the handshake: a length of two bytes, and as much ciphertext with its tag.

use stackwire_core::{Error, FirstFrame, Kind, Result};
use stackwire_records::{
    Codec, Opened,
    framing::{LENGTH, Parts, parts, record_length},
};

use crate::{
    crypto::{FrameCipher, TAG},
    wire::{MAX_FRAME, MAX_PLAINTEXT},
};

/// Frames of both directions.
pub(crate) struct Frames {
    receiving: FrameCipher,
    sending: FrameCipher,
    plugin: &'static str,
    /// Told of the first frame that opens, where that proves the peer.
    first: Option<FirstFrame>,
    /// The first frame that we send proves us.
    awaited: bool,
}

impl Frames {
    /// Before the first frame. Errors name `plugin`.
    pub fn new(receiving: FrameCipher, sending: FrameCipher, plugin: &'static str) -> Self {
        Self { receiving, sending, plugin, first: None, awaited: false }
    }

    /// The same for a dialer whose first frame proves it.
    pub fn awaited(self) -> Self {
        Self { awaited: true, ..self }
    }

    /// The same for a listener to whom the first frame proves the dialer: it is told to `first`.
    pub fn telling(self, first: FirstFrame) -> Self {
        Self { first: Some(first), ..self }
    }

    fn opened(&mut self) {
        if let Some(first) = self.first.take() {
            first.opened();
        }
    }
}

fn altered() -> Error {
    Error::new(Kind::AuthenticationFailed, "opening a frame that was altered on the way")
}

fn used_up() -> Error {
    Error::new(Kind::LimitExceeded { limit: "frames", max: u64::MAX }, "sealing a frame")
}

impl Codec for Frames {
    const HEADER: usize = LENGTH;
    const TRAILER: usize = TAG;
    const MAX_CONTENT: usize = MAX_PLAINTEXT;
    const MAX_RECORD: usize = LENGTH + MAX_FRAME;

    fn name(&self) -> &'static str {
        self.plugin
    }

    fn seal(&mut self, record: &mut [u8]) -> Result<()> {
        let Parts { text, tag, .. } = parts(record, TAG)?;
        tag.copy_from_slice(&self.sending.seal(text).ok_or_else(used_up)?);
        self.awaited = false;
        Ok(())
    }

    fn seal_copy(&mut self, content: &[u8], record: &mut [u8]) -> Result<()> {
        let Parts { text, tag, .. } = parts(record, TAG)?;
        self.awaited = false;
        self.sending.seal_copy(content, text, tag).ok_or_else(used_up)
    }

    fn length(&self, header: &[u8]) -> Result<usize> {
        record_length(header, TAG)
    }

    fn open(&mut self, record: &mut [u8]) -> Result<Opened> {
        let length = self.receiving.open(&mut record[LENGTH..]).ok_or_else(altered)?;
        self.opened();
        Ok(Opened::Content(LENGTH..LENGTH + length))
    }

    fn open_copy(&mut self, record: &mut [u8], content: &mut [u8]) -> Result<Opened> {
        let length = self.receiving.open_copy(&record[LENGTH..], content).ok_or_else(altered)?;
        self.opened();
        Ok(Opened::Content(0..length))
    }

    fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Noise has no message that says so: what ends between frames has ended.
    fn end_of_pipe(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;
    use stackwire_core::{BoxPipe, Buffered, Violation};
    use stackwire_records::Channel;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::crypto::Suite;

    fn cipher(key: u8) -> FrameCipher {
        FrameCipher::new(Suite::ChaChaPoly, &[key; 32])
    }

    /// The frames of `messages`, each in one.
    fn frames(messages: &[&[u8]]) -> Vec<u8> {
        let mut frames = Frames::new(cipher(6), cipher(5), "noise");
        let mut out = Vec::new();
        for message in messages {
            let mut record = [&[0; LENGTH], *message, &[0; TAG]].concat();
            frames.seal(&mut record).unwrap();
            out.extend(record);
        }
        out
    }

    /// A channel that receives just these bytes.
    fn receiver(bytes: Vec<u8>) -> Channel<Frames> {
        let below = Buffered::new(tokio::io::join(std::io::Cursor::new(bytes), tokio::io::sink()));
        Channel::new(Box::new(below), Frames::new(cipher(5), cipher(6), "noise"))
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, std::io::Result<usize>) {
        let mut data = Vec::new();
        let end = block_on(receiver(bytes).read_to_end(&mut data));
        (data, end)
    }

    stackwire_conformance::record_laws!(subject);

    fn subject() -> stackwire_conformance::records::Subject {
        use stackwire_conformance::records::{Say, Subject};
        let mut frames = Frames::new(cipher(6), cipher(5), "noise");
        let seal = move |say: Say<'_>| {
            let content = match say {
                Say::Data(content) => content,
                Say::Nothing => b"",
                // There is no padding, and one key for all.
                Say::Padded(_) | Say::KeyChange(_) | Say::KeyChangeForBoth(_) => return None,
            };
            let mut frame = [&[0; LENGTH], content, &[0; TAG]].concat();
            frames.seal(&mut frame).unwrap();
            Some(frame)
        };
        let receive = |below| -> BoxPipe { Box::new(Channel::new(below, Frames::new(cipher(5), cipher(6), "noise"))) };
        Subject { name: "noise", receive: Box::new(receive), seal: Box::new(seal) }
    }

    #[test]
    fn frames_without_data_are_tolerated() {
        let (data, end) = read(frames(&[b"", b"one", b"", b"", b"two", b""]));
        assert_eq!((data.as_slice(), end.unwrap()), (b"onetwo".as_slice(), 6));
    }

    #[test]
    fn the_longest_frame_is_taken() {
        let message = vec![3; MAX_PLAINTEXT];
        let (data, end) = read(frames(&[&message, &message]));
        assert!(end.is_ok() && data == [message.clone(), message].concat());
    }

    #[test]
    fn a_frame_shorter_than_its_tag_is_the_peers_fault() {
        for length in [0, 1, 15] {
            let bytes = [&[0, length], [9; 40].as_slice()].concat();
            let error = Error::io("reading", read(bytes).1.unwrap_err());
            assert_eq!((error.kind(), error.plugin()), (&Kind::PeerMisbehaved(Violation::Malformed), Some("noise")));
        }
    }

    #[test]
    fn an_end_between_frames_is_clean() {
        assert!(read(Vec::new()).1.is_ok());
        assert!(read(frames(&[b"whole"])).1.is_ok());
    }

    #[test]
    fn an_altered_frame_fails_now_and_later() {
        let mut bytes = frames(&[b"good", b"bad", b"good"]);
        let at = LENGTH + 4 + TAG + LENGTH;
        bytes[at] ^= 1;
        let mut channel = receiver(bytes);
        let mut data = Vec::new();
        assert!(block_on(channel.read_to_end(&mut data)).is_err());
        assert_eq!(data, b"good");
        for _ in 0..2 {
            let error = Error::io("reading", block_on(channel.fill_buf()).unwrap_err());
            assert_eq!(error.kind(), &Kind::AuthenticationFailed);
            let error = Error::io("writing", block_on(channel.write_all(b"more")).unwrap_err());
            assert_eq!(error.kind(), &Kind::AuthenticationFailed, "and so does writing");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_are_never_data(bytes: Vec<u8>) {
            let empty = bytes.is_empty();
            let (data, end) = read(bytes);
            prop_assert!(data.is_empty());
            prop_assert_eq!(end.is_ok(), empty);
        }

        /// Sealing and opening from one place to another is the same as where a frame lies.
        #[test]
        fn copies_are_sealed_and_opened_as_in_place(content in prop::collection::vec(any::<u8>(), 1..3000)) {
            let frames = || Frames::new(cipher(5), cipher(5), "noise");
            let (mut one, mut other) = (frames(), frames());
            for _ in 0..2 {
                let mut in_place = [&[0; LENGTH], &content[..], &[0; TAG]].concat();
                one.seal(&mut in_place).unwrap();
                let mut apart = vec![0xff; in_place.len()];
                other.seal_copy(&content, &mut apart).unwrap();
                prop_assert_eq!(&apart, &in_place);
                let mut out = vec![0xff; apart.len() - LENGTH];
                prop_assert_eq!(one.open_copy(&mut apart, &mut out).unwrap(), Opened::Content(0..content.len()));
                prop_assert_eq!(&out[..content.len()], &content[..]);
                apart[LENGTH] ^= 1;
                prop_assert!(other.open_copy(&mut apart, &mut out).is_err());
                other = frames();
                other.seal(&mut in_place).unwrap();
            }
        }

        #[test]
        fn every_way_of_framing_gives_the_same_bytes(messages: Vec<Vec<u8>>) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let (data, end) = read(frames(&messages));
            prop_assert!(end.is_ok());
            prop_assert_eq!(data, messages.concat());
        }
    }
}
