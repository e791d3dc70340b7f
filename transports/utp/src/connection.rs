//! One connection: what its packets mean, and when which are sent. It does no I/O and reads no clock.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use stackwire_core::{Error, Kind, Layer, Result, Retry};
use tokio::io::ReadBuf;

use crate::{
    NAME, UtpConfig,
    ledbat::{Acked, Ledbat},
    receiver::Receiver,
    rtt::Rtt,
    sender::Sender,
    wire::{Header, Packet, Type},
};

/// How long a connection that both sides have closed still acknowledges: our last acknowledgement may be lost.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How long a connection that was given up waits for the peer to close its side too.
const FADING: Duration = Duration::from_secs(10);
/// A dialer's first packet after the answer shows the listener that it was received. Where nothing else is said, it is
/// repeated so often, so far apart: it may be lost.
const GREETINGS: (u8, Duration) = (3, Duration::from_secs(1));

/// A moment, and what the timestamps of packets say at it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub at: Instant,
    pub micros: u32,
}

#[derive(Debug)]
enum Phase {
    /// We asked for it and were not answered yet.
    Dialing,
    Open,
    /// It ended other than by both sides' close.
    Failed {
        error: Error,
        /// We reset it ourselves; what was not read is gone.
        by_us: bool,
    },
}

/// The pipe was dropped.
#[derive(Clone, Copy, Debug)]
struct Released {
    at: Instant,
    /// The peer sends, or sent, what nobody reads: it must learn that.
    unwanted: bool,
}

#[derive(Debug)]
pub struct Connection {
    config: UtpConfig,
    /// The number of packets to us, and of packets to the peer.
    ids: (u16, u16),
    phase: Phase,
    sender: Sender,
    receiver: Receiver,
    rtt: Rtt,
    ledbat: Ledbat,
    /// The peer has answered something only one who gets our packets can know.
    proven: bool,
    peer_window: usize,
    /// How long the peer's last packet was under way.
    delay: u32,
    ack_due: bool,
    reset_due: bool,
    /// How often a dialer still says that it is there, to a peer that has not shown that it knows.
    greetings: u8,
    /// Send one packet to a peer without room, to hear whether it still has none; and: that packet is under way.
    probe: bool,
    probing: bool,
    timeout_at: Option<Instant>,
    /// When the peer was heard, when we spoke, and since when an answer is awaited, or when the last one came.
    heard: Instant,
    spoke: Instant,
    awaiting_since: Instant,
    released: Option<Released>,
    /// Both sides have closed.
    over_at: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The earliest of the driver's alarms for this connection.
    pub(crate) alarm: Option<Instant>,
}

impl Connection {
    /// A connection that we ask for. Our first packet is `seq`, packets to us have the number `id`.
    pub(crate) fn dial(config: UtpConfig, id: u16, seq: u16, now: Instant) -> Self {
        let mut this = Self::new(config, (id, id.wrapping_add(1)), seq, 0, now);
        this.phase = Phase::Dialing;
        this.sender.open();
        this
    }

    /// The connection that the packet `syn` asks for. Our first packet will be `seq`.
    pub fn accept(config: UtpConfig, syn: &Header, seq: u16, now: Now) -> Self {
        let ids = (syn.connection.wrapping_add(1), syn.connection);
        let mut this = Self::new(config, ids, seq, syn.seq, now.at);
        this.peer_window = syn.window as usize;
        this.delay = now.micros.wrapping_sub(syn.timestamp);
        this.ack_due = true;
        this
    }

    /// The packet that asked for this connection was answered already.
    pub(crate) fn was_answered(&mut self) {
        self.ack_due = false;
    }

