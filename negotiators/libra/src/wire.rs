//! Frames and the texts in them.

use stackwire_core::{BoxPipe, Error, ProtocolId, Recognition, Result, Violation, exchange};
use tokio::io::AsyncReadExt;

/// The header of a negotiation that is answered.
pub(crate) const INTERACTIVE: &str = "/libra/protocol-interactive/1.0.0";
/// The header of a choice that is not.
pub(crate) const SELECT: &str = "/libra/protocol-select/1.0.0";
/// The answer to a proposal that is refused.
pub(crate) const NOT_SUPPORTED: &str = "not supported";
/// The longest frame we take or make, without its length.
pub(crate) const MAX_FRAME: usize = 1024;

/// Appends one frame.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("texts are ours, or ids that were checked to be short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Whether an id can be proposed.
pub(crate) fn is_sendable(id: &ProtocolId) -> bool {
    (1..=MAX_FRAME).contains(&id.as_str().len()) && id.as_str() != NOT_SUPPORTED
}

/// Whether a connection that begins with `first` begins with one of the headers.
pub(crate) fn recognize(first: &[u8]) -> Recognition {
    let of = |header| {
        let mut frame = Vec::new();
        encode(header, &mut frame);
        Recognition::of(&frame, first)
    };
    match (of(INTERACTIVE), of(SELECT)) {
        (Recognition::Yes, _) | (_, Recognition::Yes) => Recognition::Yes,
        (Recognition::More, _) | (_, Recognition::More) => Recognition::More,
        (Recognition::No, Recognition::No) => Recognition::No,
    }
}

/// Takes the next frame and not a byte more; `None` where the pipe ended before its first byte.
///
/// Fails with `PeerMisbehaved` for an empty frame, one over [`MAX_FRAME`], and an end within a frame.
pub(crate) async fn read_frame(pipe: &mut BoxPipe) -> Result<Option<Vec<u8>>> {
    const DURING: &str = "reading a negotiation frame";
    let mut length = [0; 2];
    if pipe.read(&mut length[..1]).await.map_err(|e| Error::io(DURING, e))? == 0 {
        return Ok(None);
    }
    let cut = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::violated(Violation::Truncated, "the pipe ended within a negotiation frame")
        }
        _ => Error::io(DURING, e),
    };
    pipe.read_exact(&mut length[1..]).await.map_err(cut)?;
    let length = usize::from(u16::from_be_bytes(length));
    match length {
        0 => return Err(Error::misbehaved("an empty negotiation frame")),
        1..=MAX_FRAME => {}
        _ => return Err(Error::violated(Violation::TooLarge, "a negotiation frame over 1024 bytes")),
    }
    let mut frame = vec![0; length];
    pipe.read_exact(&mut frame).await.map_err(cut)?;
    Ok(Some(frame))
}

/// Writes and flushes what `out` holds, and empties it.
pub(crate) async fn send(pipe: &mut BoxPipe, out: &mut Vec<u8>) -> Result<()> {
    exchange::send(pipe, out, "writing a negotiation frame").await?;
    out.clear();
    Ok(())
}
