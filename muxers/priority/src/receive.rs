//! What arrives: frames are parsed where they lie in the pipe's buffer, their data copied to their streams.

use std::{mem, time::Instant};

use stackwire_core::{Buffer, Error, Result, Violation, buffer};
use stackwire_driver::Wakes;

use crate::{
    connection::{Connection, State},
    entry::Entry,
    settings::{MAX_CREDIT, Settings},
    wire::{END, FrameKind, HEADER, Header, number, priority_of},
};

/// Where in a frame the reading stands.
#[derive(Default)]
pub(crate) struct Receiver {
    head: [u8; HEADER],
    have: usize,
    /// The frame whose payload comes, and how much of it.
    frame: Option<(Header, usize)>,
    /// The payload of a frame that is not DATA, as far as it arrived.
    body: Vec<u8>,
}

impl Receiver {
    pub(crate) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.frame.is_none()
    }

    /// Takes all of `bytes`, up to a CLOSE. Whether there was one.
    pub(crate) fn receive(
        &mut self,
        connection: &Connection,
        mut bytes: &[u8],
        now: Instant,
        wakes: &mut Wakes,
    ) -> Result<bool> {
        connection.with_wakes(wakes, |state, wakes| {
            state.liveness.heard(now);
            state.active(bytes.len());
            while !bytes.is_empty() && state.closed.is_none() {
                bytes = match self.frame {
                    None => self.head(state, bytes, now, wakes)?,
                    Some((header, left)) => self.payload(state, header, left, bytes, now, wakes)?,
                };
            }
            Ok(state.closed.is_some())
        })
    }

    fn head<'a>(&mut self, state: &mut State, bytes: &'a [u8], now: Instant, wakes: &mut Wakes) -> Result<&'a [u8]> {
        let (part, rest) = bytes.split_at(bytes.len().min(HEADER - self.have));
        self.head[self.have..self.have + part.len()].copy_from_slice(part);
        self.have += part.len();
        if self.have < HEADER {
            return Ok(rest);
        }
        self.have = 0;
        let header = Header::decode(self.head)?;
        if state.greeted == (header.kind == FrameKind::Settings) {
            let wrong = if state.greeted { "SETTINGS twice" } else { "a first frame that is not SETTINGS" };
            return Err(Error::violated(Violation::OutOfOrder, wrong));
        }
        if header.kind == FrameKind::Data {
            state.data_begins(&header, now)?;
        }
        match header.length {
            0 => state.frame_ends(&header, &[], now, wakes)?,
            length => self.frame = Some((header, length.into())),
        }
        Ok(rest)
    }

    fn payload<'a>(
        &mut self,
        state: &mut State,
        header: Header,
        left: usize,
        bytes: &'a [u8],
        now: Instant,
        wakes: &mut Wakes,
    ) -> Result<&'a [u8]> {
        let (part, rest) = bytes.split_at(bytes.len().min(left));
        let done = part.len() == left;
        self.frame = (!done).then_some((header, left - part.len()));
        if header.kind == FrameKind::Data {
            state.data(header.stream, part, wakes);
            if done {
                state.frame_ends(&header, &[], now, wakes)?;
            }
        } else if done && self.body.is_empty() {
            state.frame_ends(&header, part, now, wakes)?;
        } else {
            self.body.extend_from_slice(part);
            if done {
                state.frame_ends(&header, &mem::take(&mut self.body), now, wakes)?;
            }
        }
        Ok(rest)
    }
}

/// `credit` and `more`, unless that is too much.
fn add_credit(credit: u32, more: u32) -> Result<u32> {
    match credit.checked_add(more).filter(|sum| more > 0 && *sum <= MAX_CREDIT) {
        Some(sum) => Ok(sum),
        None => {
            let error = Error::violated(Violation::FlowControl, "credit of nothing, or of too much");
            Err(error.with("credit", more).with("before", credit).with("limit", MAX_CREDIT))
        }
    }
}