    fn new(config: UtpConfig, ids: (u16, u16), seq: u16, ack: u16, now: Instant) -> Self {
        let max_payload = config.max_payload();
        Self {
            config,
            ids,
            phase: Phase::Open,
            sender: Sender::new(seq, max_payload, config.send_buffer as usize),
            receiver: Receiver::new(ack, config.receive_buffer as usize),
            rtt: Rtt::default(),
            ledbat: Ledbat::new(Duration::from_millis(config.target_delay_ms.into()), max_payload),
            proven: false,
            peer_window: 0,
            delay: 0,
            ack_due: false,
            reset_due: false,
            greetings: 0,
            probe: false,
            probing: false,
            timeout_at: None,
            heard: now,
            spoke: now,
            awaiting_since: now,
            released: None,
            over_at: None,
            reader: None,
            writer: None,
            alarm: None,
        }
    }

    /// The number of packets to us, and of packets to the peer.
    pub(crate) fn ids(&self) -> (u16, u16) {
        self.ids
    }

    /// Takes other numbers, before the first packet is sent.
    pub(crate) fn renumber(&mut self, id: u16) {
        self.ids = (id, id.wrapping_add(1));
    }

    // --- What arrives -----------------------------------------------------------------------------------------------

    /// Takes a packet for this connection. One that makes no sense is dropped.
    pub fn receive(&mut self, packet: &Packet<'_>, now: Now) {
        let header = &packet.header;
        match (&self.phase, header.kind) {
            (Phase::Failed { .. }, _) => return,
            (_, Type::Reset) => return self.receive_reset(header),
            // Our answer to the peer's question was lost.
            (_, Type::Syn) => {
                self.ack_due |= self.receiver.is_old(header.seq);
                return;
            }
            (Phase::Dialing, Type::State) if header.ack.wrapping_add(1) == self.sender.next_seq() => {
                self.receiver = Receiver::new(header.seq.wrapping_sub(1), self.config.receive_buffer as usize);
            }
            // Data that has overtaken the answer comes again.
            (Phase::Dialing, _) => return,
            (Phase::Open, _) => {}
        }
        let in_flight = self.sender.in_flight();
        let bare = header.kind == Type::State;
        let Some(progress) = self.sender.acknowledge(header.ack, packet.selective_ack, bare, now.at) else { return };
        if matches!(self.phase, Phase::Dialing) {
            self.phase = Phase::Open;
            // The peer waits for a sign that we are where we say.
            self.ack_due = true;
            self.greetings = GREETINGS.0;
            wake(&mut self.reader);
        } else if progress.any || !bare {
            self.greetings = 0;
        }
        self.proven |= progress.current;
        self.heard = now.at;
        self.delay = now.micros.wrapping_sub(header.timestamp);
        self.peer_window = header.window as usize;
        if let Some(sample) = progress.round_trip {
            self.rtt.measured(sample);
        }
        if progress.bytes > 0 {
            let (bytes, round_trip) = (progress.bytes, progress.round_trip);
            self.ledbat.acked(Acked { bytes, in_flight, delay: header.delay, round_trip }, now.at);
        }
        if progress.lost {
            self.ledbat.lost();
        }
        if progress.any {
            self.rtt.answered();
            self.probing = false;
            self.awaiting_since = now.at;
            self.timeout_at = self.sender.awaits().then(|| now.at + self.rtt.timeout());
        }
        match header.kind {
            Type::Data => self.receive_data(packet, false),
            Type::Fin => self.receive_data(packet, true),
            Type::State | Type::Syn | Type::Reset => {}
        }
        self.settle(now.at);
    }

    fn receive_data(&mut self, packet: &Packet<'_>, fin: bool) {
        let seq = packet.header.seq;
        match &mut self.released {
            Some(released) if !fin && !self.receiver.is_old(seq) => {
                released.unwanted = true;
                return;
            }
            _ => {}
        }
        self.receiver.receive(seq, packet.payload, fin);
        self.ack_due = true;
        if self.receiver.has_unread() || self.receiver.ended() {
            wake(&mut self.reader);
        }
    }

