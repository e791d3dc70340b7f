//! A peer that speaks frames, right ones and wrong ones.

#![allow(dead_code, reason = "every test file uses a part")]

use std::sync::Arc;

use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{BoxPipe, Muxer, MuxerContext, Result, Role, Session};
use stackwire_muxer_yamux::{Yamux, YamuxConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

pub const DATA: u8 = 0;
pub const WINDOW_UPDATE: u8 = 1;
pub const PING: u8 = 2;
pub const GO_AWAY: u8 = 3;
pub const SYN: u16 = 1;
pub const ACK: u16 = 2;
pub const FIN: u16 = 4;
pub const RST: u16 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u16,
    pub stream: u32,
    pub length: u32,
}

pub fn frame(kind: u8, flags: u16, stream: u32, length: u32) -> Frame {
    Frame { kind, flags, stream, length }
}

impl Frame {
    /// Its header's bytes, written apart from the code under test.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0, self.kind];
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(self.length.to_be_bytes());
        bytes
    }
}

pub struct Peer(pub BoxPipe);

impl Peer {
    pub async fn send(&mut self, frame: Frame, body: &[u8]) {
        self.0.write_all(&[&frame.bytes(), body].concat()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next frame, and its body.
    pub async fn receive_any(&mut self) -> (Frame, Vec<u8>) {
        assert_eq!(in_time("a frame", self.0.read_u8()).await.unwrap(), 0, "the version");
        let frame = frame(
            self.0.read_u8().await.unwrap(),
            self.0.read_u16().await.unwrap(),
            self.0.read_u32().await.unwrap(),
            self.0.read_u32().await.unwrap(),
        );
        let mut body = vec![0; if frame.kind == DATA { frame.length as usize } else { 0 }];
        self.0.read_exact(&mut body).await.unwrap();
        (frame, body)
    }

    /// The next frame that is not a ping, and its body. Pings are left unanswered.
    pub async fn receive(&mut self) -> (Frame, Vec<u8>) {
        loop {
            let (frame, body) = self.receive_any().await;
            if frame.kind != PING {
                return (frame, body);
            }
        }
    }

    /// The value of the next frame, which must ask for an answer.
    pub async fn question(&mut self) -> u32 {
        let (ping, _) = self.receive_any().await;
        assert_eq!(ping, frame(PING, SYN, 0, ping.length));
        ping.length
    }

    pub async fn expect(&mut self, expected: Frame) {
        assert_eq!(self.receive().await.0, expected);
    }

    /// Passes over frames up to this one.
    pub async fn until(&mut self, expected: Frame) {
        while self.receive().await.0 != expected {}
    }
}

pub fn start(config: YamuxConfig, role: Role) -> (Arc<dyn Session>, JoinHandle<Result<()>>, Peer) {
    let (ours, peer) = pipes::pair_with_capacity(1 << 20);
    let (session, driver) = Yamux::new(config).unwrap().start(ours, MuxerContext::new(role, &env()));
    (session, tokio::spawn(driver), Peer(peer))
}
