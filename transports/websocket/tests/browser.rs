//! Requests for the upgrade as browsers and what stands between them and us write them.

mod support;

use stackwire_conformance::in_time;
use stackwire_core::{Kind, Violation};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// As Chromium 156 sends it for `new WebSocket("ws://127.0.0.1:18765/some/path?x=1")`.
const CHROMIUM: &str = "GET /some/path?x=1 HTTP/1.1\r\n\
    Host: 127.0.0.1:18765\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
        HeadlessChrome/156.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://127.0.0.1:18765\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=abc123\r\n\
    Sec-WebSocket-Key: lJHu3qI7hzIW12O3hdbT2Q==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// Sends `request` to a listener of ours; the answer, and a few bytes there and back.
async fn upgraded(request: &str) -> String {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let mut browser = TcpStream::connect(socket(&address)).await.unwrap();
    browser.write_all(request.as_bytes()).await.unwrap();
    let opened = in_time("open", accept(&mut listener).await.open).await;
    let mut pipe = pipe(opened.unwrap_or_else(|error| panic!("{request}: {error}")).stage);
    let answer = read_head(&mut browser).await;
    browser.write_all(&frame(0x82, MASK, b"\x13/multistream/1.0.0\n")).await.unwrap();
    assert_eq!(&read::<20>(&mut pipe).await, b"\x13/multistream/1.0.0\n");
    pipe.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
    pipe.flush().await.unwrap();
    assert_eq!(&read::<22>(&mut browser).await, b"\x82\x14\x13/multistream/1.0.0\n");
    answer
}

#[tokio::test]
async fn a_browser_is_answered_and_none_of_its_extensions_is_taken_up() {
    let answer = upgraded(CHROMIUM).await;
    assert_eq!(
        answer,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: xROpKPI/pXE7K4Fc9LnTA8WyVNI=\r\n\r\n"
    );
}

#[tokio::test]
async fn other_ways_to_ask_are_understood() {
    for (theirs, ours) in [
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"), // Firefox
        ("Connection: Upgrade", "connection: upgrade"),             // nginx
        ("Connection: Upgrade", "Connection: close\r\nConnection: Upgrade"),
        ("Upgrade: websocket", "Upgrade: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Origin: http://127.0.0.1:18765", "Origin: null"),
        ("GET /some/path?x=1", "GET /"),
        ("GET /some/path?x=1", "GET http://example.org/some/path"),
        ("Pragma: no-cache", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https"),
    ] {
        assert!(CHROMIUM.contains(theirs));
        upgraded(&CHROMIUM.replacen(theirs, ours, 1)).await;
    }
}

/// What a refused request is answered.
async fn refused(request: &str) -> String {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let mut browser = TcpStream::connect(socket(&address)).await.unwrap();
    browser.write_all(request.as_bytes()).await.unwrap();
    let error = in_time("open", accept(&mut listener).await.open).await.err().unwrap();
    assert_kind(&error, Kind::PeerMisbehaved(Violation::Malformed));
    let mut answer = String::new();
    in_time("an answer", browser.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_page_asked_for_and_another_version_are_refused_in_http() {
    let page = CHROMIUM.replace("Connection: Upgrade", "Connection: keep-alive").replace("Upgrade: websocket\r\n", "");
    assert!(refused(&page).await.starts_with("HTTP/1.1 426 "));
    assert!(refused(&CHROMIUM.replace("Sec-WebSocket-Key", "X-Key")).await.starts_with("HTTP/1.1 400 "));
    let other = refused(&CHROMIUM.replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8")).await;
    assert!(other.starts_with("HTTP/1.1 426 ") && other.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{other}");
}