    /// Believes a reset only from one who knows both our numbers and its own: one number can be met by trying. A dial
    /// knows no number of the peer's yet.
    fn receive_reset(&mut self, header: &Header) {
        let expected = self.receiver.ack().wrapping_add(1);
        let dialing = matches!(self.phase, Phase::Dialing);
        let theirs = dialing || header.seq.wrapping_sub(expected) < 1024;
        if theirs && self.sender.is_current(header.ack) {
            let error = match dialing {
                true => Error::new(Kind::Refused, "nobody accepts connections there"),
                false => Error::new(Kind::Reset { code: 0 }, "the peer reset the connection"),
            };
            self.fail(error);
        }
    }

    /// What follows from a change, whatever it was.
    fn settle(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let all_sent = self.sender.is_empty();
        if self.released.is_some_and(|released| released.unwanted) && all_sent {
            return self.reset_because(Error::closed("the pipe was dropped"));
        }
        if self.sender.is_finished() && all_sent && self.receiver.ended() {
            self.over_at.get_or_insert(now);
        }
        if self.sender.has_room() || self.shutdown_is_done() {
            wake(&mut self.writer);
        }
    }

    // --- What is sent -----------------------------------------------------------------------------------------------

    /// Sends what may be sent now, packet by packet, until `emit` is not ready; then the answer is `false`. Where `emit`
    /// fails the packet counts as lost on the way, except that a dial fails with it.
    pub fn transmit(&mut self, now: Now, mut emit: impl FnMut(&[u8]) -> Poll<io::Result<()>>) -> bool {
        if let Phase::Failed { .. } = self.phase {
            if self.reset_due {
                let reset = self.header(Type::Reset, self.sender.next_seq(), now).packet(&[]);
                self.reset_due = emit(&reset).is_pending();
            }
            return !self.reset_due;
        }
        loop {
            // Whoever asks in the name of another must not make us flood that one.
            let window = if self.proven { self.ledbat.window() } else { self.config.max_payload() };
            let Some(index) = self.sender.next(window, self.peer_window, self.probe) else { break };
            let awaited = self.sender.awaits();
            let (kind, seq, _) = self.sender.packet(index);
            let header = self.header(kind, seq, now);
            let (_, _, packet) = self.sender.packet(index);
            header.write(packet);
            match emit(packet) {
                Poll::Pending => return false,
                Poll::Ready(Err(e)) if matches!(self.phase, Phase::Dialing) => {
                    self.could_not(e);
                    return true;
                }
                Poll::Ready(_) => {}
            }
            self.sender.was_sent(index, now.at);
            self.probing |= std::mem::take(&mut self.probe);
            self.spoke = now.at;
            if !awaited {
                self.awaiting_since = now.at;
                self.timeout_at = None;
            }
            self.timeout_at.get_or_insert(now.at + self.rtt.timeout());
            // It acknowledges too, but has no place to name what came early.
            self.ack_due &= self.receiver.has_gap();
        }
        if self.sender.is_held_up(self.peer_window) {
            self.timeout_at.get_or_insert(now.at + self.rtt.timeout());
        }
        if self.ack_due {
            let header = self.header(Type::State, self.sender.next_seq(), now);
            if emit(&header.packet(&self.receiver.selective_ack())).is_pending() {
                return false;
            }
            self.ack_due = false;
            self.spoke = now.at;
        }
        true
    }

    fn header(&mut self, kind: Type, seq: u16, now: Now) -> Header {
        let dialing = matches!(self.phase, Phase::Dialing);
        Header {
            kind,
            connection: if kind == Type::Syn { self.ids.0 } else { self.ids.1 },
            timestamp: now.micros,
            delay: self.delay,
            window: if self.released.is_some() { 0 } else { self.receiver.tell_window() },
            seq,
            ack: if dialing { 0 } else { self.receiver.ack() },
        }
    }

    // --- Time -------------------------------------------------------------------------------------------------------

    /// When [`Connection::alarm`] must next be called, unless something changes before.
    pub fn deadline(&self) -> Option<Instant> {
        if let Phase::Failed { .. } = self.phase {
            return None;
        }
        let over = self.over_at.map(|at| at + LAST_ANSWERS);
        [self.timeout_at, self.fades_at(), over, self.speaks_at()].into_iter().flatten().min()
    }

