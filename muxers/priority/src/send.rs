//! What is sent next. Source: SPEC.md, “Priorities”.

use std::{mem, time::Instant};

use stackwire_core::{Env, Priority};
use stackwire_driver::Wakes;

use crate::{
    connection::State,
    entry::{Due, Place},
    outgoing::{Lane, Outgoing},
    settings::Settings,
    wire::{END, FrameKind, HEADER, Header, NO_RESOURCES, encode_number, encode_ping, priority_flags},
};

/// No more frames without data are collected while the pipe has not taken so many bytes of them. Whoever asks for answers
/// and reads none gets no more.
const CONTROL: usize = 4096;

/// Credit of the connection that only urgent streams use, in bytes.
const URGENT_CREDIT: u32 = 16 * 1024;

/// The most bytes of a datagram: the smallest window of a connection has room for it beside what is urgent.
pub(crate) const MAX_DATAGRAM: usize = (Settings::INITIAL.connection_window - URGENT_CREDIT) as usize;

/// Data is not cut below this only because a batch is nearly full.
const WORTH_SENDING: usize = 4096;

/// What became of a stream's turn.
enum Turn {
    /// So many bytes, with their header.
    Sent(usize),
    /// It could send nothing.
    Passed,
    /// What it has does not fit; it is still its turn.
    NoRoom,
}

/// What a turn may use.
struct Room {
    bytes: usize,
    credit: u32,
}

impl State {
    /// Moves what is to be sent next into `out`.
    pub(crate) fn collect(&mut self, out: &mut Outgoing, now: Instant, env: &Env, wakes: &mut Wakes) {
        out.begin();
        if self.close_sent || self.ended.is_some() {
            return;
        }
        if out.take_bulk_begun() || !self.shared_waiting(out) {
            self.urgent_run = 0;
        }
        self.collect_connection(&mut out.control, now, env);
        self.collect_control(out, wakes);
        self.collect_urgent(out, now, wakes);
        if out.bulk.is_empty() {
            self.collect_shared(out, now, wakes);
        }
        self.collect_end(out);
    }

    fn shared_waiting(&self, out: &Outgoing) -> bool {
        !out.bulk.is_empty() || self.schedule.shared_waiting()
    }

    /// Frames of the connection.
    fn collect_connection(&mut self, lane: &mut Lane, now: Instant, env: &Env) {
        if !mem::replace(&mut self.hello_sent, true) {
            lane.add(&self.config.settings().encode(), &[]);
        }
        // There is one at most.
        if let Some(payload) = self.liveness.ping(now, env) {
            lane.add(&encode_ping(FrameKind::Ping, payload), &[]);
        }
        if lane.bytes >= CONTROL {
            return;
        }
        if let Some(payload) = self.pong.take() {
            lane.add(&encode_ping(FrameKind::Pong, payload), &[]);
        }
        for id in self.refused.drain(..) {
            lane.add(&encode_number(FrameKind::Reset, id, NO_RESOURCES), &[]);
        }
        if mem::take(&mut self.window_due) {
            let bytes = self.window.give();
            lane.add(&encode_number(FrameKind::Credit, 0, bytes), &[]);
        }
        let streams = self.streams_to_give();
        if streams > 0 {
            self.theirs_allowed += u64::from(streams);
            lane.add(&encode_number(FrameKind::Streams, 0, streams), &[]);
        }
    }

    /// Frames of streams that carry no data.
    fn collect_control(&mut self, out: &mut Outgoing, wakes: &mut Wakes) {
        for _ in 0..self.control.len() {
            if out.control.bytes >= CONTROL {
                return;
            }
            let Some(id) = self.control.pop_front() else { return };
            // No more than the node has room for.
            let room = u32::try_from(self.budget.room()).unwrap_or(u32::MAX);
            let budget = (self.config.receive_window / 2).min(self.grown.saturating_add(room));
            let Some(entry) = self.streams.get_mut(&id) else { continue };
            let mut due = mem::take(&mut entry.due);
            entry.in_control = false;
            let lane = &mut out.control;
            let plain = |kind, flags| Header { kind, flags, length: 0, stream: id }.encode();
            if due.open {
                lane.add(&plain(FrameKind::Open, priority_flags(entry.class)), &[]);
                // Ids end before they wrap.
                self.next_announced = id.saturating_add(2);
            } else if due.priority {
                lane.add(&plain(FrameKind::Priority, priority_flags(entry.class)), &[]);
            }
            if due.credit && !entry.receive_ended() {
                self.grown += entry.window.grow(budget.saturating_sub(self.grown));
                let bytes = entry.window.give();
                lane.add(&encode_number(FrameKind::Credit, id, bytes), &[]);
            }
            if due.stop {
                lane.add(&encode_number(FrameKind::Stop, id, 0), &[]);
            }
            if due.reset {
                let code = entry.reset.unwrap_or_default();
                lane.add(&encode_number(FrameKind::Reset, id, code), &[]);
            }
            if due.end {
                // An end must not overtake the data before it.
                if entry.in_lanes(out) {
                    due = Due { end: true, ..Due::default() };
                    entry.due = due;
                    entry.in_control = true;
                    self.control.push_back(id);
                    continue;
                }
                out.control.add(&plain(FrameKind::Data, END), &[]);
                entry.end_sent = true;
                entry.ended_by_us(wakes);
            }
            if due.open {
                // What was written meanwhile waited for that.
                self.enqueue(id);
            }
            self.tidy(id, wakes);
        }
    }

