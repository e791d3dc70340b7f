//! What arrives: frames are parsed where they lie in the pipe's buffer, their data copied to their streams.

use std::task::Waker;

use stackwire_core::{Buffer, Error, Result, Violation, buffer};

use crate::{
    config::Overflow,
    connection::{Connection, Entry, Key, State},
    wire::{Decoder, Flag, Header},
};

/// Where in a frame the reading stands.
#[derive(Default)]
pub(crate) struct Receiver {
    decoder: Decoder,
    /// Whose data comes; nobody's is discarded.
    to: Option<Key>,
    /// Data of the frame that is still to come.
    left: usize,
}

impl Receiver {
    pub(crate) fn is_between_frames(&self) -> bool {
        self.left == 0 && self.decoder.is_empty()
    }

    /// Hands `bytes` out. Returns how many were used: not all where a full stream holds up the connection.
    pub(crate) fn receive(&mut self, connection: &Connection, bytes: &[u8]) -> Result<usize> {
        connection.with(|state, wakes| {
            let mut rest = bytes;
            while !rest.is_empty() {
                if self.left == 0 {
                    let (n, header) = self.decoder.push(rest)?;
                    rest = &rest[n..];
                    if let Some(header) = header {
                        self.to = state.begin(&header, wakes)?;
                        self.left = header.length;
                    }
                    continue;
                }
                let part = &rest[..self.left.min(rest.len())];
                let n = self.to.map_or(part.len(), |key| state.data(key, part, wakes));
                self.left -= n;
                rest = &rest[n..];
                if n < part.len() {
                    state.blocked = true;
                    break;
                }
            }
            Ok(bytes.len() - rest.len())
        })
    }
}

impl State {
    /// Does what a frame's header says. Returns the stream that wants its data.
    fn begin(&mut self, header: &Header, wakes: &mut Vec<Waker>) -> Result<Option<Key>> {
        let key = Key {
            number: header.number,
            ours: matches!(header.flag, Flag::MessageReceiver | Flag::CloseReceiver | Flag::ResetReceiver),
        };
        match header.flag {
            Flag::NewStream => self.opened_by_peer(key, wakes)?,
            Flag::MessageReceiver | Flag::MessageInitiator => return Ok(Some(key)),
            Flag::CloseReceiver | Flag::CloseInitiator => self.closed_by_peer(key, wakes),
            Flag::ResetReceiver | Flag::ResetInitiator => self.reset_by_peer(key, wakes),
        }
        Ok(None)
    }

    fn opened_by_peer(&mut self, key: Key, wakes: &mut Vec<Waker>) -> Result<()> {
        if self.streams.contains_key(&key) {
            return Err(Error::violated(Violation::OutOfOrder, format!("stream {} was opened twice", key.number)));
        }
        // Every stream of the peer can cost us a frame in answer. One that lets them pile up cannot be served.
        if self.out.len() > 2 * self.limits.send_buffer {
            return Err(Error::violated(Violation::Flood, "streams were opened without reading what became of them"));
        }
        if self.closing {
            return Ok(());
        }
        if self.inbound() >= self.limits.max_streams || self.unaccepted.len() >= self.limits.max_unaccepted {
            self.refuse(key);
            return Ok(());
        }
        self.streams.insert(key, Entry::default());
        self.unaccepted.push_back(key);
        wakes.extend(self.acceptor.take());
        Ok(())
    }

    fn closed_by_peer(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        // A frame for a stream that is over is late, not wrong.
        let Some(entry) = self.streams.get_mut(&key).filter(|entry| entry.reset.is_none()) else { return };
        entry.remote_closed = true;
        wakes.extend(entry.reader.take());
        self.tidy(key, wakes);
    }

    fn reset_by_peer(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        let Some(entry) = self.streams.get_mut(&key).filter(|entry| !entry.is_over()) else { return };
        if entry.remote_closed {
            // Sent completely: the reset only says that the peer reads no more.
            entry.reset = Some(0);
            entry.wake(wakes);
            self.tidy(key, wakes);
            return;
        }
        if let Some(at) = self.unaccepted.iter().position(|unaccepted| *unaccepted == key) {
            self.unaccepted.remove(at);
            self.abandon(key, wakes);
            return;
        }
        self.reset(key, 0, wakes);
    }

    /// Takes data for a stream. Returns how much of it: not all where the stream must hold up the connection.
    fn data(&mut self, key: Key, data: &[u8], wakes: &mut Vec<Waker>) -> usize {
        let room_of_all = self.limits.connection_buffer - self.received;
        let Some(entry) = self.streams.get_mut(&key) else { return data.len() };
        if entry.discard || entry.remote_closed || entry.reset.is_some() {
            return data.len();
        }
        let room = (self.limits.receive_buffer - entry.unread).min(room_of_all);
        if room < data.len() && self.limits.overflow == Overflow::Reset {
            self.refuse(key);
            self.reset(key, 0, wakes);
            return data.len();
        }
        let n = room.min(data.len());
        if n > 0 {
            let grown = buffer::append(&mut entry.received, 0, Buffer::CHUNK, &data[..n]);
            entry.unread += n;
            entry.memory += grown;
            self.received += n;
            self.budget.charge(grown);
            wakes.extend(entry.reader.take());
        }
        n
    }
}
