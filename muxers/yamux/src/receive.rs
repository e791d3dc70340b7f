//! What arrives: frames are parsed where they lie in the pipe's buffer, their bytes copied to their streams.

use std::mem;

use stackwire_core::{Buffer, CloseCode, Error, Result, Role, Violation};
use stackwire_driver::Wakes;

use crate::{
    connection::{Connection, State},
    entry::Entry,
    wire::{ACK, Decoder, FIN, Header, Kind, RESOURCE_LIMIT, RST, SYN},
};

/// Streams of the peer that wait to be accepted; more are refused. A peer that minds the acknowledgements has no more.
const UNACCEPTED: usize = 256;
/// Answers to pings that wait to be sent; more pings go unanswered, as with go.
const PONGS: usize = 32;
/// Bytes of frames that wait to be sent before data. A peer that makes us say more than this without reading it is
/// not served any longer. Its own windows bound what we say of them far below.
const CONTROL: usize = 256 * 1024;

/// Where in a frame the reading stands.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    decoder: Decoder,
    /// Whose bytes come, and whether its end follows; nobody's are discarded.
    to: Option<(u32, bool)>,
    /// Bytes of the frame that are still to come.
    left: u32,
}

impl Receiver {
    pub(crate) fn is_between_frames(&self) -> bool {
        self.left == 0 && self.decoder.is_empty()
    }

    /// Hands `bytes` out. Fails with `PeerMisbehaved`, and with `Reset` where the peer goes away with a code.
    pub(crate) fn receive(&mut self, connection: &Connection, bytes: &[u8], wakes: &mut Wakes) -> Result<()> {
        connection.with_wakes(wakes, |state, wakes| {
            state.pulse.hear(bytes.len());
            self.parse(state, bytes, wakes)
        })
    }

    /// How many bytes in a row come for one stream.
    pub(crate) fn wanted(&self) -> usize {
        if self.to.is_some() { self.left as usize } else { 0 }
    }

    /// Hands out a buffer of no more bytes than are [wanted](Self::wanted).
    pub(crate) fn receive_buffer(&mut self, connection: &Connection, buffer: Buffer, wakes: &mut Wakes) {
        connection.with_wakes(wakes, |state, wakes| {
            state.pulse.hear(buffer.len());
            // No more than `left`, which is a u32.
            self.left -= buffer.len() as u32;
            if let Some((id, _)) = self.to {
                // What streams hold is bounded by their windows: memory that is mostly empty does not go along.
                match buffer.len() < buffer.capacity() / 2 {
                    true => state.data(id, &buffer, self.left, wakes),
                    false => state.whole(id, buffer, wakes),
                }
            }
            self.finish(state, wakes);
        });
    }

    fn parse(&mut self, state: &mut State, mut bytes: &[u8], wakes: &mut Wakes) -> Result<()> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (n, header) = self.decoder.push(bytes)?;
                bytes = &bytes[n..];
                if let Some(header) = header {
                    self.to = state.begin(header, wakes)?;
                    self.left = header.body();
                    self.finish(state, wakes);
                }
                continue;
            }
            let (part, later) = bytes.split_at(bytes.len().min(self.left as usize));
            // No more than `left`, which is a u32.
            self.left -= part.len() as u32;
            if let Some((id, _)) = self.to {
                state.data(id, part, self.left, wakes);
            }
            bytes = later;
            self.finish(state, wakes);
        }
        Ok(())
    }

    /// Does what comes after a frame's last byte, if that was it.
    fn finish(&mut self, state: &mut State, wakes: &mut Wakes) {
        if self.left == 0
            && let Some((id, true)) = self.to.take()
        {
            state.closed_by_peer(id, wakes);
        }
    }
}

impl State {
    /// Does what a frame's header says. Returns the stream that gets its bytes, and whether its end follows them.
    fn begin(&mut self, header: Header, wakes: &mut Wakes) -> Result<Option<(u32, bool)>> {
        if self.control.len() > CONTROL {
            return Err(Error::violated(Violation::Flood, "the peer asks for answers without reading any"));
        }
        match header.kind {
            Kind::Data | Kind::WindowUpdate => self.stream_frame(header, wakes),
            Kind::Ping if header.has(ACK) => {
                let now = self.env.now();
                match self.pulse.answered(header.length, now) {
                    true => Ok(None),
                    false => Err(Error::violated(Violation::OutOfOrder, "an answer to a ping that was not sent")),
                }
            }
            Kind::Ping => {
                if self.pongs < PONGS {
                    self.pongs += 1;
                    self.send(Header::session(Kind::Ping, ACK, header.length), wakes);
                }
                Ok(None)
            }
            Kind::GoAway if header.length == 0 => {
                self.went_away = true;
                wakes.append(&mut self.openers);
                Ok(None)
            }
            Kind::GoAway => Err(CloseCode(header.length).error()),
        }
    }

