//! The HTTP upgrade (RFC 6455, section 4).
//!
//! The answer is read into a buffer of bounded size and what lies behind it is returned: a peer may send its first
//! frame together with its part of the upgrade, and Go's do.

use std::fmt::Display;

use bytes::BufMut;
use stackwire_core::{Env, Error, Kind, Layer, Result, Violation};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{
    self,
    Error::Protocol,
    error::ProtocolError,
    handshake::{client::Response, derive_accept_key, machine::TryParse, server::Request},
    http::{HeaderMap, HeaderValue, StatusCode, uri::PathAndQuery},
};

use crate::NAME;

/// The longest request or response accepted, in bytes, up to its empty line.
const MAX_HEAD: usize = 16 * 1024;

/// Asks for the upgrade. Returns the bytes that arrived behind the response.
pub(crate) async fn ask<T>(io: &mut T, host: &str, path: &str, env: &Env) -> Result<Vec<u8>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    // Parsed only to be sure that a path from an address cannot add lines to the request.
    let path: PathAndQuery = path.parse().map_err(|e| {
        let message = format!("the path {path:?} cannot be asked for over HTTP");
        Error::new(Kind::AddressInvalid, message).caused_by(e).at(Layer::Transport, NAME)
    })?;
    let key = base64(&env.random());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await.map_err(|e| failed("sending the HTTP upgrade", e))?;
    io.flush().await.map_err(|e| failed("sending the HTTP upgrade", e))?;
    let (response, rest) = match read_head::<Response>(io).await? {
        Head::Complete(response, rest) => (response, rest),
        Head::TooLong => {
            return Err(violated(Violation::TooLarge, format!("an HTTP response of more than {MAX_HEAD} bytes")));
        }
        Head::Wrong(e, _) => return Err(violated(violation(&e), format!("not an answer to an HTTP upgrade: {e}"))),
    };
    check(&response, &derive_accept_key(key.as_bytes()))?;
    Ok(rest)
}

/// Answers a request for the upgrade, on any path. Returns the bytes that arrived behind the request.
pub(crate) async fn answer<T>(io: &mut T) -> Result<Vec<u8>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (request, rest) = match read_head::<Request>(io).await? {
        Head::Complete(request, rest) => (request, rest),
        Head::TooLong => {
            refuse(io, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "").await;
            return Err(violated(Violation::TooLarge, format!("an HTTP request of more than {MAX_HEAD} bytes")));
        }
        Head::Wrong(Protocol(ProtocolError::WrongHttpMethod), head) => return Err(other_method(io, &head).await),
        Head::Wrong(e, _) => {
            refuse(io, StatusCode::BAD_REQUEST, "").await;
            return Err(violated(violation(&e), format!("not a request for a WebSocket: {e}")));
        }
    };
    let key = match key_of(request.headers()) {
        Ok(key) => key,
        Err(Wrong { why, status, header }) => {
            refuse(io, status, header).await;
            return Err(misbehaved(format!("not a request for a WebSocket: {why}")));
        }
    };
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    io.write_all(response.as_bytes()).await.map_err(|e| failed("answering the HTTP upgrade", e))?;
    io.flush().await.map_err(|e| failed("answering the HTTP upgrade", e))?;
    Ok(rest)
}

/// Answers a request that is no GET, as load balancers and browsers send to see what is here (RFC 9110, section 9.3).
/// Asking is no misbehaviour.
async fn other_method(io: &mut (impl AsyncWrite + Unpin), head: &[u8]) -> Error {
    const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";
    let (status, header, method) = match head {
        [b'H', b'E', b'A', b'D', b' ', ..] => (StatusCode::UPGRADE_REQUIRED, UPGRADE, "HEAD"),
        [b'O', b'P', b'T', b'I', b'O', b'N', b'S', b' ', ..] => (StatusCode::NO_CONTENT, ALLOW, "OPTIONS"),
        _ => (StatusCode::METHOD_NOT_ALLOWED, ALLOW, "another method than GET"),
    };
    refuse(io, status, header).await;
    let during = format!("an HTTP request was answered that asks for no WebSocket: {method}");
    Error::new(Kind::Unsupported, during).at(Layer::Transport, NAME)
}

/// What a client that asks for no upgrade is told to ask for (RFC 9110, section 15.5.22).
const UPGRADE: &str = "Upgrade: websocket\r\n";

