//! Cuts what is written into packets, and keeps each until it was acknowledged.

use std::{
    collections::VecDeque,
    io::IoSlice,
    time::{Duration, Instant},
};

use stackwire_core::total_len;

use crate::wire::{HEADER, Type};

/// How many packets are under way at most: peers keep about so many of those that come early.
const MAX_UNDER_WAY: usize = 1000;
/// How many small packets may be held besides, so that single bytes cost no more memory than large writes.
const MAX_PACKETS: usize = 4096;
/// A packet counts as lost when so many that were sent after it have arrived.
const REORDERING: u64 = 3;

/// The sending half of a connection.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The number of the first packet that is held.
    first: u16,
    /// Packets that were sent and not all acknowledged up to there, then those that were not sent yet.
    packets: VecDeque<Outgoing>,
    /// How many of them were sent.
    sent: usize,
    /// Payload that is held.
    buffered: usize,
    /// Payload that is under way: sent, and neither acknowledged nor lost.
    in_flight: usize,
    lost: usize,
    /// Packets that were acknowledged ahead of others.
    ahead: usize,
    /// Counts transmissions.
    order: u64,
    highest_acked: u64,
    /// Losses among transmissions before this one belong to an event that was told already.
    told_before: u64,
    /// Acknowledgements in a row that acknowledged nothing new.
    duplicates: u32,
    /// A packet that is not full may go.
    push: bool,
    finished: bool,
    max_payload: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Outgoing {
    kind: Type,
    /// Room for the header, then the payload.
    packet: Vec<u8>,
    state: State,
    order: u64,
    transmissions: u32,
    sent_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    Lost,
    Acked,
}

/// What an acknowledgement came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// It was not overtaken by another.
    pub(crate) current: bool,
    /// Something was acknowledged for the first time.
    pub(crate) any: bool,
    /// Payload that was.
    pub(crate) bytes: usize,
    /// The shortest round trip of a packet that was sent once.
    pub(crate) round_trip: Option<Duration>,
    /// Packets turned out to be lost, in a new event.
    pub(crate) lost: bool,
}

impl Sender {
    /// A sender whose first packet has the number `first`.
    pub(crate) fn new(first: u16, max_payload: usize, capacity: usize) -> Self {
        Self {
            first,
            packets: VecDeque::new(),
            sent: 0,
            buffered: 0,
            in_flight: 0,
            lost: 0,
            ahead: 0,
            order: 0,
            highest_acked: 0,
            told_before: 0,
            duplicates: 0,
            push: false,
            finished: false,
            max_payload,
            capacity,
        }
    }

    /// Queues the packet that asks for a connection.
    pub(crate) fn open(&mut self) {
        self.packets.push_back(Outgoing::new(Type::Syn, HEADER));
    }

