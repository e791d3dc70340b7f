//! A connection as a pipe.

use stackwire_socket::{SocketKind, SocketPipe};

use crate::{NAME, system::Connection};

/// A connection to a socket of this machine.
///
/// The operating system knows no reset here, so that a reset is a close of both directions: the peer reads the end, or an
/// error if it had sent what nobody read.
pub(crate) type UnixPipe = SocketPipe<Connection>;

static KIND: SocketKind<Connection> = SocketKind { transport: NAME, before_reset: |_| {}, gone_is_done: true };

/// A pipe over `connection` that reads up to `read_buffer` bytes at a time.
pub(crate) fn pipe(connection: Connection, read_buffer: usize) -> UnixPipe {
    SocketPipe::new(connection, read_buffer, &KIND)
}
