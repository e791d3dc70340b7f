//! Messages of multistream-select on the wire.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{Error, Kind, ProtocolId, Result, Violation};
use tokio::io::AsyncBufRead;

/// The first message of both sides, complete.
pub(crate) const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";
/// The text of [`HEADER`].
const HEADER_TEXT: &[u8] = b"/multistream/1.0.0";
/// “Not available.”
pub(crate) const NA: &[u8] = b"na";
/// “I dial, too”, before the first offer.
pub(crate) const SIMULTANEOUS: &[u8] = b"/libp2p/simultaneous-connect";
/// The longest message we take or make, newline included: what go-libp2p and js-libp2p take.
pub(crate) const MAX_MESSAGE: usize = 1024;

/// Appends one message.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(unsigned_varint::encode::usize(text.len() + 1, &mut unsigned_varint::encode::usize_buffer()));
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Checks the first message of the other side.
pub(crate) fn expect_header(message: Option<Vec<u8>>) -> Result<()> {
    match message.as_deref() {
        Some(HEADER_TEXT) => Ok(()),
        Some(_) => Err(Error::violated(Violation::OutOfOrder, "the peer does not begin with /multistream/1.0.0")),
        None => Err(Error::closed("the peer left before it negotiated")),
    }
}

/// Whether the answer accepts `offer`; anything but an echo or `na` is the peer's fault.
pub(crate) fn check_answer(offer: &ProtocolId, answer: Option<Vec<u8>>) -> Result<bool> {
    match answer.as_deref() {
        Some(answer) if answer == offer.as_str().as_bytes() => Ok(true),
        Some(NA) => Ok(false),
        Some(SIMULTANEOUS) => Err(both_dialed()),
        Some(_) => Err(Error::violated(
            Violation::WrongAnswer,
            format!("an answer to {offer} that neither accepts nor refuses it"),
        )),
        None => Err(Error::closed(format!("the peer left instead of answering {offer}"))),
    }
}

/// The error of two dialers on one channel: nobody's fault.
pub(crate) fn both_dialed() -> Error {
    Error::new(Kind::SimultaneousOpen, "negotiating a protocol")
}

/// Collects one message, however it is cut up, and takes not a byte more than it from the pipe.
#[derive(Default)]
pub(crate) struct MessageReader {
    length: Option<usize>,
    bytes: Vec<u8>,
}

impl MessageReader {
    /// The next message without its newline; `None` where the pipe ended before its first byte.
    ///
    /// Fails with `PeerMisbehaved` for a length of 0, over [`MAX_MESSAGE`], or that is not a minimal varint, a
    /// missing newline, and an end within a message. Cancel-safe: what was read is kept for the next poll.
    pub(crate) fn poll(
        &mut self,
        pipe: &mut (impl AsyncBufRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>>> {
        loop {
            let available = ready!(Pin::new(&mut *pipe).poll_fill_buf(cx))
                .map_err(|e| Error::io("reading a negotiation message", e))?;
            let Some(&first) = available.first() else {
                return Poll::Ready(if self.length.is_none() && self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(Error::violated(Violation::Truncated, "the pipe ended within a negotiation message"))
                });
            };
            let Some(length) = self.length else {
                self.bytes.push(first);
                Pin::new(&mut *pipe).consume(1);
                if first & 0x80 == 0 {
                    self.length = Some(decode_length(&self.bytes)?);
                    self.bytes.clear();
                } else if self.bytes.len() == 2 {
                    return Poll::Ready(Err(Error::violated(
                        Violation::TooLarge,
                        "a negotiation message over 1024 bytes",
                    )));
                }
                continue;
            };
            let n = available.len().min(length - self.bytes.len());
            self.bytes.extend_from_slice(&available[..n]);
            Pin::new(&mut *pipe).consume(n);
            if self.bytes.len() == length {
                self.length = None;
                let mut message = std::mem::take(&mut self.bytes);
                return Poll::Ready(match message.pop() {
                    Some(b'\n') => Ok(Some(message)),
                    _ => Err(Error::misbehaved("a negotiation message without its newline")),
                });
            }
        }
    }
}

fn decode_length(bytes: &[u8]) -> Result<usize> {
    match unsigned_varint::decode::usize(bytes) {
        Ok((0, _)) => Err(Error::misbehaved("an empty negotiation message")),
        Ok((length, _)) if length > MAX_MESSAGE => {
            Err(Error::violated(Violation::TooLarge, "a negotiation message over 1024 bytes"))
        }
        Ok((length, _)) => Ok(length),
        Err(e) => Err(Error::misbehaved("a negotiation length that is not a minimal varint").caused_by(e)),
    }
}
