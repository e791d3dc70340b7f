//! Length-delimited messages on a pipe: an unsigned varint, then that many bytes.

use std::io;

use prost::Message;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Error, Result, Violation};

/// Reads one message of at most `max` bytes and takes exactly its bytes from the pipe. `None` at a clean end.
///
/// A length over `max` fails before anything is stored; a length that is not a minimal varint, an end within a
/// message and bytes that do not decode are `PeerMisbehaved`. Not cancel-safe: a message read in part is lost.
pub async fn read_delimited<M: Message + Default>(
    pipe: &mut (impl AsyncBufRead + Unpin + ?Sized),
    max: usize,
) -> Result<Option<M>> {
    let Some(length) = read_length(pipe).await? else { return Ok(None) };
    if length > max {
        let error = Error::violated(Violation::TooLarge, "a message over its limit");
        return Err(error.with("bytes", length).with("limit", max));
    }
    let mut bytes = vec![0; length];
    pipe.read_exact(&mut bytes).await.map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Error::violated(Violation::Truncated, "the pipe ended within a message"),
        _ => Error::io("reading a message", e),
    })?;
    M::decode(bytes.as_slice()).map(Some).map_err(|e| Error::misbehaved("a message that does not decode").caused_by(e))
}

/// Writes one message. Does not flush.
pub async fn write_delimited(pipe: &mut (impl AsyncWrite + Unpin + ?Sized), message: &impl Message) -> Result<()> {
    pipe.write_all(&message.encode_length_delimited_to_vec()).await.map_err(|e| Error::io("writing a message", e))
}

async fn read_length(pipe: &mut (impl AsyncBufRead + Unpin + ?Sized)) -> Result<Option<usize>> {
    let mut prefix = unsigned_varint::encode::usize_buffer();
    for i in 0..prefix.len() {
        let available = pipe.fill_buf().await.map_err(|e| Error::io("reading a message's length", e))?;
        let Some(&byte) = available.first() else {
            return if i == 0 {
                Ok(None)
            } else {
                Err(Error::violated(Violation::Truncated, "the pipe ended within a length"))
            };
        };
        pipe.consume(1);
        prefix[i] = byte;
        if byte & 0x80 == 0 {
            return match unsigned_varint::decode::usize(&prefix[..=i]) {
                Ok((length, _)) => Ok(Some(length)),
                Err(e) => Err(Error::misbehaved("a length that is not a minimal varint").caused_by(e)),
            };
        }
    }
    Err(Error::violated(Violation::TooLarge, "a length of too many bytes"))
}
