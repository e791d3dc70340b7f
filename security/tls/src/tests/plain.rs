//! A peer of plain rustls, with records of its own.

use std::{
    io::{self, BufRead, Write},
    net::Ipv4Addr,
    sync::Arc,
};

use rustls::{ClientConnection, Connection, ServerConnection, pki_types::ServerName};
use stackwire_certificate::Settings;
use stackwire_core::{BoxPipe, Role};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// One side of a connection.
pub(super) struct Plain {
    pub(super) pipe: BoxPipe,
    pub(super) tls: Connection,
}

impl Plain {
    /// Before the handshake.
    pub(super) fn new(pipe: BoxPipe, role: Role, settings: &Settings) -> Self {
        let tls = match role {
            Role::Dialer => {
                let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
                ClientConnection::new(Arc::new(settings.client().unwrap()), name).unwrap().into()
            }
            Role::Listener => {
                let mut config = settings.server().unwrap();
                config.send_tls13_tickets = 2;
                ServerConnection::new(Arc::new(config)).unwrap().into()
            }
        };
        Self { pipe, tls }
    }

    /// Takes some bytes out of the pipe. Fails with what rustls says, or at the end of the pipe.
    pub(super) async fn pull(&mut self) -> io::Result<()> {
        let mut bytes = self.pipe.fill_buf().await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = self.tls.read_tls(&mut bytes)?;
        self.pipe.consume(taken);
        let done = self.tls.process_new_packets().map_err(io::Error::other);
        self.push().await?;
        done.map(|_| ())
    }

    /// Sends what there is to send, in one write.
    pub(super) async fn push(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        self.pipe.write_all(&bytes).await?;
        self.pipe.flush().await
    }

    /// The whole handshake.
    pub(super) async fn handshake(&mut self) -> io::Result<()> {
        self.push().await?;
        while self.tls.is_handshaking() {
            self.pull().await?;
        }
        Ok(())
    }

    pub(super) async fn send(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let taken = self.tls.writer().write(data)?;
            data = &data[taken..];
            self.push().await?;
        }
        Ok(())
    }

    pub(super) async fn receive(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        while data.len() < length {
            let read = match self.tls.reader().fill_buf() {
                Ok([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(chunk) => {
                    data.extend_from_slice(chunk);
                    chunk.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pull().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.tls.reader().consume(read);
        }
        Ok(data)
    }
}
