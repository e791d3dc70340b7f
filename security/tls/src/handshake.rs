//! The handshake over a pipe.
//!
//! ```text
//! dialer   ClientHello (ALPN: muxers, libp2p) ──▶
//!              ◀── ServerHello, EncryptedExtensions (ALPN: one), CertificateRequest, Certificate, …, Finished   listener
//! dialer   Certificate, CertificateVerify, Finished ──▶
//! ```
//!
//! The dialer is done after its last message, before the listener has looked at its certificate.
//! Memory is bounded by rustls: a handshake message of at most 64 KiB, one record of at most 18 KiB.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, ClientConnection, Connection, Error as TlsError,
    pki_types::ServerName,
    server::{Accepted, AcceptedAlert, Acceptor},
};
use stackwire_certificate::Settings;
use stackwire_core::{BoxPipe, Error, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use crate::{alpn, errors};

/// How long a peer has to take the alert that says why we give up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs the dialer's side.
pub(crate) async fn dial(pipe: BoxPipe, settings: &Settings) -> Result<(BoxPipe, Connection)> {
    let config = settings.client().map_err(|e| errors::of_session(&e))?;
    dial_with(pipe, config, settings).await
}

/// Runs the dialer's side with a config of its own.
pub(crate) async fn dial_with(
    mut pipe: BoxPipe,
    config: ClientConfig,
    settings: &Settings,
) -> Result<(BoxPipe, Connection)> {
    // A name is required, and never sent.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let client = ClientConnection::new(Arc::new(config), name).map_err(|e| errors::of_session(&e))?;
    let mut connection = Connection::Client(client);
    complete(&mut pipe, &mut connection, settings, &[]).await?;
    Ok((pipe, connection))
}

/// Runs the listener's side. The ClientHello is read before the connection is configured, because rustls on its own
/// would choose among ALPN entries by the listener's preference.
pub(crate) async fn listen(mut pipe: BoxPipe, settings: &Settings) -> Result<(BoxPipe, Connection)> {
    let hello = read_client_hello(&mut pipe, settings).await?;
    let offered: Vec<Vec<u8>> = hello.client_hello().alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
    let mut config = settings.server().map_err(|e| errors::of_session(&e))?;
    // Without a match rustls gets everything we have, finds no match either, and ends the handshake with the alert for
    // it. A dialer without any ALPN is let in, as go-libp2p and rust-libp2p do: it gets its muxer afterwards.
    config.alpn_protocols = match alpn::choose(&offered, &settings.alpn) {
        Some(chosen) => vec![chosen],
        None => settings.alpn.clone(),
    };
    let mut connection = match hello.into_connection(Arc::new(config)) {
        Ok(connection) => Connection::Server(connection),
        Err(refusal) => return Err(refuse_hello(&mut pipe, refusal, settings, &offered).await),
    };
    complete(&mut pipe, &mut connection, settings, &offered).await?;
    Ok((pipe, connection))
}

async fn read_client_hello(pipe: &mut BoxPipe, settings: &Settings) -> Result<Accepted> {
    let mut acceptor = Acceptor::default();
    loop {
        feed(pipe, |mut bytes| acceptor.read_tls(&mut bytes)).await?;
        match acceptor.accept() {
            Ok(Some(hello)) => return Ok(hello),
            Ok(None) => {}
            Err(refusal) => return Err(refuse_hello(pipe, refusal, settings, &[]).await),
        }
    }
}

async fn refuse_hello(
    pipe: &mut BoxPipe,
    (error, mut alert): (TlsError, AcceptedAlert),
    settings: &Settings,
    offered: &[Vec<u8>],
) -> Error {
    let mut bytes = Vec::new();
    // Writing into a Vec can't fail.
    let _written = alert.write_all(&mut bytes);
    say_farewell(pipe, &bytes, settings).await;
    errors::of_handshake(&error, &settings.alpn, offered)
}

/// Exchanges messages until the handshake is complete and our last one is sent.
async fn complete(
    pipe: &mut BoxPipe,
    connection: &mut Connection,
    settings: &Settings,
    offered: &[Vec<u8>],
) -> Result<()> {
    loop {
        if connection.wants_write() {
            let flight = pending(connection);
            pipe.write_all(&flight).await.map_err(|e| Error::io("sending a handshake message", e))?;
            pipe.flush().await.map_err(|e| Error::io("sending a handshake message", e))?;
        }
        if !connection.is_handshaking() {
            return Ok(());
        }
        feed(pipe, |mut bytes| connection.read_tls(&mut bytes)).await?;
        if let Err(error) = connection.process_new_packets() {
            say_farewell(pipe, &pending(connection), settings).await;
            return Err(errors::of_handshake(&error, &settings.alpn, offered));
        }
    }
}

/// Waits for bytes and hands them to `take`, which says how many it took.
async fn feed(pipe: &mut BoxPipe, mut take: impl FnMut(&[u8]) -> std::io::Result<usize>) -> Result<()> {
    let bytes = pipe.fill_buf().await.map_err(|e| Error::io("reading a handshake message", e))?;
    if bytes.is_empty() {
        return Err(Error::closed("the peer closed the pipe during the handshake"));
    }
    match take(bytes) {
        Ok(taken @ 1..) => {
            pipe.consume(taken);
            Ok(())
        }
        Ok(0) | Err(_) => Err(Error::misbehaved("a handshake message that is too long")),
    }
}

/// Everything rustls wants to send.
fn pending(connection: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        // Writing into a Vec can't fail.
        let _written = connection.write_tls(&mut bytes);
    }
    bytes
}

/// Tells the peer why we give up, as far as it wants to know: our own error is what counts, so nothing here fails.
async fn say_farewell(pipe: &mut BoxPipe, alert: &[u8], settings: &Settings) {
    let farewell = async {
        pipe.write_all(alert).await?;
        pipe.shutdown().await?;
        Ok(())
    };
    let _sent = settings.env.timeout(FAREWELL, "sending an alert", farewell).await;
}