    /// When a connection whose pipe was dropped is given up, whether or not the peer has everything.
    fn fades_at(&self) -> Option<Instant> {
        let limit = if self.sender.is_empty() { FADING } else { self.config.timeout() };
        self.released.filter(|_| self.over_at.is_none()).map(|released| released.at + limit)
    }

    /// When we say that we live, if we say nothing else before.
    fn speaks_at(&self) -> Option<Instant> {
        let open = matches!(self.phase, Phase::Open) && self.over_at.is_none();
        let keepalive = self.config.keepalive();
        let silence = if self.greetings > 0 { keepalive.min(GREETINGS.1) } else { keepalive };
        open.then(|| self.spoke + silence)
    }

    /// Time has passed.
    pub fn time_passed(&mut self, now: Instant) {
        if let Phase::Failed { .. } = self.phase {
            return;
        }
        if self.timeout_at.is_some_and(|at| at <= now) {
            self.timeout_at = None;
            self.timed_out(now);
        }
        if self.speaks_at().is_some_and(|at| at <= now) {
            self.ack_due = true;
            self.greetings = self.greetings.saturating_sub(1);
        }
        if matches!(self.phase, Phase::Open) && self.fades_at().is_some_and(|at| at <= now) {
            self.reset_because(Error::closed("the pipe was dropped"));
        }
    }

    fn timed_out(&mut self, now: Instant) {
        if !self.sender.awaits() {
            self.probe = self.sender.is_held_up(self.peer_window);
            self.rtt.timed_out();
            return;
        }
        let limit = self.config.timeout();
        // One who says that it has no room is believed as long as it says so; else only acknowledgements count.
        let full = self.peer_window < self.config.max_payload();
        let since = if full { self.heard.max(self.awaiting_since) } else { self.awaiting_since };
        if now.saturating_duration_since(since) >= limit {
            return self.fail(match self.phase {
                Phase::Dialing => Error::new(Kind::Unreachable, format!("no answer within {limit:?}")),
                _ => Error::new(Kind::Timeout { limit }, "waiting for an acknowledgement"),
            });
        }
        self.sender.timed_out();
        self.rtt.timed_out();
        // A full receiver is no sign of a full network.
        if !std::mem::take(&mut self.probing) {
            self.ledbat.timed_out();
        }
    }

