//! A WebSocket whose peer says anything, from the HTTP upgrade or from the first frame on.

#![no_main]

use std::sync::LazyLock;

use futures::future::join;
use stackwire_core::{Role, Stage};
use stackwire_fuzz::{How, blames_the_peer, run, target};
use stackwire_transport_websocket::over;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tungstenite::handshake::derive_accept_key;

const MAX_MESSAGE: u64 = 1000;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// The answer to what we ask: the randomness of a target is always the same.
static RESPONSE: LazyLock<String> = LazyLock::new(|| {
    let (ours, mut theirs) = stackwire_conformance::pipes::pair();
    let request = run(async {
        let env = stackwire_conformance::env();
        let dial = over::dial(ours, "a", "/", MAX_MESSAGE, &env);
        let mut request = vec![0; 4096];
        let (_, n) = join(dial, async {
            let n = theirs.read(&mut request).await.expect("a request");
            drop(theirs);
            n
        })
        .await;
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
});

fn upgrade(role: Role) -> &'static [u8] {
    match role {
        Role::Dialer => RESPONSE.as_bytes(),
        Role::Listener => REQUEST.as_bytes(),
    }
}

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let bytes = if how.variant & 1 == 0 { bytes.to_vec() } else { [upgrade(how.role), bytes].concat() };
        run(how.facing(&bytes, async |pipe| {
            let env = stackwire_conformance::env();
            let stage = match how.role {
                Role::Dialer => over::dial(pipe, "a", "/", MAX_MESSAGE, &env).await,
                Role::Listener => over::accept(pipe, MAX_MESSAGE, &env).await,
            };
            let pipe = match stage {
                Ok(Stage::Raw(pipe)) => pipe,
                Ok(_) => unreachable!("a WebSocket is a raw pipe"),
                Err(error) => return blames_the_peer(error),
            };
            let (mut reader, mut writer) = split(pipe);
            let reading = async {
                let mut data = Vec::new();
                if let Err(error) = reader.read_to_end(&mut data).await {
                    blames_the_peer(error);
                }
                assert!(data.len() < bytes.len());
            };
            let writing = async {
                // Fails where the peer was found wrong meanwhile.
                let _failed = writer.write_all(&[1; 200]).await;
                let _failed = writer.shutdown().await;
            };
            join(reading, writing).await;
        }))
    },
    examples: {
        let masked = b"\x82\x85\x01\x02\x03\x04igoht\x89\x80\0\0\0\0\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b\x88\x82\0\0\0\0\x03\xe8";
        let plain = b"\x82\x05hello\x89\0\x01\x01a\x80\x01b\x88\x02\x03\xe8";
        vec![
            How::input(Role::Listener, 0, upgrade(Role::Listener)),
            How::input(Role::Dialer, 0, upgrade(Role::Dialer)),
            How::input(Role::Listener, 1, masked),
            How::input(Role::Dialer, 1, plain),
        ]
    }
);
