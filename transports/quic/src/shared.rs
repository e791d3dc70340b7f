//! What a connection's session, its driver and its streams share.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::task::AtomicWaker;
use quinn::{Connection, ConnectionError};
use stackwire_core::{Budget, Error, Result};

use crate::{datagrams::Demultiplexer, errors, openers::Openers, party::Party, unread::Inbounds};

/// A connection, as its session, its driver and its streams share it.
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    /// Whether both sides take datagrams.
    pub(crate) carries_datagrams: bool,
    /// Our limit on silence, for an error message.
    pub(crate) idle: Duration,
    /// Our limit on a peer that acknowledges nothing.
    pub(crate) ack_timeout: Option<Duration>,
    /// What streams that nobody reads may keep beside the window.
    pub(crate) most_kept: usize,
    /// The code to close with, once that was asked for.
    pub(crate) closing: OnceLock<u32>,
    /// Wakes the driver when it was.
    pub(crate) close_asked: AtomicWaker,
    pub(crate) accepter: AtomicWaker,
    pub(crate) openers: Arc<Openers>,
    pub(crate) inbounds: Inbounds,
    pub(crate) datagrams: Demultiplexer,
}

impl Shared {
    /// Of a connection that has just been made.
    pub(crate) fn new(connection: Connection, party: &Party, budget: &Budget) -> Self {
        Self {
            carries_datagrams: party.config.datagram_buffer > 0 && connection.max_datagram_size().is_some(),
            connection,
            idle: party.idle_timeout(),
            ack_timeout: party.ack_timeout(),
            most_kept: party.most_kept(),
            closing: OnceLock::new(),
            close_asked: AtomicWaker::new(),
            accepter: AtomicWaker::new(),
            openers: Arc::new(Openers::default()),
            inbounds: Inbounds::new(budget.clone()),
            datagrams: Demultiplexer::default(),
        }
    }

    /// Asks for the close, once. From here on nothing is opened, accepted or written.
    pub(crate) fn close(&self, code: u32) {
        if self.closing.set(code).is_ok() {
            self.close_asked.wake();
            self.accepter.wake();
            self.openers.wake_all();
        }
    }

    /// Fails where a close was asked for.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self.closing.get() {
            Some(_) => Err(self.lost(&self.connection.close_reason().unwrap_or(ConnectionError::LocallyClosed))),
            None => Ok(()),
        }
    }

    /// What it means that the connection has ended so.
    pub(crate) fn lost(&self, error: &ConnectionError) -> Error {
        errors::of_connection(error, self.idle)
    }
}