    /// Queues as much of `slices` as there is room for, and says how much that is.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let mut total = 0;
        let mut left = total_len(slices);
        for slice in slices {
            let mut slice = &slice[..];
            while !slice.is_empty() {
                let n = self.append(slice, left);
                if n == 0 {
                    return total;
                }
                slice = &slice[n..];
                left -= n;
                total += n;
            }
        }
        total
    }

    /// Puts some of `data` into the last packet, or a new one for which `left` bytes are at hand.
    fn append(&mut self, data: &[u8], left: usize) -> usize {
        if !self.has_room() {
            return 0;
        }
        let full = HEADER + self.max_payload;
        let open = self
            .packets
            .back()
            .is_some_and(|last| last.kind == Type::Data && last.state == State::Waiting && last.packet.len() < full);
        if !open {
            self.packets.push_back(Outgoing::new(Type::Data, full.min(HEADER + left)));
        }
        let Some(last) = self.packets.back_mut() else { return 0 };
        let n = data.len().min(full - last.packet.len()).min(self.capacity - self.buffered);
        last.packet.extend_from_slice(&data[..n]);
        self.buffered += n;
        n
    }

    /// Whether a write would take anything.
    pub(crate) fn has_room(&self) -> bool {
        self.buffered < self.capacity && self.packets.len() < MAX_PACKETS
    }

    /// A packet that is not full need not wait for more.
    pub(crate) fn flush(&mut self) {
        self.push = self.sent < self.packets.len();
    }

    /// Queues the last packet, once.
    pub(crate) fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            self.packets.push_back(Outgoing::new(Type::Fin, HEADER));
            self.push = true;
        }
    }

    /// Whether the last packet is queued, or further.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether nothing is held any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether something was sent that was not acknowledged.
    pub(crate) fn awaits(&self) -> bool {
        self.in_flight_packets() > 0 || self.lost > 0
    }

    fn in_flight_packets(&self) -> usize {
        self.sent - self.lost - self.ahead
    }

    /// Payload that is under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The number of the next packet that will be new: what BEP 29 has in packets that carry nothing.
    pub(crate) fn next_seq(&self) -> u16 {
        self.first.wrapping_add(self.sent as u16)
    }

    /// Whether `ack` can be the last packet up to which the peer has all, or the number that our last packet without
    /// payload had.
    pub(crate) fn is_current(&self, ack: u16) -> bool {
        usize::from(ack.wrapping_sub(self.first.wrapping_sub(1))) <= self.sent + 1
    }

    /// Whether it is only the peer's window that keeps packets from being sent.
    pub(crate) fn is_held_up(&self, peer_window: usize) -> bool {
        let next = self.packets.get(self.sent);
        !self.awaits() && next.is_some_and(|next| next.payload() > peer_window)
    }

    /// Which packet to send now, if any, where `window` bytes may be under way and the peer has room for
    /// `peer_window`. A `probe` is sent in spite of a peer without room.
    pub(crate) fn next(&self, window: usize, peer_window: usize, probe: bool) -> Option<usize> {
        let alone = self.in_flight_packets() == 0;
        if self.lost > 0 {
            let index = self.packets.iter().position(|packet| packet.state == State::Lost)?;
            let fits = self.in_flight + self.packets[index].payload() <= window;
            return (alone || fits).then_some(index);
        }
        let next = self.packets.get(self.sent).filter(|_| self.sent < MAX_UNDER_WAY)?;
        let full = next.payload() == self.max_payload || self.sent + 1 < self.packets.len();
        let ready = full || self.push || alone || next.kind != Type::Data;
        let in_flight = self.in_flight + next.payload();
        let fits = next.payload() == 0 || (in_flight <= peer_window && (alone || in_flight <= window));
        (ready && (fits || (alone && probe))).then_some(self.sent)
    }

    /// What packet `index` is, its number, and its bytes, for the header to be written.
    pub(crate) fn packet(&mut self, index: usize) -> (Type, u16, &mut [u8]) {
        let packet = &mut self.packets[index];
        (packet.kind, self.first.wrapping_add(index as u16), &mut packet.packet)
    }

    /// Packet `index` was sent.
    pub(crate) fn was_sent(&mut self, index: usize, now: Instant) {
        self.order += 1;
        let packet = &mut self.packets[index];
        match packet.state {
            State::Waiting => self.sent += 1,
            State::Lost => self.lost -= 1,
            State::InFlight | State::Acked => return,
        }
        packet.state = State::InFlight;
        packet.order = self.order;
        packet.transmissions += 1;
        packet.sent_at = Some(now);
        self.in_flight += packet.payload();
        self.push &= self.sent < self.packets.len();
    }

    /// The peer has everything up to packet `ack`, and what `selective` names; `bare` where the packet carried nothing
    /// else. Nothing for a packet that was never sent, or so long ago that nobody would speak of it any more.
    pub(crate) fn acknowledge(&mut self, ack: u16, selective: &[u8], bare: bool, now: Instant) -> Option<Progress> {
        let ahead = ack.wrapping_sub(self.first.wrapping_sub(1)) as i16;
        let mut progress = Progress { current: ahead >= 0, ..Progress::default() };
        let Ok(count) = usize::try_from(ahead) else {
            // An acknowledgement that was overtaken says nothing new.
            return (usize::from(ahead.unsigned_abs()) <= MAX_UNDER_WAY).then_some(progress);
        };
        if count > self.sent {
            return None;
        }
        for index in 0..count {
            self.arrived(index, now, &mut progress);
        }
        self.packets.drain(..count);
        self.ahead -= count;
        self.sent -= count;
        self.first = self.first.wrapping_add(count as u16);
        // Bit 0 is two packets after `ack`, which is the one before `first`.
        let named = (0..selective.len() * 8).filter(|bit| selective[bit / 8] & (1 << (bit % 8)) != 0);
        let sent = self.sent;
        for index in named.map(|bit| bit + 1).take_while(|index| *index < sent) {
            self.arrived(index, now, &mut progress);
        }
        self.find_losses(&mut progress);
        let is_duplicate = bare && !progress.any && selective.is_empty() && count == 0 && self.awaits();
        self.duplicates = if is_duplicate { self.duplicates + 1 } else { 0 };
        // From a peer without selective acknowledgements, this is all we hear of a loss.
        if self.duplicates == 3 && self.packets[0].state == State::InFlight && self.packets[0].transmissions == 1 {
            self.is_lost(0, &mut progress);
        }
        Some(progress)
    }

    /// Counts packet `index` as arrived, if it was not before.
    fn arrived(&mut self, index: usize, now: Instant, progress: &mut Progress) {
        let packet = &mut self.packets[index];
        let payload = packet.payload();
        match packet.state {
            State::Acked | State::Waiting => return,
            State::InFlight => self.in_flight -= payload,
            State::Lost => self.lost -= 1,
        }
        packet.state = State::Acked;
        packet.packet = Vec::new();
        self.buffered -= payload;
        self.ahead += 1;
        self.highest_acked = self.highest_acked.max(packet.order);
        progress.any = true;
        progress.bytes += payload;
        // Whose answer it is to a packet that was sent twice, nobody knows.
        if let Some(sent_at) = packet.sent_at.filter(|_| packet.transmissions == 1) {
            let sample = now.saturating_duration_since(sent_at);
            progress.round_trip = Some(progress.round_trip.map_or(sample, |least| least.min(sample)));
        }
    }

    fn find_losses(&mut self, progress: &mut Progress) {
        if self.ahead == 0 {
            return;
        }
        for index in 0..self.sent {
            let packet = &self.packets[index];
            if packet.state == State::InFlight && packet.order + REORDERING <= self.highest_acked {
                self.is_lost(index, progress);
            }
        }
    }

    fn is_lost(&mut self, index: usize, progress: &mut Progress) {
        let packet = &mut self.packets[index];
        packet.state = State::Lost;
        self.lost += 1;
        self.in_flight -= packet.payload();
        if packet.order > self.told_before {
            self.told_before = self.order;
            progress.lost = true;
        }
    }

    /// Nothing was answered for too long: all that is under way is sent again.
    pub(crate) fn timed_out(&mut self) {
        let mut unused = Progress::default();
        for index in 0..self.sent {
            if self.packets[index].state == State::InFlight {
                self.is_lost(index, &mut unused);
            }
        }
    }
}

