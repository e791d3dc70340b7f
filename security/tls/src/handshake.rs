//! The handshake over a pipe.
//!
//! ```text
//! dialer   ClientHello (ALPN: muxers, libp2p) ──▶
//!              ◀── ServerHello, EncryptedExtensions (ALPN: one), CertificateRequest, Certificate, …, Finished   listener
//! dialer   Certificate, CertificateVerify, Finished ──▶
//! ```
//!
//! The dialer is done after its last message, before the listener has looked at its certificate. The pipe is read record
//! by record, so that what follows the handshake is still in it.
//! Memory is bounded: a handshake message of at most 64 KiB, and one record.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use rustls::{
    ClientConfig,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::{Acceptor, UnbufferedServerConnection},
};
use stackwire_certificate::Settings;
use stackwire_core::{BoxPipe, Error, Result, Violation, exchange};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt};

use crate::{
    alpn, errors,
    exporter::Exporter,
    side::{Progress, Side},
};

/// How long a peer has to take the alert that says why we give up.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a record's header; the last two are the length of what follows.
const HEADER: usize = 5;
/// How much may wait for the end of a handshake message: as much as rustls takes of one.
const MAX_WAITING: usize = 64 * 1024;

/// Runs the dialer's side.
pub(crate) async fn dial(pipe: BoxPipe, settings: &Settings) -> Result<(BoxPipe, Side)> {
    let config = settings.client().map_err(|e| errors::of_session(&e))?;
    dial_with(pipe, config, settings).await
}

/// Runs the dialer's side with a config of its own.
pub(crate) async fn dial_with(pipe: BoxPipe, mut config: ClientConfig, settings: &Settings) -> Result<(BoxPipe, Side)> {
    config.enable_secret_extraction = true;
    let exporter = Exporter::new(config.key_log);
    config.key_log = exporter.clone();
    // A name is required, and never sent.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let client = UnbufferedClientConnection::new(Arc::new(config), name).map_err(|e| errors::of_session(&e))?;
    complete(pipe, Side::client(client, exporter), Inbox::default(), settings, &[]).await
}

/// Runs the listener's side. The ClientHello is looked at before the connection is configured, because rustls on its own
/// would choose among ALPN entries by the listener's preference.
pub(crate) async fn listen(mut pipe: BoxPipe, settings: &Settings) -> Result<(BoxPipe, Side)> {
    let mut inbox = Inbox::default();
    let offered = read_offers(&mut pipe, &mut inbox).await?;
    let mut config = settings.server().map_err(|e| errors::of_session(&e))?;
    config.enable_secret_extraction = true;
    let exporter = Exporter::new(config.key_log);
    config.key_log = exporter.clone();
    // Without a match rustls gets everything we have, finds no match either, and ends the handshake with the alert for
    // it. A dialer without any ALPN is let in, as go-libp2p and rust-libp2p do: it gets its muxer afterwards.
    if let Some(chosen) = alpn::choose(&offered, &settings.alpn) {
        config.alpn_protocols = vec![chosen];
    }
    let server = UnbufferedServerConnection::new(Arc::new(config)).map_err(|e| errors::of_session(&e))?;
    complete(pipe, Side::server(server, exporter), inbox, settings, &offered).await
}

/// Reads the ClientHello, and what it offers. None where it is no ClientHello: the connection will say what is wrong.
async fn read_offers(pipe: &mut BoxPipe, inbox: &mut Inbox) -> Result<Vec<Vec<u8>>> {
    let mut acceptor = Acceptor::default();
    loop {
        let mut fresh = inbox.read(pipe).await?;
        while !fresh.is_empty() {
            if !matches!(acceptor.read_tls(&mut fresh), Ok(1..)) {
                return Ok(Vec::new());
            }
            match acceptor.accept() {
                Ok(Some(hello)) => {
                    return Ok(hello.client_hello().alpn().into_iter().flatten().map(<[u8]>::to_vec).collect());
                }
                Ok(None) => {}
                Err(_) => return Ok(Vec::new()),
            }
        }
    }
}

/// Exchanges messages until the handshake is complete and our last one is sent.
async fn complete(
    mut pipe: BoxPipe,
    mut side: Side,
    mut inbox: Inbox,
    settings: &Settings,
    offered: &[Vec<u8>],
) -> Result<(BoxPipe, Side)> {
    let mut flight = Vec::new();
    loop {
        match side.advance(&mut inbox.bytes, &mut flight) {
            Ok(Progress::Waits) => {}
            Ok(Progress::Ended) => return Err(Error::closed("the peer closed the TLS session during the handshake")),
            Err(error) => {
                say_farewell(&mut pipe, &flight, settings).await;
                return Err(errors::of_handshake(&error, &settings.alpn, offered));
            }
        }
        let done = !side.state().is_handshaking();
        // What is there to be read may have more to be said, or an alert, and then the pipe may be closed already.
        if !flight.is_empty() && (done || must_wait(&mut pipe).await?) {
            exchange::send(&mut pipe, &flight, "sending a handshake message").await?;
            flight.clear();
        }
        if done {
            return Ok((pipe, side));
        }
        inbox.read(&mut pipe).await?;
    }
}

/// Whether there is nothing to be read yet.
async fn must_wait(pipe: &mut BoxPipe) -> Result<bool> {
    let waits = poll_fn(|cx| match Pin::new(&mut *pipe).poll_fill_buf(cx) {
        Poll::Ready(result) => Poll::Ready(result.map(|_| false)),
        Poll::Pending => Poll::Ready(Ok(true)),
    });
    waits.await.map_err(|e| Error::io("reading a handshake message", e))
}

/// What was read and not yet used.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// How much is there of the header of the record that is being read, and how much of the rest is missing.
    header: usize,
    missing: usize,
}

impl Inbox {
    /// Waits for bytes, and takes no more of them than belong to the header, or to the record, that is being read.
    /// Returns those.
    async fn read(&mut self, pipe: &mut BoxPipe) -> Result<&[u8]> {
        if self.bytes.len() > MAX_WAITING {
            return Err(Error::violated(Violation::TooLarge, "a handshake message that is too long"));
        }
        let bytes = pipe.fill_buf().await.map_err(|e| Error::io("reading a handshake message", e))?;
        if bytes.is_empty() {
            return Err(Error::closed("the peer closed the pipe during the handshake"));
        }
        let wanted = if self.header < HEADER { HEADER - self.header } else { self.missing };
        let taken = bytes.len().min(wanted);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..taken]);
        pipe.consume(taken);
        if self.header == HEADER {
            self.missing -= taken;
        } else {
            self.header += taken;
            // A header stays until the rest is there, so its end is the end of what there is.
            if let (HEADER, [.., high, low]) = (self.header, &*self.bytes) {
                self.missing = u16::from_be_bytes([*high, *low]).into();
            }
        }
        if self.header == HEADER && self.missing == 0 {
            self.header = 0;
        }
        Ok(&self.bytes[start..])
    }
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