    fn stream_frame(&mut self, header: Header, wakes: &mut Wakes) -> Result<Option<(u32, bool)>> {
        let id = header.stream;
        if header.has(RST) {
            let code = if header.kind == Kind::WindowUpdate { header.length } else { 0 };
            self.reset_by_peer(id, code, wakes)?;
            return Ok(None);
        }
        if header.has(SYN) {
            self.opened_by_peer(id, wakes)?;
        }
        // A frame of a stream that is over, or was refused, is late and not wrong.
        let Some(entry) = self.streams.get_mut(&id).filter(|entry| entry.reset.is_none()) else { return Ok(None) };
        if !mem::replace(&mut entry.acknowledged, true) {
            self.unacknowledged -= 1;
            self.met = true;
            wakes.append(&mut self.openers);
        }
        if header.kind == Kind::WindowUpdate {
            let granted = entry.credit.checked_add(header.length);
            entry.credit =
                granted.ok_or_else(|| Error::violated(Violation::FlowControl, "credit of more than 4 GiB"))?;
            if header.length > 0 {
                wakes.add(&mut entry.writer);
            }
            return Ok(Some((id, header.has(FIN))));
        }
        if entry.remote_closed {
            return Ok(None);
        }
        if !entry.window.take(header.length, self.pulse.least(), || self.env.now()) {
            let (length, credit) = (header.length, entry.window.credit());
            let error = Error::violated(Violation::FlowControl, "more data than the window of a stream");
            return Err(error.with("stream", id).with("bytes", length).with("window", credit));
        }
        Ok(Some((id, header.has(FIN))))
    }

    fn opened_by_peer(&mut self, id: u32, wakes: &mut Wakes) -> Result<()> {
        if (id % 2 == 1) == (self.role == Role::Dialer) {
            return Err(Error::violated(Violation::OutOfOrder, format!("stream {id} was opened by the wrong side")));
        }
        if self.streams.contains_key(&id) {
            return Err(Error::violated(Violation::OutOfOrder, format!("stream {id} was opened twice")));
        }
        if self.closing.is_some() {
            return Ok(());
        }
        if self.inbound() >= self.limits.max_streams as usize || self.unaccepted.len() >= UNACCEPTED {
            self.send(Header::reset(id, RESOURCE_LIMIT), wakes);
            return Ok(());
        }
        self.streams.insert(id, Entry::new(false, &self.budget));
        self.unaccepted.push_back(id);
        wakes.add(&mut self.acceptor);
        Ok(())
    }

    fn closed_by_peer(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id).filter(|entry| entry.reset.is_none()) else { return };
        entry.remote_closed = true;
        wakes.add(&mut entry.reader);
        self.tidy(id, wakes);
    }

    fn reset_by_peer(&mut self, id: u32, code: u32, wakes: &mut Wakes) -> Result<()> {
        let Some(entry) = self.streams.get_mut(&id).filter(|entry| !entry.is_over()) else { return Ok(()) };
        if !entry.ours && !entry.is_announced() && !self.withdrawals.allow(self.env.now()) {
            return Err(Error::violated(
                Violation::Flood,
                "the peer opens and resets streams faster than they can be answered",
            ));
        }
        if entry.remote_closed {
            // It was sent completely: what was received stays, and the reset only says that the peer reads no more.
            let received = mem::take(&mut entry.received);
            self.reset(id, code, wakes);
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.received = received;
            }
            return Ok(());
        }
        if let Some(at) = self.unaccepted.iter().position(|unaccepted| *unaccepted == id) {
            self.unaccepted.remove(at);
            self.reset(id, code, wakes);
            self.abandon(id, wakes);
            return Ok(());
        }
        self.reset(id, code, wakes);
        Ok(())
    }

    /// Takes bytes of a stream, of whose frame `left` are still to come.
    fn data(&mut self, id: u32, data: &[u8], left: u32, wakes: &mut Wakes) {
        let Some(entry) = self.reading(id, data.len(), wakes) else { return };
        // The peer can't send more than this until it is granted more.
        let most = data.len() + left as usize + entry.window.credit() as usize;
        entry.received.push(data, most);
        wakes.add(&mut entry.reader);
        self.relieve(wakes);
    }

    /// The same with the memory that they lie in.
    fn whole(&mut self, id: u32, buffer: Buffer, wakes: &mut Wakes) {
        let Some(entry) = self.reading(id, buffer.len(), wakes) else { return };
        entry.received.push_chunk(buffer);
        wakes.add(&mut entry.reader);
        self.relieve(wakes);
    }

    /// The stream that gets so many bytes, unless nobody will read them.
    fn reading(&mut self, id: u32, bytes: usize, wakes: &mut Wakes) -> Option<&mut Entry> {
        let entry = self.streams.get(&id)?;
        if entry.discard || entry.remote_closed || entry.reset.is_some() {
            // No more than the window, which is a u32.
            self.credit(id, bytes as u32, wakes);
            return None;
        }
        self.streams.get_mut(&id)
    }
}
