//! Probes that a peer sends, and its answers to ours.

#![no_main]

use std::sync::Arc;

use futures::future::join;
use stackwire_core::{ConnectionId, ConnectionInfo, Multiaddr, Path, Role, Stream, Violation};
use stackwire_fuzz::{How, THEM, run, target};
use stackwire_liveness::{SIZE, answer, ends, probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn stream(pipe: stackwire_core::BoxPipe) -> Stream {
    let path =
        Path { role: Role::Listener, local: None, remote: Multiaddr::empty(), relayed: false, rungs: Vec::new() };
    let connection = ConnectionInfo::new(ConnectionId(1), THEM.peer_id(), path);
    Stream::new(pipe, "/stackwire/health/1.0.0".into(), Arc::new(connection))
}

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        run(async {
            // What a peer sends comes back as it is, and whole probes are counted.
            let (ours, theirs) = how.pair();
            let (mut hear, mut say) = tokio::io::split(theirs);
            let asking = async {
                let told = async {
                    say.write_all(bytes).await.expect("we read");
                    say.shutdown().await.expect("we read");
                };
                let mut heard = Vec::new();
                let (_, read) = join(told, hear.read_to_end(&mut heard)).await;
                read.expect("we end properly");
                heard
            };
            let mut probes = 0;
            let (answered, heard) = join(answer(stream(ours), || probes += 1), asking).await;
            answered.expect("any bytes are probes");
            assert_eq!((heard.as_slice(), probes), (bytes, bytes.len() / SIZE));
        });
        // Nobody guesses our probe. It depends on the input, because the engine sees what is compared, and says it.
        let seed = bytes.iter().fold(1, |seed: u64, byte| seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
        run(how.facing(bytes, async |pipe| {
            let error = probe(&mut stream(pipe), &stackwire_conformance::env_seeded(seed)).await.expect_err("a guess");
            assert!(error.violation() == Some(Violation::WrongAnswer) || ends(&error), "{error}");
            assert_eq!(error.violation().is_some(), bytes.len() >= SIZE, "{error}");
        }))
    },
    examples: [1, 31, 32, 33, 96].map(|length| How::input(Role::Dialer, 0, &vec![7; length])).to_vec()
);