/// Why a request is answered with a refusal, and how.
struct Wrong {
    why: &'static str,
    status: StatusCode,
    header: &'static str,
}

/// The key of a request for the upgrade (section 4.2.1). What browsers and proxies send beside it does not matter: an
/// origin, cookies, other things that the connection could be upgraded to, extensions and subprotocols, of which the
/// answer takes up none. (That it is a GET of HTTP/1.1 its parser has checked.)
fn key_of(headers: &HeaderMap) -> Result<&HeaderValue, Wrong> {
    let wrong = |why| Wrong { why, status: StatusCode::BAD_REQUEST, header: "" };
    if !has_token(headers, "connection", "upgrade") || !has_token(headers, "upgrade", "websocket") {
        let status = StatusCode::UPGRADE_REQUIRED;
        return Err(Wrong { why: "it asks for no upgrade to WebSocket", status, header: UPGRADE });
    }
    if !has_token(headers, "sec-websocket-version", "13") {
        // Section 4.4: the answer says which version there is.
        let header = "Sec-WebSocket-Version: 13\r\n";
        return Err(Wrong { why: "it asks for another version", status: StatusCode::UPGRADE_REQUIRED, header });
    }
    headers.get("sec-websocket-key").ok_or_else(|| wrong("it has no `sec-websocket-key`"))
}

/// The head of an HTTP message.
enum Head<M> {
    /// It, and the bytes behind it.
    Complete(M, Vec<u8>),
    /// It does not end within the bound.
    TooLong,
    /// It is none, or none of the kind that was asked for: why, and its bytes.
    Wrong(tungstenite::Error, Vec<u8>),
}

async fn read_head<M: TryParse>(io: &mut (impl AsyncRead + Unpin)) -> Result<Head<M>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let room = MAX_HEAD - head.len();
        if room == 0 {
            return Ok(Head::TooLong);
        }
        let n = io.read_buf(&mut (&mut head).limit(room)).await.map_err(|e| failed("reading the HTTP upgrade", e))?;
        if n == 0 {
            let error = Error::closed("the connection ended within the HTTP upgrade");
            return Err(error.at(Layer::Transport, NAME));
        }
        // Parsed after every read, so that what is no HTTP at all is noticed before it ends. The bound keeps the cost
        // of a head that comes byte by byte small.
        match M::try_parse(&head) {
            Ok(Some((size, message))) => return Ok(Head::Complete(message, head.split_off(size))),
            Ok(None) => {}
            Err(e) => return Ok(Head::Wrong(e, head)),
        }
    }
}

/// What is wrong with a head that was refused.
fn violation(e: &tungstenite::Error) -> Violation {
    match e {
        tungstenite::Error::Capacity(_) => Violation::TooLarge,
        _ => Violation::Malformed,
    }
}

/// Whether the response agrees to the upgrade, as section 4.1 has it.
fn check(response: &Response, accept: &str) -> Result<()> {
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let message = format!("the HTTP server answered “{status}” instead of upgrading to WebSocket");
        return Err(Error::new(Kind::Refused, message).at(Layer::Transport, NAME));
    }
    let headers = response.headers();
    for (name, wanted) in [("upgrade", "websocket"), ("connection", "upgrade")] {
        if !has_token(headers, name, wanted) {
            return Err(violated(Violation::WrongAnswer, format!("an HTTP upgrade without `{name}: {wanted}`")));
        }
    }
    if headers.get("sec-websocket-accept").is_none_or(|value| value.as_bytes() != accept.as_bytes()) {
        return Err(violated(
            Violation::WrongAnswer,
            "an HTTP upgrade whose `sec-websocket-accept` does not answer our key",
        ));
    }
    for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
        if headers.contains_key(name) {
            return Err(violated(
                Violation::WrongAnswer,
                format!("an HTTP upgrade with `{name}`, which we did not ask for"),
            ));
        }
    }
    Ok(())
}

fn has_token(headers: &HeaderMap, name: &str, wanted: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ' '])).any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// Tells an HTTP client why not. The connection is given up either way, so failures do not matter.
async fn refuse(io: &mut (impl AsyncWrite + Unpin), status: StatusCode, header: &str) {
    // A 204 has no body, and may not say how long it is (RFC 9110, section 8.6).
    let length = if status == StatusCode::NO_CONTENT { "" } else { "Content-Length: 0\r\n" };
    let text = format!("HTTP/1.1 {status}\r\n{header}Connection: close\r\n{length}\r\n");
    if io.write_all(text.as_bytes()).await.is_ok() {
        let _gone = io.shutdown().await;
    }
}

