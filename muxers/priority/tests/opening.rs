//! Streams that are opened faster than they can be announced.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod played;

use bytes::Bytes;
use played::{DIALER, next, play_as};
use stackwire_conformance::muxer::settle;
use stackwire_core::{Pipe, Priority, SessionExt};
use stackwire_muxer_priority::{PriorityConfig, settings::Settings, wire::FrameKind};
use tokio::io::AsyncWriteExt;

const STREAMS: usize = 600;

/// Where the peer allows it, streams of every class that are opened at once: nothing of a stream comes before its OPEN.
#[tokio::test(start_paused = true)]
async fn nothing_of_a_stream_comes_before_its_open() {
    let settings = Settings { streams: 1000, ..Settings::INITIAL };
    let mut played = play_as(DIALER, PriorityConfig::default());
    played.says(&settings.encode()).await;
    played.skip_greeting().await;
    settle().await;
    let mut streams = Vec::new();
    for n in 0..STREAMS {
        let mut stream = played.session.open().await.unwrap();
        stream.set_priority([Priority::Low, Priority::Normal, Priority::High, Priority::Urgent][n % 4]);
        stream.write_all(b"x").await.unwrap();
        let datagrams = stream.datagrams().expect("this muxer has datagrams");
        datagrams.send(Bytes::from_static(b"y")).unwrap();
        streams.push(stream);
    }
    let (mut opened, mut data, mut datagrams) = (0, 0, 0);
    while data < STREAMS || datagrams < STREAMS {
        let (header, _) = next(&mut played.peer).await;
        match header.kind {
            FrameKind::Open => opened = header.stream,
            FrameKind::Data => data += 1,
            FrameKind::Datagram => datagrams += 1,
            _ => {}
        }
        assert!(header.stream <= opened, "{header:?}, and {opened} was opened last");
    }
}
