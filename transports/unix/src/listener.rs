//! Where connections arrive.

use std::fmt;

use async_trait::async_trait;
use stackwire_core::{Error, Incoming, Layer, Listener, Multiaddr, Result, Stage};
use stackwire_socket::Pause;

use crate::{
    NAME,
    config::Checked,
    pipe::pipe,
    system::{Connection, Socket},
};

pub(crate) struct UnixListener {
    pub(crate) config: Checked,
    pub(crate) socket: Socket,
    pub(crate) address: Multiaddr,
    pub(crate) pause: Pause,
}

#[async_trait]
impl Listener for UnixListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![self.address.clone()]
    }

    async fn accept(&mut self) -> Result<Incoming> {
        loop {
            self.pause.over().await;
            match self.socket.accept().await {
                Ok(connection) => return Ok(self.incoming(connection)),
                Err(error) => {
                    self.pause.after(error).map_err(|e| Error::io("accepting", e).at(Layer::Transport, NAME))?
                }
            }
        }
    }
}

impl UnixListener {
    /// A dialer's end has no name of its own; it is known by where it came.
    fn incoming(&self, connection: Connection) -> Incoming {
        let pipe = pipe(connection, self.config.read_buffer);
        let open = async move { Ok(Stage::Raw(Box::new(pipe)).into()) };
        Incoming { remote: self.address.clone(), local: self.address.clone(), open: Box::pin(open) }
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixListener({})", self.address)
    }
}