fn misbehaved(during: impl Display) -> Error {
    violated(Violation::Malformed, during)
}

fn violated(violation: Violation, during: impl Display) -> Error {
    Error::violated(violation, during.to_string()).at(Layer::Transport, NAME)
}

fn failed(during: &'static str, e: std::io::Error) -> Error {
    Error::io(during, e).at(Layer::Transport, NAME)
}

/// 16 bytes in base64, as the key of the handshake is written.
fn base64(bytes: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(24);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text + "=="
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_conformance::env;
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        // Section 1.3.
        assert_eq!(base64(b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn both_halves_agree() {
        let (mut a, mut b) = duplex(64);
        let env = env();
        let (asked, answered) = tokio::join!(ask(&mut a, "example.org:8080", "/chat?x=1", &env), answer(&mut b));
        assert!(asked.unwrap().is_empty() && answered.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_path_cannot_smuggle_headers() {
        let (mut a, _b) = duplex(64);
        let error = ask(&mut a, "h", "/x HTTP/1.1\r\nCookie: y", &env()).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::AddressInvalid);
    }

    async fn answer_to(response: String) -> Error {
        let (mut a, mut b) = duplex(64 * 1024);
        b.write_all(response.as_bytes()).await.unwrap();
        b.shutdown().await.unwrap();
        ask(&mut a, "h", "/", &env()).await.unwrap_err()
    }

    #[tokio::test]
    async fn answers_that_are_no_upgrade() {
        let not_found = answer_to("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into()).await;
        assert_eq!(not_found.kind(), &Kind::Refused);
        assert!(not_found.to_string().contains("404 Not Found"), "{not_found}");

        let head = "HTTP/1.1 101 Switching Protocols\r\n";
        for rest in [
            "\r\n",
            "Upgrade: websocket\r\n\r\n",
            "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        ] {
            assert_eq!(
                answer_to(format!("{head}{rest}")).await.kind(),
                &Kind::PeerMisbehaved(Violation::WrongAnswer),
                "{rest}"
            );
        }
        assert_eq!(
            answer_to("\x13/multistream/1.0.0\n".into()).await.kind(),
            &Kind::PeerMisbehaved(Violation::Malformed)
        );
        assert_eq!(
            answer_to(format!("{head}A: {}", "x".repeat(MAX_HEAD))).await.kind(),
            &Kind::PeerMisbehaved(Violation::TooLarge)
        );
        assert_eq!(answer_to(head.into()).await.kind(), &Kind::Closed);
    }

    async fn answered(request: &str) -> (Error, String) {
        let (mut a, mut b) = duplex(64 * 1024);
        a.write_all(request.as_bytes()).await.unwrap();
        let error = answer(&mut b).await.unwrap_err();
        let mut text = String::new();
        a.read_to_string(&mut text).await.unwrap();
        (error, text)
    }

    #[tokio::test]
    async fn who_only_asks_what_is_here_gets_an_answer() {
        for (method, status, kind) in [
            ("HEAD", "426 Upgrade Required\r\nUpgrade: websocket\r\n", Kind::Unsupported),
            ("OPTIONS", "204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n", Kind::Unsupported),
            ("POST", "405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\n", Kind::Unsupported),
            ("GET", "426 Upgrade Required\r\nUpgrade: websocket\r\n", Kind::PeerMisbehaved(Violation::Malformed)),
        ] {
            let (error, text) = answered(&format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            assert_eq!(error.kind(), &kind, "{error}");
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
            assert_eq!(text.contains("Content-Length"), method != "OPTIONS", "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_refused(bytes: Vec<u8>, valid_start: bool) {
            let mut text = if valid_start { b"GET / HTTP/1.1\r\n".to_vec() } else { Vec::new() };
            text.extend(bytes);
            futures::executor::block_on(async {
                let (mut a, mut b) = duplex(64 * 1024);
                a.write_all(&text).await.unwrap();
                a.shutdown().await.unwrap();
                assert!(answer(&mut b).await.is_err());
            });
        }
    }
}
