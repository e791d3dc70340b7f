//! A stream of a connection that stands for the pipe of one.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Error, Multiplexed, PipeDecorator, Result, Role, Session, SessionExt, pipe_decorator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The first stream of a connection. The dialer opens it, and announces it by a byte that the listener takes off.
pub(super) async fn first_stream(top: Multiplexed, role: Role) -> Result<BoxPipe> {
    let Multiplexed { session, driver, .. } = top;
    tokio::spawn(driver);
    // From here on, so that the connection is closed also where there is no stream.
    let session = Closing(session);
    let stream = match role {
        Role::Dialer => {
            let mut stream = session.0.open().await?;
            let announce = async {
                stream.write_all(b"!").await?;
                stream.flush().await
            };
            announce.await.map_err(|e| Error::io("announcing a stream", e))?;
            stream
        }
        Role::Listener => {
            let mut stream = session.0.accept().await?;
            let announced = stream.read_u8().await.map_err(|e| Error::io("learning of a stream", e))?;
            assert_eq!(announced, b'!');
            stream
        }
    };
    Ok(Box::new(Connection { stream, _session: session }))
}

/// A connection of which one stream is used.
struct Connection {
    // Dropped in this order.
    stream: BoxPipe,
    _session: Closing,
}

/// Closed when it is dropped.
struct Closing(Arc<dyn Session>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(0);
    }
}

pipe_decorator!(Connection { stream: BoxPipe });

impl PipeDecorator for Connection {}
