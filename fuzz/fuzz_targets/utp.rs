//! A uTP connection whose peer sends any packets at any time: they are read or refused, what is held is bounded, and it
//! always ends.

#![no_main]

use std::{
    io::IoSlice,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use stackwire_fuzz::target;
use stackwire_transport_utp::{
    UtpConfig,
    connection::{Connection, Now},
    wire::{HEADER, Header, Packet, Type},
};
use tokio::io::ReadBuf;

const BUFFER: usize = 65_536;

target!(
    |input| {
        let start = Instant::now();
        let mut now = Now { at: start, micros: 0 };
        let config = UtpConfig { receive_buffer: BUFFER as u32, send_buffer: BUFFER as u32, ..Default::default() };
        let syn = Header { kind: Type::Syn, connection: 7, timestamp: 0, delay: 0, window: 1 << 20, seq: 1, ack: 0 };
        let mut connection = Connection::accept(config, &syn, 1000, now);
        let mut cx = Context::from_waker(Waker::noop());
        let mut buffer = vec![0; 2 * BUFFER];
        // Each packet is preceded by what we do meanwhile, and by its length.
        let mut rest = input;
        while let [act, len, bytes @ ..] = rest {
            let (datagram, left) = bytes.split_at(bytes.len().min((*len).into()));
            rest = left;
            if let Ok(packet) = Packet::read(datagram) {
                assert!(packet.payload.len() + HEADER <= datagram.len());
                connection.receive(&packet, now);
            }
            if act & 1 != 0 {
                let _written_or_not = connection.poll_write(&mut cx, &[IoSlice::new(&[7; 5000])]);
            }
            if act & 2 != 0 {
                let mut out = ReadBuf::new(&mut buffer);
                let _read_or_not = connection.poll_read(&mut cx, &mut out);
                assert!(out.filled().len() <= BUFFER + 255);
            }
            if act & 4 != 0 {
                now.at += Duration::from_millis((act >> 3).into());
                now.micros = (now.at - start).as_micros() as u32;
            }
            let mut sent = 0;
            connection.transmit(now, |packet| {
                sent += packet.len();
                assert!(packet.len() <= 1372 && Packet::read(packet).is_ok());
                if *act == 0xff { Poll::Pending } else { Poll::Ready(Ok(())) }
            });
            assert!(sent <= 2 * BUFFER, "no more than is held, and answers");
            if connection.deadline().is_some_and(|at| at <= now.at) {
                connection.time_passed(now.at);
            }
        }
        connection.release(now.at);
        // Nobody answers any more: whatever state it is in, time alone ends it.
        for _ in 0..1000 {
            connection.transmit(now, |_| Poll::Ready(Ok(())));
            if connection.is_over(now.at) {
                return;
            }
            let deadline = connection.deadline().expect("what is not over has a deadline");
            now.at = now.at.max(deadline);
            now.micros = (now.at - start).as_micros() as u32;
            connection.time_passed(now.at);
        }
        panic!("a connection that was given up goes on for ever");
    },
    examples: {
        let packet = |act: u8, kind: Type, seq: u16, ack: u16, selective: &[u8], payload: &[u8]| {
            let header = Header { kind, connection: 8, timestamp: 9, delay: 9, window: 1 << 20, seq, ack };
            let packet = [&header.packet(selective), payload].concat();
            [&[act, packet.len() as u8][..], &packet].concat()
        };
        vec![
            [
                packet(1, Type::Data, 2, 999, &[], b"hello"),
                packet(2, Type::State, 3, 1000, &[], b""),
                packet(0xff, Type::Data, 4, 1001, &[1, 0, 0, 0], b"early"),
                packet(6, Type::Data, 3, 1003, &[], b"late"),
                packet(7, Type::Fin, 5, 1003, &[], b""),
            ]
            .concat(),
            [packet(0, Type::Syn, 1, 0, &[], b""), packet(0, Type::Reset, 2, 0, &[], b"")].concat(),
        ]
    }
);
