//! What goes over the wire, seen by raw TCP peers written by hand.

mod support;

use stackwire_conformance::in_time;
use stackwire_core::{Error, Kind};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

#[tokio::test]
async fn a_first_frame_behind_the_response_is_not_lost() {
    let (mut tcp, mut pipe) = raw_server("", &frame(0x82, None, b"\x13/multistream/1.0.0\n")).await;
    assert_eq!(&read::<20>(&mut pipe).await, b"\x13/multistream/1.0.0\n");
    tcp.write_all(&frame(0x82, None, b"more")).await.unwrap();
    assert_eq!(&read::<4>(&mut pipe).await, b"more");
}

#[tokio::test]
async fn a_first_frame_behind_the_request_is_not_lost() {
    // The second frame is cut in its middle.
    let frames = [frame(0x82, MASK, b"\x13/multistream/1.0.0\n"), frame(0x82, MASK, b"more")].concat();
    let (now, later) = frames.split_at(frames.len() - 2);
    let (mut tcp, mut pipe) = raw_client("", now).await;
    assert_eq!(&read::<20>(&mut pipe).await, b"\x13/multistream/1.0.0\n");
    tcp.write_all(later).await.unwrap();
    assert_eq!(&read::<4>(&mut pipe).await, b"more");
}

#[tokio::test]
async fn text_fragments_and_empty_frames_are_bytes() {
    let frames = [
        frame(0x81, MASK, b"\xff\xfe"),                // text that is not even UTF-8
        frame(0x82, MASK, b""),                        // empty
        frame(0x02, MASK, b"He"),                      // the first part
        frame(0x8a, MASK, b"a pong nobody asked for"), // a control frame between the parts
        frame(0x00, MASK, b""),                        // an empty part
        frame(0x80, MASK, b"llo"),                     // the last part
        frame(0x88, MASK, &1000u16.to_be_bytes()),
    ]
    .concat();
    for piece in [1, 7, frames.len()] {
        let (mut tcp, mut pipe) = raw_client("", b"").await;
        for piece in frames.chunks(piece) {
            tcp.write_all(piece).await.unwrap();
        }
        let mut bytes = Vec::new();
        in_time("EOF", pipe.read_to_end(&mut bytes)).await.unwrap();
        assert_eq!(bytes, b"\xff\xfeHello");
        assert_eq!(in_time("EOF again", pipe.read(&mut [0; 8])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_flushed_together_leaves_as_one_frame() {
    let (mut tcp, mut pipe) = raw_client("", b"").await;
    pipe.write_all(b"Hel").await.unwrap();
    pipe.write_all(b"lo").await.unwrap();
    pipe.flush().await.unwrap();
    assert_eq!(&read::<7>(&mut tcp).await, b"\x82\x05Hello");
    pipe.shutdown().await.unwrap();
    assert_eq!(read::<4>(&mut tcp).await, [0x88, 2, 0x03, 0xe8]);

    let (mut tcp, mut pipe) = raw_server("", b"").await;
    pipe.write_all(b"Hello").await.unwrap();
    pipe.flush().await.unwrap();
    let [first, length, key @ .., h, e, l, l2, o] = read::<11>(&mut tcp).await;
    assert_eq!((first, length), (0x82, 0x85), "who dialed masks");
    let mut payload = [h, e, l, l2, o];
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    assert_eq!(&payload, b"Hello");
}

#[tokio::test]
async fn pings_are_answered_while_we_only_read() {
    let (mut tcp, mut pipe) = raw_client("", b"").await;
    tcp.write_all(&[frame(0x89, MASK, b"one"), frame(0x89, MASK, b"two")].concat()).await.unwrap();
    let reading = async { pipe.read(&mut [0; 8]).await };
    let answered = async {
        // The newest must be answered, older ones may be.
        let mut pongs = Vec::new();
        while !pongs.ends_with(b"two") {
            pongs.push(tcp.read_u8().await.unwrap());
        }
        pongs
    };
    let pongs = tokio::select! {
        _ = reading => panic!("there is nothing to read"),
        pongs = in_time("a pong", answered) => pongs,
    };
    assert!(pongs.ends_with(b"\x8a\x03two"), "{pongs:x?}");
}

#[tokio::test]
async fn the_write_side_goes_on_after_the_peers_close_frame() {
    let (mut tcp, mut pipe) = raw_client("", &frame(0x88, MASK, &1000u16.to_be_bytes())).await;
    assert_eq!(in_time("EOF", pipe.read(&mut [0; 8])).await.unwrap(), 0);
    pipe.write_all(b"bye").await.unwrap();
    pipe.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    in_time("the end of TCP", tcp.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes, b"\x82\x03bye\x88\x02\x03\xe8");
    let error = Error::io("", pipe.write_all(b"more").await.unwrap_err());
    assert_kind(&error, Kind::Closed);
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_a_reset() {
    let (tcp, mut pipe) = raw_client("", &frame(0x82, MASK, b"data")).await;
    drop(tcp);
    let (bytes, error) = read_error(&mut pipe).await;
    assert_eq!(bytes, b"data", "what had arrived is still read");
    assert_kind(&error, Kind::Reset { code: 0 });
}

#[tokio::test]
async fn a_reset_closes_the_connection_and_names_its_code_here() {
    let (mut tcp, mut pipe) = raw_client("", b"").await;
    pipe.reset(7);
    assert_eq!(in_time("the end of TCP", tcp.read(&mut [0; 8])).await.unwrap_or(0), 0);
    assert_kind(&read_error(&mut pipe).await.1, Kind::Reset { code: 7 });
    assert_kind(&Error::io("", pipe.write_all(b"x").await.unwrap_err()), Kind::Reset { code: 7 });
}
