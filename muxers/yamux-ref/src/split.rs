//! Cuts data frames that are longer than the state machine takes.
//!
//! A sender may put all its credit into one frame, and js-libp2p does; the state machine's windows grow beyond the
//! 1 MiB at which it refuses a frame. Here such a frame becomes several: what opens or acknowledges a stream stays on
//! the first, what ends it goes to the last.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::BoxPipe;
use tokio::io::{AsyncRead, ReadBuf};

use crate::wire::{DATA, FIN, HEADER, Header, RST};

/// The longest body the state machine takes.
const MAX_BODY: usize = 1 << 20;

/// The headers that the state machine gets to see, where they are not those of the wire.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    header: [u8; HEADER],
    filled: usize,
    given: usize,
    /// Bytes of the frame under way that still need a header.
    rest: usize,
    stream: u32,
    /// Flags for the last of the frame's parts.
    last: u16,
    ended: bool,
}

impl Splitter {
    /// Makes sure that there is a header to give, or that the pipe has ended. Cancel-safe.
    pub(crate) fn poll_header(&mut self, pipe: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.given == HEADER {
            (self.filled, self.given) = (0, 0);
        }
        if self.filled == 0 && self.rest > 0 {
            self.next_part();
        }
        while self.filled < HEADER && !self.ended {
            let mut out = ReadBuf::new(&mut self.header[self.filled..]);
            ready!(Pin::new(&mut *pipe).poll_read(cx, &mut out))?;
            match out.filled().len() {
                0 => self.ended = true,
                n => self.filled += n,
            }
            if self.filled == HEADER {
                self.cut();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Hands out what there is of the header; nothing at the pipe's end.
    pub(crate) fn give(&mut self, out: &mut ReadBuf<'_>) {
        let bytes = &self.header[self.given..self.filled];
        let n = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..n]);
        self.given += n;
    }

    /// Shortens the header that was just read, if its frame is too long.
    fn cut(&mut self) {
        let header = Header::decode(&self.header);
        if header.body() <= MAX_BODY {
            return;
        }
        self.rest = header.body() - MAX_BODY;
        self.stream = header.stream;
        self.last = header.flags & (FIN | RST);
        let first = Header { flags: header.flags & !self.last, length: MAX_BODY as u32, ..header }.encode();
        // The version is left for the state machine to judge.
        self.header[1..].copy_from_slice(&first[1..]);
    }

    fn next_part(&mut self) {
        let length = self.rest.min(MAX_BODY);
        self.rest -= length;
        let flags = if self.rest == 0 { self.last } else { 0 };
        self.header = Header { kind: DATA, flags, stream: self.stream, length: length as u32 }.encode();
        self.filled = HEADER;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use stackwire_core::Buffered;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wire::SYN;

    async fn header(splitter: &mut Splitter, pipe: &mut BoxPipe) -> Option<Header> {
        poll_fn(|cx| splitter.poll_header(pipe, cx)).await.unwrap();
        let mut bytes = [0; HEADER];
        let mut out = ReadBuf::new(&mut bytes);
        splitter.give(&mut out);
        (out.filled().len() == HEADER).then(|| Header::decode(&bytes))
    }

    #[tokio::test]
    async fn a_long_frame_becomes_several() {
        let (mut wire, pipe) = tokio::io::duplex(4096);
        let mut pipe: BoxPipe = Box::new(Buffered::new(pipe));
        let long = Header { kind: DATA, flags: SYN | FIN, stream: 7, length: (5 << 19) + 3 };
        let short = Header { kind: DATA, flags: 0, stream: 9, length: 5 };
        let writing = async move {
            for header in [long, short] {
                wire.write_all(&header.encode()).await.unwrap();
                wire.write_all(&vec![0; header.body()]).await.unwrap();
            }
            drop(wire);
        };
        let reading = async {
            let mut splitter = Splitter::default();
            let mut seen = Vec::new();
            while let Some(header) = header(&mut splitter, &mut pipe).await {
                pipe.read_exact(&mut vec![0; header.body()]).await.unwrap();
                seen.push(header);
            }
            seen
        };
        let ((), seen) = tokio::join!(writing, reading);
        let part = |flags, length| Header { kind: DATA, flags, stream: 7, length };
        assert_eq!(seen, [part(SYN, 1 << 20), part(0, 1 << 20), part(FIN, (1 << 19) + 3), short]);
    }
}
