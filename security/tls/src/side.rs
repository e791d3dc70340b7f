//! rustls's state machine of one handshake, either side's, over buffers of ours.

use std::sync::Arc;

use rustls::{
    CommonState, Error as TlsError,
    client::UnbufferedClientConnection,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, UnbufferedStatus},
};
use stackwire_core::{Error, Kind, Result, Role};

use crate::{errors, exporter::Exporter, records::Records};

/// One side of a handshake.
pub(crate) struct Side {
    machine: Machine,
    exporter: Arc<Exporter>,
}

enum Machine {
    /// The dialer's.
    Client(Box<UnbufferedClientConnection>),
    /// The listener's.
    Server(Box<UnbufferedServerConnection>),
}

/// How far a handshake got with the bytes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More are needed, or it is complete.
    Waits,
    /// The peer has ended it.
    Ended,
}

impl Side {
    /// The dialer's. `exporter` is its key log.
    pub(crate) fn client(client: UnbufferedClientConnection, exporter: Arc<Exporter>) -> Self {
        Self { machine: Machine::Client(Box::new(client)), exporter }
    }

    /// The listener's. `exporter` is its key log.
    pub(crate) fn server(server: UnbufferedServerConnection, exporter: Arc<Exporter>) -> Self {
        Self { machine: Machine::Server(Box::new(server)), exporter }
    }

    /// The channel binding, once the handshake is complete.
    pub(crate) fn binding(&self) -> Option<[u8; 32]> {
        self.exporter.binding()
    }

    /// What rustls knows about the connection.
    pub(crate) fn state(&self) -> &CommonState {
        match &self.machine {
            Machine::Client(client) => client,
            Machine::Server(server) => server,
        }
    }

    /// Takes what it can of the front of `received`, and appends what is to be sent. After an error that is the alert
    /// which says so.
    pub(crate) fn advance(
        &mut self,
        received: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> std::result::Result<Progress, TlsError> {
        loop {
            match self.step(received, out) {
                Step::Said => {}
                Step::Stopped(progress) => return Ok(progress),
                Step::Failed(error) => {
                    // No longer than that: rustls does not expect to see the same bytes again.
                    while self.state().wants_write() {
                        let _alert = self.step(received, out);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn step(&mut self, received: &mut Vec<u8>, out: &mut Vec<u8>) -> Step {
        let (taken, step) = match &mut self.machine {
            Machine::Client(client) => follow(client.process_tls_records(received), out),
            Machine::Server(server) => follow(server.process_tls_records(received), out),
        };
        received.drain(..taken.min(received.len()));
        step
    }

    /// The records that follow a complete handshake whose last message was sent.
    pub(crate) fn into_records(self) -> Result<Records> {
        let failed = |error: TlsError| Error::new(Kind::Internal, "taking over from the handshake").caused_by(error);
        match self.machine {
            Machine::Client(client) => {
                let (secrets, rekey) = client.dangerous_into_kernel_connection().map_err(failed)?;
                Records::new(secrets.tx, secrets.rx, Box::new(rekey), Role::Dialer)
            }
            Machine::Server(server) => {
                let (secrets, rekey) = server.dangerous_into_kernel_connection().map_err(failed)?;
                Records::new(secrets.tx, secrets.rx, Box::new(rekey), Role::Listener)
            }
        }
        .map_err(errors::named)
    }
}

enum Step {
    /// It has said something, or may have more to say.
    Said,
    Stopped(Progress),
    Failed(TlsError),
}

/// Does what rustls asks for. Returns how many bytes it has taken.
fn follow<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>) -> (usize, Step) {
    let step = match status.state {
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = out.len();
            loop {
                match data.encode(&mut out[start..]) {
                    Ok(written) => {
                        out.truncate(start + written);
                        break Step::Said;
                    }
                    Err(EncodeError::InsufficientSize(needed)) => out.resize(start + needed.required_size, 0),
                    Err(error) => break Step::Failed(TlsError::General(error.to_string())),
                }
            }
        }
        // Whoever called sends it before anything else happens.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Said
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Step::Stopped(Progress::Waits),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Step::Stopped(Progress::Ended),
        // Data: none is taken before the end of the handshake, and no byte behind its last record is shown to rustls.
        Ok(other) => Step::Failed(TlsError::General(format!("{other:?} in a handshake"))),
        Err(error) => Step::Failed(error),
    };
    (status.discard, step)
}
