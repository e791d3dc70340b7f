//! Where connections arrive.

use std::{fmt, io, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use stackwire_core::{Env, Error, Incoming, Layer, Listener, Multiaddr, Result, Stage};

use crate::{
    NAME,
    config::Checked,
    pipe::UnixPipe,
    system::{Connection, Socket},
};

/// How long accepting pauses when the machine has no means for another connection, such as a file descriptor.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct UnixListener {
    pub(crate) config: Checked,
    pub(crate) env: Env,
    pub(crate) socket: Socket,
    pub(crate) address: Multiaddr,
    /// Kept between calls, so that a caller who gives up and comes back does not shorten it.
    pub(crate) pause: Option<BoxFuture<'static, ()>>,
}

#[async_trait]
impl Listener for UnixListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![self.address.clone()]
    }

    async fn accept(&mut self) -> Result<Incoming> {
        loop {
            if let Some(pause) = &mut self.pause {
                pause.await;
                self.pause = None;
            }
            match self.socket.accept().await {
                Ok(connection) => return Ok(self.incoming(connection)),
                Err(error) => match after(&error) {
                    After::Next => {}
                    After::Pause => self.pause = Some(self.env.sleep(PAUSE)),
                    After::End => return Err(Error::io("accepting", error).at(Layer::Transport, NAME)),
                },
            }
        }
    }
}

impl UnixListener {
    /// A dialer's end has no name of its own; it is known by where it came.
    fn incoming(&self, connection: Connection) -> Incoming {
        let pipe = UnixPipe::new(connection, self.config.read_buffer);
        let open = async move { Ok(Stage::Raw(Box::new(pipe)).into()) };
        Incoming { remote: self.address.clone(), local: self.address.clone(), open: Box::pin(open) }
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixListener({})", self.address)
    }
}

/// What to do after accepting failed.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// That one connection failed before it was ours; take the next.
    Next,
    /// The machine lacks something; try again a little later.
    Pause,
    /// The socket itself is of no more use.
    End,
}

fn after(error: &io::Error) -> After {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => After::Next,
        // The socket does not listen.
        io::ErrorKind::InvalidInput => After::End,
        // Whatever else the system complains of (file descriptors, memory) is its state and not ours.
        _ if error.raw_os_error().is_some() => After::Pause,
        _ => After::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_socket_ends_a_listener() {
        assert_eq!(after(&io::ErrorKind::ConnectionAborted.into()), After::Next);
        const EMFILE: i32 = 24;
        assert_eq!(after(&io::Error::from_raw_os_error(EMFILE)), After::Pause);
        assert_eq!(after(&io::ErrorKind::InvalidInput.into()), After::End);
        assert_eq!(after(&io::Error::other("the runtime is gone")), After::End);
    }
}
