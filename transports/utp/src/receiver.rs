//! Puts what arrives into its order.

use std::collections::VecDeque;

use tokio::io::ReadBuf;

use crate::wire::MAX_SELECTIVE_ACK;

/// How far ahead of the first missing packet one is kept. Senders have no more under way.
const MAX_EARLY: usize = 1024;

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The last packet up to which all have arrived.
    ack: u16,
    /// What the application has not read yet, in order.
    unread: VecDeque<u8>,
    /// Packets that came early: slot `i` is packet `ack + 2 + i`.
    early: VecDeque<Option<Vec<u8>>>,
    early_bytes: usize,
    /// The number of the peer's last packet, once known.
    fin: Option<u16>,
    /// How many bytes are held at most, give or take one packet.
    capacity: usize,
    /// The window the peer was told last.
    told: usize,
    /// Nobody reads any more: what arrives is dropped.
    discards: bool,
}

impl Receiver {
    /// A receiver that has everything up to packet `ack`.
    pub(crate) fn new(ack: u16, capacity: usize) -> Self {
        Self {
            ack,
            unread: VecDeque::new(),
            early: VecDeque::new(),
            early_bytes: 0,
            fin: None,
            capacity,
            told: capacity,
            discards: false,
        }
    }

    /// The last packet up to which all have arrived.
    pub(crate) fn ack(&self) -> u16 {
        self.ack
    }

    /// Whether packet `seq` has arrived before.
    pub(crate) fn is_old(&self, seq: u16) -> bool {
        seq.wrapping_sub(self.ack) as i16 <= 0
    }

    /// Takes a packet, the peer's last one where `fin` says so. What has no place is dropped: the peer sends it again.
    pub(crate) fn receive(&mut self, seq: u16, payload: &[u8], fin: bool) {
        let ahead = usize::from(seq.wrapping_sub(self.ack.wrapping_add(1)));
        let behind_the_end = self.fin.is_some_and(|fin| (seq.wrapping_sub(fin) as i16) > 0);
        let no_room = !self.discards && !payload.is_empty() && self.window() == 0;
        if self.is_old(seq) || ahead > MAX_EARLY || behind_the_end || no_room {
            return;
        }
        if fin {
            self.fin.get_or_insert(seq);
        }
        if ahead > 0 {
            let slot = ahead - 1;
            if self.early.len() <= slot {
                self.early.resize(slot + 1, None);
            }
            if self.early[slot].is_none() {
                let payload = if self.discards { Vec::new() } else { payload.to_vec() };
                self.early_bytes += payload.len();
                self.early[slot] = Some(payload);
            }
            return;
        }
        self.append(payload);
        while let Some(Some(next)) = self.early.pop_front() {
            self.early_bytes -= next.len();
            self.append(&next);
        }
    }

    fn append(&mut self, payload: &[u8]) {
        self.ack = self.ack.wrapping_add(1);
        if !self.discards {
            self.unread.extend(payload);
        }
    }

    /// Moves as much as fits to a reader.
    pub(crate) fn read(&mut self, out: &mut ReadBuf<'_>) {
        let (front, back) = self.unread.as_slices();
        let (a, b) = (front.len().min(out.remaining()), back.len());
        out.put_slice(&front[..a]);
        let b = b.min(out.remaining());
        out.put_slice(&back[..b]);
        self.unread.drain(..a + b);
        if self.unread.is_empty() {
            // An idle connection keeps no buffer.
            self.unread = VecDeque::new();
        }
    }

    /// Whether there is something to read.
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether everything the peer will ever send has arrived.
    pub(crate) fn ended(&self) -> bool {
        self.fin == Some(self.ack)
    }