impl State {
    /// The stream of a frame: `None` where it is over. Fails where it was never opened.
    fn stream(&mut self, id: u32) -> Result<Option<&mut Entry>> {
        let opened = if self.is_ours(id) { id < self.next_announced } else { id < self.next_theirs };
        if !opened {
            return Err(Error::violated(
                Violation::OutOfOrder,
                format!("a frame for stream {id}, which was never opened"),
            ));
        }
        Ok(self.streams.get_mut(&id))
    }

    /// Checks that a DATA frame may be sent, and takes it from the peer's credit.
    fn data_begins(&mut self, header: &Header, now: Instant) -> Result<()> {
        let (id, length) = (header.stream, u32::from(header.length));
        let round_trip = self.liveness.shortest;
        if !self.window.use_up(length) {
            let error = Error::violated(Violation::FlowControl, "more data than the connection's window");
            return Err(error.with("stream", id).with("bytes", length));
        }
        let Some(entry) = self.stream(id)?.filter(|entry| entry.reset.is_none() && !entry.discard) else {
            return Ok(());
        };
        if entry.ended {
            return Err(Error::violated(Violation::OutOfOrder, format!("data on stream {id} after its end")));
        }
        if !entry.window.use_up(length) {
            let error = Error::violated(Violation::FlowControl, "more data than the window of a stream");
            return Err(error.with("stream", id).with("bytes", length));
        }
        entry.window.arrived(length, now, round_trip);
        Ok(())
    }

    /// Data of a stream, or a piece of it.
    fn data(&mut self, id: u32, data: &[u8], wakes: &mut Wakes) {
        let leaving = self.leaving.is_some();
        let wanted = self.streams.get_mut(&id).filter(|entry| !entry.receive_ended() && !leaving);
        let Some(entry) = wanted else { return self.consumed(data.len(), wakes) };
        let grown = buffer::append(&mut entry.received, 0, Buffer::CHUNK, data);
        entry.memory += grown;
        wakes.push(entry.reader.take());
        self.budget.charge(grown);
        self.relieve(wakes);
    }

    /// Does what a frame says, now that it is complete. The data of DATA was taken already.
    fn frame_ends(&mut self, header: &Header, payload: &[u8], now: Instant, wakes: &mut Wakes) -> Result<()> {
        let id = header.stream;
        // The header was checked: those with a number have one.
        let value = number(payload).unwrap_or_default();
        match header.kind {
            FrameKind::Settings => self.settings(Settings::decode(payload)?, wakes),
            FrameKind::Open => self.opened_by_peer(header, wakes)?,
            FrameKind::Data if header.flags & END != 0 => self.ended_by_peer(id, wakes),
            FrameKind::Data => {}
            FrameKind::Credit => self.credit(id, value)?,
            FrameKind::Streams => self.streams_allowed(value, wakes)?,
            FrameKind::Reset => {
                // Twice is once; and what was complete stays so.
                if self.stream(id)?.is_some_and(|entry| !entry.is_over()) {
                    self.reset_by_peer(id, value, wakes);
                }
            }
            FrameKind::Stop => {
                if self.stream(id)?.is_some() {
                    self.stop(id, value, wakes);
                }
            }
            FrameKind::Priority => {
                if self.stream(id)?.is_some_and(|entry| !entry.chosen) {
                    self.move_to(id, priority_of(header.flags));
                }
            }
            FrameKind::Ping => {
                if self.pong.replace(payload.try_into().unwrap_or_default()).is_some() {
                    return Err(Error::violated(Violation::Flood, "a PING before the last was answered"));
                }
            }
            FrameKind::Pong => self.liveness.pong(payload, now)?,
            FrameKind::Datagram => {
                if !self.window.use_up(header.length.into()) {
                    return Err(Error::violated(Violation::FlowControl, "a datagram beyond the connection's window"));
                }
                self.stream(id)?;
                self.datagram(id, payload, wakes);
            }
            FrameKind::GoAway => self.peer_leaves(value, wakes)?,
            FrameKind::Close => self.closed = Some(value),
        }
        Ok(())
    }

