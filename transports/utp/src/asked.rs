//! Whoever has asked for a connection and has not shown yet that our answer reached him.
//!
//! The source of a datagram can be forged. So a SYN costs an entry in a table and is answered with one packet as long as
//! itself, as often as it comes. The answer has a random number, and who names that number gets our packets: then the
//! connection is made. Whoever asked has to say something then anyway, and our dialers do so at once.

use std::time::Duration;

use stackwire_socket::{HalfOpen, Source};

use crate::{
    UtpConfig,
    connection::{Connection, Now},
    udp::Way,
    wire::{Header, Packet, Type},
};

/// Where a packet comes from and to, and which connection it says it is for. One may use the same number at each of our
/// addresses.
pub(crate) type Key = (Way, u16);

/// Entries of one listener, and of one source.
const MOST: usize = 4096;
const PER_SOURCE: usize = 256;
/// How long an answer is waited for: as long as a dialer goes on asking.
const LIFE: Duration = Duration::from_secs(30);
/// Wrong numbers after which the entry goes. One who gets our packets never names one.
const WRONG: u8 = 4;

/// Those who have asked, by the address and number that their next packet will have.
#[derive(Debug)]
pub(crate) struct Askers {
    config: UtpConfig,
    table: HalfOpen<Key, Asked>,
}

#[derive(Debug)]
struct Asked {
    syn: Header,
    /// The number of our first packet.
    seq: u16,
    at: Now,
    wrong: u8,
}

/// What a packet proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nobody has asked for this connection.
    Unknown,
    /// The sender has asked, and shows nothing by this packet.
    Nothing,
    /// The sender gets our packets.
    Received,
}

impl Askers {
    pub(crate) fn new(config: UtpConfig) -> Self {
        Self { config, table: HalfOpen::new(MOST, PER_SOURCE) }
    }

    /// Takes a SYN, and says what to answer. `seq` is for the number of our first packet, where this is a new question.
    pub(crate) fn ask(&mut self, way: Way, syn: &Header, seq: u16, now: Now) -> Header {
        let key = (way, syn.connection.wrapping_add(1));
        let seq = match self.table.get_mut(&key) {
            // Asked again, because our answer was lost. The number stays, so that both answers are right.
            Some(asked) if asked.syn.seq == syn.seq => asked.seq,
            _ => {
                self.table.insert(Source::of(way.remote.ip()), key, Asked { syn: *syn, seq, at: now, wrong: 0 });
                seq
            }
        };
        Header {
            kind: Type::State,
            connection: syn.connection,
            timestamp: now.micros,
            delay: now.micros.wrapping_sub(syn.timestamp),
            window: self.config.receive_buffer,
            seq,
            ack: syn.seq,
        }
    }

    /// Looks at a packet that is no SYN and no reset.
    pub(crate) fn prove(&mut self, key: Key, packet: &Packet<'_>, now: Now) -> Proof {
        self.forget(now);
        let Some(asked) = self.table.get_mut(&key) else { return Proof::Unknown };
        if packet.header.ack == asked.seq.wrapping_sub(1) {
            return Proof::Received;
        }
        asked.wrong += 1;
        if asked.wrong >= WRONG {
            self.table.remove(&key);
        }
        Proof::Nothing
    }

    /// The connection of one who has proven that he gets our packets, by `packet`, which it has taken in.
    pub(crate) fn connect(&mut self, key: Key, packet: &Packet<'_>, now: Now) -> Option<Connection> {
        let asked = self.table.remove(&key)?;
        let mut connection = Connection::accept(self.config, &asked.syn, asked.seq, asked.at);
        connection.was_answered();
        connection.receive(packet, now);
        Some(connection)
    }