impl Outgoing {
    fn new(kind: Type, capacity: usize) -> Self {
        let mut packet = Vec::with_capacity(capacity);
        packet.resize(HEADER, 0);
        Self { kind, packet, state: State::Waiting, order: 0, transmissions: 0, sent_at: None }
    }

    fn payload(&self) -> usize {
        self.packet.len().saturating_sub(HEADER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 1 << 20;

    fn sender(first: u16) -> Sender {
        Sender::new(first, 100, 10_000)
    }

    /// Sends all it may, and says which packets that were.
    fn send(sender: &mut Sender, window: usize) -> Vec<u16> {
        let now = Instant::now();
        let mut sent = Vec::new();
        while let Some(index) = sender.next(window, WINDOW, false) {
            sent.push(sender.packet(index).1);
            sender.was_sent(index, now);
        }
        sent
    }

    fn acknowledge(sender: &mut Sender, ack: u16, selective: &[u8]) -> Option<Progress> {
        sender.acknowledge(ack, selective, true, Instant::now())
    }

    fn write(sender: &mut Sender, len: usize) -> usize {
        sender.write(&[IoSlice::new(&vec![7; len])])
    }

    #[test]
    fn writes_fill_packets_and_small_ones_wait_for_company() {
        let mut sender = sender(65_535);
        assert_eq!(sender.write(&[IoSlice::new(&[1; 60]), IoSlice::new(&[]), IoSlice::new(&[2; 90])]), 150);
        assert_eq!(send(&mut sender, WINDOW), [65_535], "the second is not full, and the first is under way");
        sender.flush();
        assert_eq!(send(&mut sender, WINDOW), [0]);
        write(&mut sender, 10);
        write(&mut sender, 10);
        assert!(send(&mut sender, WINDOW).is_empty());
        acknowledge(&mut sender, 0, &[]).unwrap();
        assert_eq!(send(&mut sender, WINDOW), [1], "alone, it need not wait");
        write(&mut sender, 10);
        sender.finish();
        sender.finish();
        assert_eq!(send(&mut sender, WINDOW), [2, 3]);
        acknowledge(&mut sender, 3, &[]).unwrap();
        assert!(sender.is_empty() && sender.is_finished() && sender.buffered == 0 && sender.in_flight == 0);
    }

    #[test]
    fn buffers_and_windows_are_kept() {
        let mut sender = sender(1);
        assert_eq!(write(&mut sender, 20_000), 10_000);
        assert_eq!(write(&mut sender, 1), 0);
        assert_eq!(send(&mut sender, 250), [1, 2]);
        assert_eq!(sender.next(WINDOW, 250, false), None);
        assert!(!sender.is_held_up(0), "first let the peer answer");
        acknowledge(&mut sender, 2, &[]).unwrap();
        assert!(sender.is_held_up(99) && !sender.is_held_up(100));
        assert_eq!(sender.next(WINDOW, 0, false), None);
        assert_eq!(sender.next(WINDOW, 0, true), Some(0));
    }

    #[test]
    fn single_bytes_are_bounded_too() {
        let mut sender = sender(1);
        sender.capacity = usize::MAX;
        let mut written = 0;
        while write(&mut sender, 100) > 0 {
            written += 1;
        }
        assert_eq!(written, MAX_PACKETS);
        assert_eq!(send(&mut sender, usize::MAX).len(), MAX_UNDER_WAY);
    }

    #[test]
    fn three_later_packets_tell_of_a_loss_once() {
        let mut sender = sender(1);
        write(&mut sender, 1000);
        send(&mut sender, WINDOW);
        let progress = acknowledge(&mut sender, 1, &[0b11, 0, 0, 0]).unwrap();
        assert!(progress.any && progress.bytes == 300 && !progress.lost);
        let progress = acknowledge(&mut sender, 1, &[0b1111, 0, 0, 0]).unwrap();
        assert!(progress.lost && progress.bytes == 200, "{progress:?}");
        assert_eq!(send(&mut sender, WINDOW), [2]);
        // What was sent again is lost again: 7 to 10 do not tell, they were sent before it.
        let progress = acknowledge(&mut sender, 1, &[0xff, 0, 0, 0]).unwrap();
        assert!(!progress.lost && send(&mut sender, WINDOW).is_empty());
        write(&mut sender, 300);
        assert_eq!(send(&mut sender, WINDOW), [11, 12, 13]);
        let progress = acknowledge(&mut sender, 1, &[0xff, 0b111, 0, 0]).unwrap();
        assert!(progress.lost);
        assert_eq!(send(&mut sender, WINDOW), [2]);
        let progress = acknowledge(&mut sender, 13, &[]).unwrap();
        assert!(sender.is_empty() && progress.bytes == 100 && progress.round_trip.is_none());
    }

    #[test]
    fn duplicates_tell_of_a_loss_where_nothing_else_does() {
        let mut sender = sender(1);
        write(&mut sender, 500);
        send(&mut sender, WINDOW);
        let lost: Vec<bool> = (0..6).map(|_| acknowledge(&mut sender, 0, &[]).unwrap().lost).collect();
        assert_eq!(lost, [false, false, true, false, false, false]);
        assert_eq!(send(&mut sender, WINDOW), [1]);
    }

    #[test]
    fn a_timeout_sends_everything_again_but_what_arrived() {
        let mut sender = sender(1);
        write(&mut sender, 400);
        send(&mut sender, WINDOW);
        acknowledge(&mut sender, 0, &[0b10, 0, 0, 0]).unwrap();
        sender.timed_out();
        assert_eq!((sender.in_flight(), sender.awaits()), (0, true));
        assert_eq!(send(&mut sender, WINDOW), [1, 2, 4]);
    }

    #[test]
    fn acknowledgements_of_what_was_never_sent_are_refused() {
        let mut sender = sender(10);
        write(&mut sender, 300);
        send(&mut sender, 200);
        assert_eq!(acknowledge(&mut sender, 12, &[]), None);
        assert_eq!(acknowledge(&mut sender, 5, &[]), Some(Progress::default()), "one that was overtaken");
        assert_eq!(acknowledge(&mut sender, 10_000, &[]), None);
        assert_eq!(acknowledge(&mut sender, 40_000, &[]), None);
        acknowledge(&mut sender, 9, &[0xff; 252]).unwrap();
        assert_eq!(sender.packets[2].state, State::Waiting);
        assert!([9, 10, 11, 12].into_iter().all(|ack| sender.is_current(ack)));
        assert!(![8, 13, 20_000, 50_000].into_iter().any(|ack| sender.is_current(ack)));
    }
}