    /// Whether nothing will ever happen here again; the rest is read from memory.
    pub fn is_over(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Failed { .. } => !self.reset_due,
            _ => self.over_at.is_some_and(|at| at + LAST_ANSWERS <= now),
        }
    }

    /// Since when nobody has the pipe any more, if so.
    pub(crate) fn released_at(&self) -> Option<Instant> {
        self.released.map(|released| released.at)
    }

    /// Whether only last answers may still be wanted.
    pub(crate) fn is_done(&self) -> bool {
        self.over_at.is_some()
    }

    // --- The pipe ---------------------------------------------------------------------------------------------------

    /// Waits for the answer to a dial.
    pub(crate) fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &self.phase {
            Phase::Dialing => pending(&mut self.reader, cx),
            Phase::Open => Poll::Ready(Ok(())),
            Phase::Failed { error, .. } => Poll::Ready(Err(error.clone())),
        }
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let failed = match &self.phase {
            Phase::Failed { error, by_us } => Some((error, *by_us)),
            _ => None,
        };
        match failed {
            Some((error, true)) => Poll::Ready(Err(error.clone())),
            _ if self.receiver.has_unread() => {
                self.receiver.read(out);
                self.ack_due |= self.receiver.has_opened();
                Poll::Ready(Ok(()))
            }
            _ if self.receiver.ended() => Poll::Ready(Ok(())),
            Some((error, false)) => Poll::Ready(Err(error.clone())),
            None => pending(&mut self.reader, cx),
        }
    }

    /// Whether reading has left something to be sent.
    pub(crate) fn has_news(&self) -> bool {
        self.ack_due
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        if let Phase::Failed { error, .. } = &self.phase {
            return Poll::Ready(Err(error.clone()));
        }
        if self.sender.is_finished() {
            return Poll::Ready(Err(Error::closed("writing after a close")));
        }
        match self.sender.write(slices) {
            0 if slices.iter().any(|slice| !slice.is_empty()) => pending(&mut self.writer, cx),
            n => Poll::Ready(Ok(n)),
        }
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        match &self.phase {
            Phase::Failed { error, .. } => Err(error.clone()),
            _ => {
                self.sender.flush();
                Ok(())
            }
        }
    }

    /// Closes our side and waits until the peer's machine has everything, or has no room because nobody reads there.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let first = !self.sender.is_finished();
        match &self.phase {
            // Who has everything may go as it likes.
            Phase::Failed { error, .. } if first || !self.sender.is_empty() => Poll::Ready(Err(error.clone())),
            Phase::Failed { .. } => Poll::Ready(Ok(())),
            _ => {
                self.sender.finish();
                if self.shutdown_is_done() { Poll::Ready(Ok(())) } else { pending(&mut self.writer, cx) }
            }
        }
    }

    fn shutdown_is_done(&self) -> bool {
        self.sender.is_finished() && (self.sender.is_empty() || self.sender.is_held_up(self.peer_window))
    }

    /// Ends both directions at once.
    pub(crate) fn reset(&mut self, code: u32) {
        if !matches!(self.phase, Phase::Failed { .. }) {
            self.reset_because(Error::new(Kind::Reset { code }, "the connection was reset"));
        }
    }

    /// Nobody reads any more.
    pub(crate) fn close_read(&mut self) {
        self.receiver.discard();
        self.ack_due |= self.receiver.has_opened();
    }

    /// The pipe was dropped: what was written still goes to the peer, and then the end, or a reset where the peer sent
    /// what nobody read.
    pub fn release(&mut self, now: Instant) {
        match self.phase {
            Phase::Failed { .. } => {}
            Phase::Dialing => {
                let asked = self.sender.awaits();
                self.reset_because(Error::closed("the dial was given up"));
                self.reset_due = asked;
            }
            Phase::Open => {
                let unwanted = self.receiver.has_unread() && !self.receiver.ended();
                self.released = Some(Released { at: now, unwanted });
                if !unwanted {
                    self.sender.finish();
                }
                self.sender.flush();
                self.settle(now);
            }
        }
    }

    /// The operating system knows that packets do not reach the peer. A connection that was established is believed to
    /// live on, unless there is nothing at the peer's port any more.
    pub(crate) fn could_not(&mut self, error: io::Error) {
        let gone = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset);
        match self.phase {
            Phase::Dialing if gone => self.fail(Error::new(Kind::Refused, "the port is closed")),
            // A firewall of this machine: true of this address and not of others.
            Phase::Dialing if error.kind() == io::ErrorKind::PermissionDenied => {
                self.fail(Error::io("sending", error).retry_advice(Retry::OtherAddress));
            }
            Phase::Dialing => self.fail(Error::new(Kind::Unreachable, "sending").caused_by(error)),
            Phase::Open if gone => self.fail(Error::new(Kind::Reset { code: 0 }, "the peer's port is closed")),
            Phase::Open | Phase::Failed { .. } => {}
        }
    }

    fn reset_because(&mut self, error: Error) {
        self.reset_due = true;
        self.end(error, true);
    }

    /// The connection ended, and the peer needs not be told.
    pub(crate) fn fail(&mut self, error: Error) {
        if !matches!(self.phase, Phase::Failed { .. }) {
            self.end(error, false);
        }
    }

    fn end(&mut self, error: Error, by_us: bool) {
        self.phase = Phase::Failed { error: error.at(Layer::Transport, NAME), by_us };
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn pending<T>(slot: &mut Option<Waker>, cx: &mut Context<'_>) -> Poll<T> {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
    Poll::Pending
}

#[cfg(test)]
mod tests;