    /// Drops what was not read, and whatever still comes.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.unread = VecDeque::new();
    }

    /// How many more bytes the peer may send.
    pub(crate) fn window(&self) -> usize {
        self.capacity.saturating_sub(self.unread.len() + self.early_bytes)
    }

    /// The window, for a packet that is being sent.
    pub(crate) fn tell_window(&mut self) -> u32 {
        self.told = self.window();
        self.told as u32
    }

    /// Whether the window has opened so much that the peer should hear of it without waiting for another packet.
    pub(crate) fn has_opened(&self) -> bool {
        self.window() >= self.told + self.capacity / 4
    }

    /// Whether packets are missing that later ones have overtaken.
    pub(crate) fn has_gap(&self) -> bool {
        !self.early.is_empty()
    }

    /// Which of the packets from `ack + 2` on have arrived: what BEP 29 calls a selective ack. Empty without a gap.
    pub(crate) fn selective_ack(&self) -> Vec<u8> {
        let len = self.early.len().div_ceil(32) * 4;
        let mut bits = vec![0; len.min(MAX_SELECTIVE_ACK)];
        for (i, _) in self.early.iter().take(bits.len() * 8).enumerate().filter(|(_, packet)| packet.is_some()) {
            bits[i / 8] |= 1 << (i % 8);
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(receiver: &mut Receiver) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let mut out = ReadBuf::new(&mut buffer);
        receiver.read(&mut out);
        out.filled().to_vec()
    }

    #[test]
    fn early_packets_wait_and_are_named() {
        let mut receiver = Receiver::new(65_534, 1000);
        receiver.receive(1, b"c", false);
        receiver.receive(2, b"", true);
        assert_eq!(receiver.selective_ack(), [0b110, 0, 0, 0]);
        receiver.receive(65_535, b"a", false);
        assert_eq!((receiver.ack(), receiver.selective_ack()), (65_535, vec![0b11, 0, 0, 0]));
        assert_eq!(read(&mut receiver), b"a");
        assert!(!receiver.ended());
        receiver.receive(0, b"b", false);
        assert!(receiver.ended() && !receiver.has_gap());
        assert_eq!(read(&mut receiver), b"bc");
        receiver.receive(3, b"behind the end", false);
        assert_eq!((receiver.ack(), read(&mut receiver)), (2, vec![]));
    }

    #[test]
    fn a_full_receiver_takes_nothing_more() {
        let mut receiver = Receiver::new(0, 1000);
        receiver.receive(1, &[1; 600], false);
        receiver.receive(3, &[3; 600], false);
        assert_eq!(receiver.window(), 0);
        receiver.receive(2, &[2; 600], false);
        assert_eq!(receiver.ack(), 1);
        assert_eq!(receiver.tell_window(), 0);
        assert_eq!(read(&mut receiver).len(), 600);
        assert!(receiver.has_opened());
        receiver.receive(2, &[2; 600], false);
        assert_eq!(receiver.ack(), 3);
    }

    #[test]
    fn a_receiver_that_nobody_reads_keeps_nothing() {
        let mut receiver = Receiver::new(0, 1000);
        receiver.receive(1, &[1; 600], false);
        receiver.discard();
        for seq in [3, 2, 4, 5] {
            receiver.receive(seq, &[2; 600], seq == 5);
        }
        assert!(receiver.ended() && !receiver.has_unread());
        assert_eq!(receiver.window(), 1000);
    }

    proptest! {
        #[test]
        fn any_packets_keep_within_bounds(packets: Vec<(u16, u8, bool)>, first: u16) {
            let mut receiver = Receiver::new(first, 2000);
            for (seq, len, fin) in packets {
                receiver.receive(first.wrapping_add(seq % 2048), &vec![0; len.into()], fin);
                prop_assert!(receiver.unread.len() + receiver.early_bytes <= 2000 + 255);
                prop_assert!(receiver.early.len() <= MAX_EARLY);
                prop_assert!(receiver.selective_ack().len() <= MAX_SELECTIVE_ACK);
            }
        }

        #[test]
        fn any_order_comes_to_the_same(first: u16, order in Just((0..40u16).collect::<Vec<_>>()).prop_shuffle()) {
            let mut receiver = Receiver::new(first.wrapping_sub(1), 2000);
            for i in order {
                receiver.receive(first.wrapping_add(i), &[i as u8; 3], i == 39);
            }
            let all: Vec<u8> = (0..40).flat_map(|i| [i; 3]).collect();
            prop_assert_eq!(read(&mut receiver), all);
            prop_assert!(receiver.ended());
        }
    }
}
