//! What peers send that they should not.

mod support;

use stackwire_conformance::in_time;
use stackwire_core::{Error, Kind, Opened, Result, Violation};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const MASK: Option<[u8; 4]> = Some([9, 8, 7, 6]);

/// What our listener makes of a client that sends this, and what the client is told.
async fn request(bytes: &[u8]) -> (Error, String) {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let mut tcp = TcpStream::connect(socket(&address)).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let error = match in_time("open", accept(&mut listener).await.open).await {
        Ok(_) => panic!("accepted {}", String::from_utf8_lossy(bytes)),
        Err(error) => error,
    };
    let mut answer = Vec::new();
    let _may_be_reset = in_time("an answer", tcp.read_to_end(&mut answer)).await;
    (error, String::from_utf8_lossy(&answer).into_owned())
}

/// What our dialer makes of a server that answers this.
async fn response(bytes: &[u8]) -> Error {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}/ws").parse().unwrap();
    let transport = transport("");
    let (dialed, _) = tokio::join!(dial(&transport, &address), async {
        let (mut tcp, _) = server.accept().await.unwrap();
        let _may_break = tcp.write_all(bytes).await;
        let _may_break = tcp.read_to_end(&mut Vec::new()).await;
    });
    dialed.err().expect("a dial that fails")
}

#[tokio::test]
async fn requests_that_are_no_upgrade() {
    for (bytes, status, kind) in [
        (&b"\x13/multistream/1.0.0\n"[..], "400", Kind::PeerMisbehaved(Violation::Malformed)),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426", Kind::PeerMisbehaved(Violation::Malformed)),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "405", Kind::Unsupported), // asking is no misbehaviour
        (b"GET / HTTP/1.0\r\n\r\n", "400", Kind::PeerMisbehaved(Violation::Malformed)),
        (b"\x16\x03\x01\x02\x00\x01\x00", "400", Kind::PeerMisbehaved(Violation::Malformed)), // TLS where none is spoken
    ] {
        let (error, answer) = request(bytes).await;
        assert_kind(&error, kind);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    bytes.extend(format!("X-Padding: {}\r\n", "0".repeat(1000)).repeat(20).as_bytes());
    bytes.truncate(16 * 1024);
    let (error, answer) = request(&bytes).await;
    assert_kind(&error, Kind::PeerMisbehaved(Violation::TooLarge));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    let many = [b"GET / HTTP/1.1\r\n", "X: y\r\n".repeat(1000).as_bytes()].concat();
    assert_kind(&request(&many).await.0, Kind::PeerMisbehaved(Violation::TooLarge));
    let one_line = [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'x'; 16 * 1024 - 19]].concat();
    assert_kind(&request(&one_line).await.0, Kind::PeerMisbehaved(Violation::TooLarge));
}

#[tokio::test]
async fn responses_that_are_no_upgrade() {
    assert_kind(&response(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await, Kind::Refused);
    assert_kind(&response(b"SSH-2.0-OpenSSH\r\n").await, Kind::PeerMisbehaved(Violation::Malformed));
    assert_kind(&response(&[0xff; 1000]).await, Kind::PeerMisbehaved(Violation::Malformed));
    assert_kind(
        &response(&[b"HTTP/1.1 101 ", &[b'x'; 20_000][..]].concat()).await,
        Kind::PeerMisbehaved(Violation::TooLarge),
    );
}

#[tokio::test]
async fn a_peer_that_leaves_within_the_upgrade() {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let mut tcp = TcpStream::connect(socket(&address)).await.unwrap();
    tcp.write_all(b"GET / HT").await.unwrap();
    drop(tcp);
    let error = in_time("open", accept(&mut listener).await.open).await.err().unwrap();
    assert_kind(&error, Kind::Closed);
}

#[tokio::test]
async fn a_peer_that_says_nothing_holds_up_nobody() {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let _silent = TcpStream::connect(socket(&address)).await.unwrap();
    let _never_opened = accept(&mut listener).await;
    let open = async { accept(&mut listener).await.open.await };
    let (dialed, opened): (_, Result<Opened>) = tokio::join!(dial(&transport, &address), open);
    assert!(dialed.is_ok() && opened.is_ok());
}

#[tokio::test]
async fn frames_that_break_the_protocol() {
    use Violation::*;
    for (violation, bytes) in [
        (Malformed, frame(0x82, None, b"no mask")),
        (Malformed, frame(0xc2, MASK, b"an extension")),
        (Malformed, frame(0x83, MASK, b"an unknown type")),
        (OutOfOrder, frame(0x80, MASK, b"continues nothing")),
        (TooLarge, frame(0x09, MASK, b"a ping in parts")),
        (TooLarge, frame(0x89, MASK, &[0; 126])),
        (Malformed, frame(0x88, MASK, &[0])),
        (OutOfOrder, [frame(0x02, MASK, b"a"), frame(0x82, MASK, b"within")].concat()),
        (TooLarge, vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    ] {
        let (mut tcp, mut pipe) = raw_client("", &frame(0x82, MASK, b"ok")).await;
        tcp.write_all(&bytes).await.unwrap();
        let (read, error) = read_error(&mut pipe).await;
        assert!(read.starts_with(b"ok"), "{bytes:x?}");
        assert_kind(&error, Kind::PeerMisbehaved(violation));
        // The peer is told why (1002), and neither side of the pipe works any more.
        let mut told = [0; 4];
        in_time("a close frame", tcp.read_exact(&mut told)).await.unwrap();
        assert_eq!(told, [0x88, 2, 0x03, 0xea]);
        assert_kind(&Error::io("", pipe.write_all(b"x").await.unwrap_err()), Kind::PeerMisbehaved(violation));
        assert_kind(&Error::io("", pipe.flush().await.unwrap_err()), Kind::PeerMisbehaved(violation));
        assert_kind(&read_error(&mut pipe).await.1, Kind::PeerMisbehaved(violation));
    }

    let (mut tcp, mut pipe) = raw_server("", b"").await;
    tcp.write_all(&frame(0x82, MASK, b"a mask")).await.unwrap();
    assert_kind(&read_error(&mut pipe).await.1, Kind::PeerMisbehaved(Violation::Malformed));
}

#[tokio::test]
async fn messages_are_bounded() {
    let longest = vec![7; 1000];
    let (mut tcp, mut pipe) = raw_client("max_message_bytes = 1000", &frame(0x82, MASK, &longest)).await;
    assert_eq!(read::<1000>(&mut pipe).await.as_slice(), longest);
    tcp.write_all(&[frame(0x02, MASK, &longest), frame(0x80, MASK, b"x")].concat()).await.unwrap();
    let (bytes, error) = read_error(&mut pipe).await;
    assert_eq!(bytes, longest);
    assert_kind(&error, Kind::PeerMisbehaved(Violation::TooLarge));
    assert!(error.to_string().contains("max_message_bytes"), "{error}");
}

#[tokio::test]
async fn pings_from_a_peer_that_reads_no_pongs_hold_up_nothing() {
    // The peer sends far more pings than the sockets hold pongs, and reads none; data behind them still arrives.
    let (mut tcp, mut pipe) = raw_client("", b"").await;
    let pings = frame(0x89, MASK, &[0x55; 125]).repeat(500);
    let (sent, read) = tokio::join!(
        async {
            for _ in 0..200 {
                tcp.write_all(&pings).await?;
            }
            tcp.write_all(&frame(0x82, MASK, b"done")).await
        },
        async { in_time("the data", async { read::<4>(&mut pipe).await }).await }
    );
    sent.unwrap();
    assert_eq!(&read, b"done");
}