    fn settings(&mut self, settings: Settings, wakes: &mut Wakes) {
        self.greeted = true;
        let Settings { streams, stream_window, connection_window } = settings;
        // None is below the initial value.
        self.send_credit += connection_window - self.peer.connection_window;
        let more = stream_window - self.peer.stream_window;
        self.may_open = streams.into();
        self.peer = settings;
        self.unpark();
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.credit += more;
            }
            self.enqueue(id);
        }
        wakes.append(&mut self.openers);
    }

    fn opened_by_peer(&mut self, header: &Header, wakes: &mut Wakes) -> Result<()> {
        let id = header.stream;
        if id != self.next_theirs {
            return Err(Error::violated(
                Violation::OutOfOrder,
                format!("stream {id} was opened where {} is next", self.next_theirs),
            ));
        }
        // No more than the number of ids is ever allowed.
        self.next_theirs = id
            .checked_add(2)
            .ok_or_else(|| Error::violated(Violation::OutOfOrder, "more streams than there are ids"))?;
        self.theirs_opened += 1;
        let unaware = u64::from(Settings::INITIAL.streams);
        if self.theirs_opened > self.theirs_allowed.max(unaware) {
            return Err(Error::violated(Violation::FlowControl, "more streams than were allowed"));
        }
        if self.leaving.is_some() {
            return Ok(());
        }
        if self.theirs >= self.config.max_streams || self.unaccepted.len() >= self.config.max_unaccepted as usize {
            self.refused.push_back(id);
            return Ok(());
        }
        let entry = Entry::new(priority_of(header.flags), self.peer.stream_window, self.config.stream_window);
        self.streams.insert(id, entry);
        self.theirs += 1;
        self.unaccepted.push_back(id);
        wakes.push(self.acceptor.take());
        Ok(())
    }

    fn ended_by_peer(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id).filter(|entry| entry.reset.is_none()) else { return };
        entry.ended = true;
        entry.due.credit = false;
        wakes.push(entry.reader.take());
        if entry.is_over() {
            entry.wake(wakes);
        }
        self.tidy(id, wakes);
    }

    fn reset_by_peer(&mut self, id: u32, code: u32, wakes: &mut Wakes) {
        if self.streams.get(&id).is_some_and(|entry| entry.ended) {
            // All of it arrived: the reset only fails what we still write.
            self.clear_unsent(id);
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.reset = Some(code);
                entry.due = Default::default();
                entry.wake(wakes);
            }
            self.tidy(id, wakes);
        } else {
            self.reset(id, code, false, wakes);
        }
    }

    fn credit(&mut self, id: u32, bytes: u32) -> Result<()> {
        if id == 0 {
            self.send_credit = add_credit(self.send_credit, bytes)?;
            self.unpark();
            return Ok(());
        }
        if let Some(entry) = self.stream(id)? {
            entry.credit = add_credit(entry.credit, bytes)?;
            self.enqueue(id);
        } else if bytes == 0 {
            return Err(Error::misbehaved("a CREDIT of nothing"));
        }
        Ok(())
    }

    fn streams_allowed(&mut self, streams: u32, wakes: &mut Wakes) -> Result<()> {
        let unused = self.may_open.saturating_sub(self.opened);
        add_credit(u32::try_from(unused).unwrap_or(u32::MAX), streams)?;
        self.may_open += u64::from(streams);
        wakes.append(&mut self.openers);
        Ok(())
    }

    fn peer_leaves(&mut self, code: u32, wakes: &mut Wakes) -> Result<()> {
        if self.left.replace(code).is_some() {
            return Err(Error::violated(Violation::OutOfOrder, "GO_AWAY twice"));
        }
        // It discards whatever comes.
        self.clear_places();
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            self.stop(id, code, wakes);
            self.clear_unsent(id);
        }
        wakes.append(&mut self.openers);
        Ok(())
    }
}
