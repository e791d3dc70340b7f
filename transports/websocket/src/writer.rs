//! The write side: writes are gathered into one open frame, which is sealed when it is full or must leave.

use std::io::IoSlice;

use stackwire_core::{Env, Role, total_len};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::wire::{MAX_CONTROL, apply_mask, header};

/// The longest frame we send, in bytes of payload: the most that a 16-bit length can say.
pub(crate) const MAX_FRAME: usize = u16::MAX as usize;

/// Turns writes into frames. No I/O. Holds less than two frames.
#[derive(Debug)]
pub(crate) struct Writer {
    role: Role,
    env: Env,
    /// Frames, the last one perhaps still open.
    out: Vec<u8>,
    /// Everything before it was sent.
    sent: usize,
    /// Where the room for the header of the open frame begins.
    open: Option<usize>,
}

impl Writer {
    pub fn new(role: Role, env: Env) -> Self {
        Self { role, env, out: Vec::new(), sent: 0, open: None }
    }

    /// The header of a frame of 126 bytes to 64 KiB.
    fn header_size(&self) -> usize {
        match self.role {
            Role::Dialer => 8,
            Role::Listener => 4,
        }
    }

    /// Whether something must be sent before more is taken.
    pub fn is_full(&self) -> bool {
        self.out.len() - self.sent >= MAX_FRAME
    }

    /// Takes what fits into the open frame, from all slices, and returns how much that was: 0 only if there is
    /// nothing to take or the writer is full.
    pub fn push(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let total = total_len(slices);
        if total == 0 || self.is_full() {
            return 0;
        }
        let header = self.header_size();
        let open = match self.open {
            Some(open) => open,
            None => {
                let open = self.out.len();
                self.out.reserve(header + total.min(MAX_FRAME));
                self.out.resize(open + header, 0);
                self.open = Some(open);
                open
            }
        };
        let mut room = MAX_FRAME - (self.out.len() - open - header);
        let taken = total.min(room);
        self.out.reserve(taken);
        for slice in slices {
            let part = &slice[..slice.len().min(room)];
            self.out.extend_from_slice(part);
            room -= part.len();
        }
        taken
    }

    /// Closes the open frame, so that all of [`unsent`](Self::unsent) may leave.
    pub fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        let room = self.header_size();
        let payload = self.out.len() - open - room;
        let mask = self.mask();
        let (header, size) = header(OpCode::Data(Data::Binary), mask, payload);
        if let Some(key) = mask {
            apply_mask(&mut self.out[open + room..], key);
        }
        // A frame of up to 125 bytes has a header that is two bytes shorter: it moves up.
        self.out[open..open + size].copy_from_slice(&header[..size]);
        self.out.drain(open + size..open + room);
    }

    /// Appends a pong with what the ping said.
    pub fn pong(&mut self, payload: &[u8]) {
        self.control(Control::Pong, payload);
    }

    /// Appends a close frame with a status.
    pub fn close(&mut self, status: u16) {
        self.control(Control::Close, &status.to_be_bytes());
    }

    fn control(&mut self, control: Control, payload: &[u8]) {
        self.seal();
        let payload = &payload[..payload.len().min(MAX_CONTROL)];
        let mask = self.mask();
        let (header, size) = header(OpCode::Control(control), mask, payload.len());
        self.out.extend_from_slice(&header[..size]);
        let start = self.out.len();
        self.out.extend_from_slice(payload);
        if let Some(key) = mask {
            apply_mask(&mut self.out[start..], key);
        }
    }

    /// Who dialed masks every frame with a key that the application cannot guess (RFC 6455, section 5.3).
    fn mask(&self) -> Option<[u8; 4]> {
        (self.role == Role::Dialer).then(|| self.env.random())
    }

    /// What is to be sent; call [`seal`](Self::seal) first.
    pub fn unsent(&self) -> &[u8] {
        debug_assert!(self.open.is_none());
        &self.out[self.sent..]
    }

    /// `n` bytes of it were sent.
    pub fn sent(&mut self, n: usize) {
        self.sent += n;
        if self.sent >= self.out.len() {
            // An idle connection keeps no buffer.
            (self.out, self.sent) = (Vec::new(), 0);
        } else if self.sent > MAX_FRAME {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_conformance::env;

    use super::*;
    use crate::reader::{Event, Reader};

    /// Writes the chunks, sealing where told, sends in pieces of `piece`, and returns what the other side reads.
    fn through(role: Role, chunks: &[(Vec<u8>, bool)], piece: usize) -> Vec<u8> {
        let mut writer = Writer::new(role, env());
        let mut wire = Vec::new();
        let mut send = |writer: &mut Writer, all: bool| {
            writer.seal();
            while !writer.unsent().is_empty() && (all || writer.is_full()) {
                let n = writer.unsent().len().min(piece);
                wire.extend_from_slice(&writer.unsent()[..n]);
                writer.sent(n);
            }
        };
        for (chunk, seal) in chunks {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let (a, b) = rest.split_at(rest.len() / 2);
                let n = writer.push(&[IoSlice::new(a), IoSlice::new(b)]);
                rest = &rest[n..];
                if writer.is_full() {
                    send(&mut writer, false);
                }
            }
            if *seal {
                send(&mut writer, true);
            }
            assert!(writer.out.len() < 4 * MAX_FRAME, "what was sent is forgotten");
        }
        send(&mut writer, true);
        assert_eq!(writer.out.capacity(), 0);

        let mut reader = Reader::new(role.other(), u64::MAX, wire);
        let mut payload = Vec::new();
        while reader.advance().unwrap() == Event::Data {
            payload.extend_from_slice(reader.ready());
            reader.consume(usize::MAX);
        }
        payload
    }

    #[test]
    fn frames_of_every_length_form() {
        for role in [Role::Dialer, Role::Listener] {
            for length in [1, 125, 126, 127, MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 3 * MAX_FRAME + 5] {
                let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
                assert_eq!(through(role, &[(data.clone(), true)], 1000), data);
            }
        }
    }

    #[test]
    fn slices_are_gathered_into_one_frame() {
        let mut writer = Writer::new(Role::Listener, env());
        assert_eq!(writer.push(&[IoSlice::new(b"He"), IoSlice::new(b""), IoSlice::new(b"ll")]), 4);
        assert_eq!(writer.push(&[IoSlice::new(b"o")]), 1);
        writer.seal();
        assert_eq!(writer.unsent(), b"\x82\x05Hello");
    }

    proptest! {
        #[test]
        fn the_bytes_do_not_depend_on_the_chunks(
            chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..3000), any::<bool>()), 0..60),
            piece in 1usize..100_000,
        ) {
            let whole: Vec<u8> = chunks.iter().flat_map(|(chunk, _)| chunk.iter().copied()).collect();
            for role in [Role::Dialer, Role::Listener] {
                prop_assert_eq!(&through(role, &chunks, piece), &whole);
            }
        }
    }
}