    /// Whoever asked gives it up, if he shows that he may.
    pub(crate) fn reset(&mut self, key: Key, header: &Header) {
        if self.table.get_mut(&key).is_some_and(|asked| header.ack == asked.seq.wrapping_sub(1)) {
            self.table.remove(&key);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Lets go of those who were waited for long enough.
    fn forget(&mut self, now: Now) {
        while let Some((key, asked)) = self.table.oldest()
            && now.at.saturating_duration_since(asked.at.at) > LIFE
        {
            self.table.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Instant};

    use super::*;

    fn syn(connection: u16) -> Header {
        Header { kind: Type::Syn, connection, timestamp: 5, delay: 0, window: 1 << 20, seq: 1, ack: 0 }
    }

    fn from(port: u16) -> Way {
        Way { remote: SocketAddr::from(([192, 0, 2, 1], port)), local: None }
    }

    fn at(start: Instant, secs: u64) -> Now {
        Now { at: start + Duration::from_secs(secs), micros: 0 }
    }

    fn prove(askers: &mut Askers, key: Key, ack: u16, now: Now) -> Proof {
        let header = Header { kind: Type::State, connection: key.1, seq: 2, ack, ..syn(key.1) };
        askers.prove(key, &Packet { header, selective_ack: &[], payload: &[] }, now)
    }

    #[test]
    fn only_the_number_of_our_answer_makes_a_connection() {
        let (mut askers, now) = (Askers::new(UtpConfig::default()), at(Instant::now(), 0));
        let answer = askers.ask(from(1), &syn(10), 700, now);
        assert_eq!((answer.kind, answer.connection, answer.seq, answer.ack), (Type::State, 10, 700, 1));
        assert_eq!(askers.ask(from(1), &syn(10), 800, now).seq, 700, "asked again");
        assert_eq!(prove(&mut askers, (from(2), 11), 699, now), Proof::Unknown);
        assert_eq!(prove(&mut askers, (from(1), 11), 698, now), Proof::Nothing);
        assert_eq!(prove(&mut askers, (from(1), 11), 699, now), Proof::Received);
        let header = Header { kind: Type::State, seq: 2, ack: 699, ..syn(11) };
        let packet = Packet { header, selective_ack: &[], payload: &[] };
        assert_eq!(askers.connect((from(1), 11), &packet, now).unwrap().ids(), (11, 10));
        assert_eq!(prove(&mut askers, (from(1), 11), 699, now), Proof::Unknown);
    }

    #[test]
    fn numbers_can_not_be_tried_out() {
        let (mut askers, now) = (Askers::new(UtpConfig::default()), at(Instant::now(), 0));
        askers.ask(from(1), &syn(10), 700, now);
        for ack in 0..u16::from(WRONG) {
            assert_eq!(prove(&mut askers, (from(1), 11), ack, now), Proof::Nothing);
        }
        assert_eq!(prove(&mut askers, (from(1), 11), 699, now), Proof::Unknown);
    }

    #[test]
    fn who_asked_is_forgotten_after_a_while_or_when_he_gives_up() {
        let (mut askers, start) = (Askers::new(UtpConfig::default()), Instant::now());
        askers.ask(from(1), &syn(10), 700, at(start, 0));
        assert_eq!(prove(&mut askers, (from(1), 11), 699, at(start, 31)), Proof::Unknown);
        askers.ask(from(1), &syn(10), 700, at(start, 31));
        askers.reset((from(1), 11), &Header { kind: Type::Reset, ack: 1, ..syn(11) });
        askers.reset((from(1), 11), &Header { kind: Type::Reset, ack: 699, ..syn(11) });
        assert!(askers.table.is_empty());
    }

    #[test]
    fn a_flood_is_bounded_and_leaves_others_their_time() {
        let (mut askers, now) = (Askers::new(UtpConfig::default()), at(Instant::now(), 0));
        let honest = Way { remote: SocketAddr::from(([198, 51, 100, 1], 9)), local: None };
        askers.ask(honest, &syn(10), 700, now);
        for connection in 0..50_000 {
            askers.ask(from(connection), &syn(connection), 1, now);
        }
        assert_eq!(askers.table.len(), PER_SOURCE + 1);
        assert_eq!(prove(&mut askers, (honest, 11), 699, now), Proof::Received);
    }
}
