//! A connection as a pipe.

use stackwire_core::{Buffered, PipeDecorator, pipe_decorator};

use crate::link::Stream;

/// How much is parsed in place at a time; a reader that brings more is served without this copy.
const READ_BUFFER: usize = 64 * 1024;

/// A uTP connection.
///
/// * **Writes** are cut into packets at once and sent as fast as the network and the peer allow; up to `send_buffer`
///   bytes are held. A packet that is not full waits for company, as by Nagle's algorithm, unless it is flushed.
/// * **A shutdown** is done when the peer's machine has acknowledged everything, or has no room because nobody reads
///   there. Giving up waiting for it takes nothing back.
/// * **Dropped**, the connection still delivers what was written, in the background, and then the peer reads the end; a
///   reset, if it had sent what nobody read. [`Pipe::reset`](stackwire_core::Pipe::reset) drops everything; the peer sees code 0, as uTP has no codes.
#[derive(Debug)]
pub(crate) struct UtpPipe(Buffered<Stream>);

impl UtpPipe {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Buffered::with_capacity(READ_BUFFER, stream))
    }
}

pipe_decorator!(UtpPipe { 0: Buffered<Stream> });

impl PipeDecorator for UtpPipe {
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn reset(&mut self, code: u32) {
        // It stays in there: what it has to tell its peer goes out by and by.
        if let Some(stream) = self.0.get_mut() {
            stream.reset(code);
        }
    }

    fn close_read(&mut self) {
        if let Some(stream) = self.0.get_mut() {
            stream.close_read();
        }
    }
}
