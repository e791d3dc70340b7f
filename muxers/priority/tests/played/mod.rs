//! A peer played by hand.

#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses some, on a runtime of its own")]

use std::sync::Arc;

use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{BoxPipe, Muxer, MuxerContext, Result, Role, Session};
use stackwire_muxer_priority::{
    PriorityConfig,
    settings::Settings,
    wire::{FrameKind, HEADER, Header, encode_number},
};
use stackwire_plugin::Plugin;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

/// Our role where nothing else is said.
pub const DIALER: Role = Role::Dialer;

/// We, and the peer's end of the pipe.
pub struct Played {
    pub session: Arc<dyn Session>,
    pub driver: JoinHandle<Result<()>>,
    pub peer: BoxPipe,
}

/// The muxer that `config` makes.
pub fn muxer(config: PriorityConfig) -> Arc<dyn Muxer> {
    config.build().unwrap().muxers.remove(0)
}

/// Starts our side; the peer has said nothing.
pub fn play_as(role: Role, config: PriorityConfig) -> Played {
    play_on(pipes::pair_with_capacity(1 << 20), role, config)
}

/// The same on this pipe.
pub fn play_on((ours, peer): (BoxPipe, BoxPipe), role: Role, config: PriorityConfig) -> Played {
    let (session, driver) = muxer(config).start(ours, MuxerContext::new(role, &env()));
    Played { session, driver: tokio::spawn(driver), peer }
}

/// Starts our side as the dialer; both have greeted, the peer with the initial settings.
pub async fn play(config: PriorityConfig) -> Played {
    let mut played = play_as(DIALER, config);
    played.says(&frame(FrameKind::Settings, 0, 0, b"")).await;
    played.skip_greeting().await;
    played
}

/// A frame.
pub fn frame(kind: FrameKind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { kind, flags, length: payload.len() as u16, stream };
    [&header.encode(), payload].concat()
}

/// A frame that carries a number.
pub fn number(kind: FrameKind, stream: u32, number: u32) -> Vec<u8> {
    encode_number(kind, stream, number).to_vec()
}

impl Played {
    /// Reads our SETTINGS and the first PING.
    pub async fn skip_greeting(&mut self) {
        let length = Settings::INITIAL.encode().len() + HEADER + 8;
        let mut greeting = vec![0; length];
        in_time("the greeting", self.peer.read_exact(&mut greeting)).await.unwrap();
    }

    pub async fn says(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).await.unwrap();
        self.peer.flush().await.unwrap();
    }

    pub async fn hears(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        in_time("the expected frames", self.peer.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, expected, "not the expected frame");
    }

    /// Reads one frame.
    pub async fn next(&mut self) -> (Header, Vec<u8>) {
        next(&mut self.peer).await
    }

    pub async fn ends(self) -> Result<()> {
        in_time("the driver's end", self.driver).await.unwrap()
    }
}

/// What our first PING says: the environment's first random bytes.
pub fn first_ping() -> [u8; 8] {
    env().random()
}

/// Reads one frame from `peer`.
pub async fn next(peer: &mut BoxPipe) -> (Header, Vec<u8>) {
    let mut head = [0; HEADER];
    in_time("a frame", peer.read_exact(&mut head)).await.unwrap();
    let header = Header::decode(head).unwrap();
    let mut payload = vec![0; header.length.into()];
    in_time("its payload", peer.read_exact(&mut payload)).await.unwrap();
    (header, payload)
}