    /// Urgent data.
    fn collect_urgent(&mut self, out: &mut Outgoing, now: Instant, wakes: &mut Wakes) {
        let mut passed = 0;
        while passed < self.schedule.waiting(Priority::Urgent) {
            let shared = self.shared_waiting(out);
            let full = out.unflushed + out.express.bytes >= 2 * self.config.max_batch;
            if full || self.send_credit == 0 || (shared && self.urgent_run >= self.config.urgent_burst) {
                return;
            }
            let Some(id) = self.schedule.pop(Priority::Urgent) else { return };
            // It was not urgent a moment ago: its data must not overtake itself.
            if self.streams.get(&id).is_some_and(|entry| entry.in_bulk(out)) {
                self.schedule.push(Priority::Urgent, id);
                passed += 1;
                continue;
            }
            let room = Room { bytes: usize::MAX, credit: self.send_credit };
            match self.turn(id, &mut out.express, &room, now, wakes) {
                Turn::Sent(bytes) => {
                    self.urgent_run += bytes;
                    if let Some(entry) = self.streams.get_mut(&id) {
                        entry.express_round = out.express.round;
                    }
                }
                Turn::Passed => {}
                Turn::NoRoom => return,
            }
        }
    }

    /// All other data, by weight, as much as makes a batch.
    fn collect_shared(&mut self, out: &mut Outgoing, now: Instant, wakes: &mut Wakes) {
        while let Some(class) = self.schedule.next_shared() {
            let credit = self.send_credit.saturating_sub(URGENT_CREDIT);
            let bytes = self.config.max_batch.saturating_sub(out.ahead());
            if credit == 0 || bytes <= HEADER {
                return;
            }
            let Some(id) = self.schedule.pop(class) else { return };
            let room = Room { bytes, credit };
            match self.turn(id, &mut out.bulk, &room, now, wakes) {
                Turn::Sent(bytes) => {
                    self.schedule.charge(class, bytes);
                    if let Some(entry) = self.streams.get_mut(&id) {
                        entry.bulk_round = out.bulk.round;
                    }
                }
                Turn::Passed => {}
                Turn::NoRoom => return,
            }
        }
    }

    /// Lets a stream, just taken from the schedule, send one frame.
    fn turn(&mut self, id: u32, lane: &mut Lane, room: &Room, now: Instant, wakes: &mut Wakes) -> Turn {
        let leaving = self.leaving.is_some();
        let share = self.share();
        let Some(entry) = self.streams.get_mut(&id) else { return Turn::Passed };
        entry.place = Place::Nowhere;
        let header = |kind, flags, length: usize| Header { kind, flags, length: length as u16, stream: id }.encode();
        if let Some(slots) = entry.datagrams.as_mut()
            && let Some(datagram) = slots.unsent.take_if(|datagram| datagram.len() <= room.credit as usize)
        {
            let length = datagram.len();
            lane.add(&header(FrameKind::Datagram, 0, length), &datagram);
            self.freed(id, length);
            self.send_credit -= length as u32;
            self.enqueue(id);
            return Turn::Sent(HEADER + length);
        }
        let Some(chunk) = entry.unsent.front().filter(|_| entry.credit > 0) else {
            // A datagram waits for credit of the connection, and holds up nobody meanwhile.
            if entry.datagram().is_some() {
                entry.place = Place::Parked;
                self.parked.push(id);
            }
            return Turn::Passed;
        };
        let in_chunk = chunk.len() - entry.front;
        let mut length = in_chunk.min(room.credit.min(entry.credit) as usize);
        if let Some(bucket) = entry.bucket.as_mut().filter(|_| !leaving) {
            match bucket.allow(length, now) {
                Ok(allowed) => length = allowed,
                Err(at) => {
                    entry.place = Place::Throttled;
                    self.throttled.push((at, id));
                    return Turn::Passed;
                }
            }
        }
        let fits = room.bytes.saturating_sub(HEADER);
        if fits < length.min(WORTH_SENDING) {
            entry.place = Place::Queue;
            let class = entry.class;
            self.schedule.push_front(class, id);
            return Turn::NoRoom;
        }
        length = length.min(fits);
        let end = entry.closing && length == entry.unsent_bytes;
        let header = header(FrameKind::Data, if end { END } else { 0 }, length);
        if length == in_chunk {
            if let Some(chunk) = entry.unsent.pop_front() {
                entry.memory -= chunk.capacity();
                self.budget.release(chunk.capacity());
                lane.add_chunk(&header, chunk, entry.front);
            }
            entry.front = HEADER;
        } else {
            lane.add(&header, &chunk[entry.front..entry.front + length]);
            entry.front += length;
        }
        entry.credit -= length as u32;
        entry.unsent_bytes -= length;
        self.send_credit -= length as u32;
        self.unsent -= length;
        if let Some(bucket) = &mut entry.bucket {
            bucket.spend(length);
        }
        if entry.unsent_bytes == 0 {
            self.writers -= 1;
        }
        if end {
            entry.end_sent = true;
            entry.ended_by_us(wakes);
        } else if !entry.closing && (entry.unsent_bytes == 0 || entry.unsent_bytes + self.config.max_fragment <= share)
        {
            wakes.push(entry.writer.take());
        }
        self.enqueue(id);
        self.tidy(id, wakes);
        Turn::Sent(HEADER + length)
    }

    /// The frames of a close: one at once, one when everything was sent.
    fn collect_end(&mut self, out: &mut Outgoing) {
        let Some((code, _)) = self.leaving.filter(|_| self.control.is_empty()) else { return };
        if !mem::replace(&mut self.go_away_sent, true) {
            out.control.add(&encode_number(FrameKind::GoAway, 0, code), &[]);
        }
        if self.unsent == 0 {
            self.close_sent = true;
            // Behind everything.
            out.bulk.add(&encode_number(FrameKind::Close, 0, code), &[]);
        }
    }
}
