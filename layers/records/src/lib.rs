//! Sealed records: the byte path of every security channel.
//!
//! ```text
//!  write ─▶ gathered behind each other, record by record ─▶ sealed where they lie ─▶ one large write      one copy
//!  one large read ─▶ opened where they lie ─▶ lent to the reader                                          no copy
//! ```
//!
//! A security protocol says by its [`Codec`] how a record looks and what opens and seals it; [`Channel`] does the rest.
//! Buffers are shared by all channels and held only while there is something in them, see
//! [`stackwire_core::buffer`].

mod changes;
mod channel;
pub mod framing;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::ops::Range;

pub use changes::KeyChanges;
pub use channel::Channel;
use stackwire_core::{Error, Result, Violation};

/// How many records without content may follow each other: each is work, and none is progress. More than any stack sends.
pub const MAX_EMPTY: u32 = 32;

/// Records of one protocol, in both directions, in their order.
///
/// A record is a header of [`Codec::HEADER`] bytes, the content, and [`Codec::TRAILER`] bytes: a tag, or whatever else
/// the protocol puts there. Errors need not say where they come from: the channel adds the plug-in's name.
///
/// Once a record could not be sealed nothing more is sent, and every later write fails with the same error: the peer
/// sees a channel that was cut. What [`Codec::seal_end`], [`Codec::speak`] and [`Codec::fail`] append has up to 512
/// bytes of room together; more makes the channel take more memory than it says.
///
/// A codec's unit tests call `record_laws!` of the conformance suite: they alone can seal what no honest peer sends.
pub trait Codec: Send + Unpin + 'static {
    /// Bytes in front of the content.
    const HEADER: usize;
    /// Bytes behind the content, where we are the sender.
    const TRAILER: usize;
    /// The most content of a record we send.
    const MAX_CONTENT: usize;
    /// The longest record taken, header and all; at most a quarter of a [large buffer](stackwire_core::Buffer::LARGE).
    const MAX_RECORD: usize;

    /// The plug-in that errors name.
    fn name(&self) -> &'static str;

    /// Makes a record of content where it lies, between room for the header and room for the trailer. There is some, unless
    /// the codec [is awaited](Codec::is_awaited). Fails where the key has been used up.
    fn seal(&mut self, record: &mut [u8]) -> Result<()>;

    /// Makes a record of `content` that lies elsewhere; `record` is as long as it is to be, and holds anything.
    fn seal_copy(&mut self, content: &[u8], record: &mut [u8]) -> Result<()> {
        record[Self::HEADER..][..content.len()].copy_from_slice(content);
        self.seal(record)
    }

    /// Appends what tells the peer that no content follows, if there is such a thing.
    fn seal_end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// The length of the record with this header, header and all; more than it and at most [`Codec::MAX_RECORD`].
    /// Fails with `PeerMisbehaved` where there is no such record.
    fn length(&self, header: &[u8]) -> Result<usize>;

    /// Decrypts the next record where it lies. Fails with `AuthenticationFailed` where it was altered, with
    /// `PeerMisbehaved` where it makes no sense, and with whatever the peer says went wrong.
    fn open(&mut self, record: &mut [u8]) -> Result<Opened>;

    /// The same, into `content`, which is as long as the record without its header. The range is one of `content`.
    fn open_copy(&mut self, record: &mut [u8], content: &mut [u8]) -> Result<Opened> {
        let opened = self.open(record)?;
        let Opened::Content(range) = opened else { return Ok(opened) };
        content[..range.len()].copy_from_slice(&record[range.clone()]);
        Ok(Opened::Content(0..range.len()))
    }

    /// What it means that more than [`MAX_EMPTY`] records without content have followed each other.
    fn too_many_empty(&self) -> Error {
        Error::violated(Violation::Flood, "one record after the other without data")
    }

    /// What it means that the pipe below ends between two records: `Ok` if that is a proper end.
    fn end_of_pipe(&self) -> Result<()>;

    /// Whether the peer waits for our first record, content or not: it proves us. Where nothing else is to be sent, one
    /// without content goes out at the next flush, or by whoever reads. Asked often.
    fn is_awaited(&self) -> bool {
        false
    }

    /// Whether the protocol itself has something to say, which [`Codec::speak`] seals. It is sent with the next bytes,
    /// or by whoever reads if none wait to be sent. Asked often.
    fn has_to_speak(&self) -> bool {
        false
    }

    /// Appends what the protocol itself has to say, before the next content. Called only where there is something.
    fn speak(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// The channel has failed, by an error of [`Codec::length`] or [`Codec::open`]: appends what the peer is told. It is
    /// sent as far as that goes without waiting. Called once at most.
    fn fail(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }
}

/// What a record held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Content, possibly none: these bytes of the record.
    Content(Range<usize>),
    /// The peer sends no more.
    End,
}
