//! A connection as a pipe.

use stackwire_core::Env;
use stackwire_socket::{SocketKind, SocketPipe};
use tokio::net::TcpStream;

use crate::{NAME, TcpConfig, stream::Stream};

/// A TCP connection. A reset closes it with a reset at once; TCP carries no code, so the peer sees code 0.
pub(crate) type TcpPipe = SocketPipe<Stream>;

static KIND: SocketKind<Stream> = SocketKind {
    transport: NAME,
    before_reset: |stream| {
        // Without it the connection would be closed all the same, only more politely.
        let _best_effort = stream.set_zero_linger();
    },
    gone_is_done: false,
};

/// A pipe over `stream`, as `config` has it.
pub(crate) fn pipe(stream: TcpStream, config: &TcpConfig, env: Env) -> TcpPipe {
    SocketPipe::new(Stream::new(stream, config.busy_poll(), env), config.read_buffer as usize, &KIND)
}
