//! A muxer between a peer that says an input and an application that uses streams.

use std::time::Duration;

use futures::{
    StreamExt,
    future::{join4, ready},
    stream,
};
use stackwire_core::{BoxPipe, Muxer, Session, SessionExt, MuxerContext};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::How;

/// Runs `muxer` until its connection has ended. Panics where a stream, an opener or the accepter outlives it, or where
/// streams give more bytes than arrived.
pub async fn use_muxer(muxer: &dyn Muxer, how: How, bytes: &[u8]) {
    how.facing(bytes, async |pipe| {
        let env = stackwire_conformance::env();
        let (session, driver) = muxer.start(pipe, MuxerContext::new(how.role, &env));
        let closing = async {
            if how.variant & 8 != 0 {
                tokio::task::yield_now().await;
                session.close(7);
            }
        };
        let (ended, accepted, opened, ()) = join4(driver, accept(&*session, how), open(&*session, how), closing).await;
        if let Err(error) = ended {
            crate::blames_the_peer(error);
        }
        assert!(accepted + opened <= bytes.len(), "{accepted} + {opened} of {}", bytes.len());
        assert!(session.open().await.is_err() && session.accept().await.is_err(), "nothing begins after the end");
    })
    .await
}

/// Opens two streams, one after the other. Answers how many bytes they gave.
async fn open(session: &dyn Session, how: How) -> usize {
    let mut read = 0;
    for _ in 0..2 {
        let Ok(stream) = session.open().await else { break };
        read += use_stream(stream, how).await;
    }
    read
}

/// Takes and uses streams until the connection ends. Answers how many bytes they gave.
async fn accept(session: &dyn Session, how: How) -> usize {
    let accepted = stream::poll_fn(|cx| session.poll_accept(cx).map(Result::ok));
    let used = accepted.map(|stream| use_stream(stream, how)).buffer_unordered(16);
    used.fold(0, |read, n| ready(read + n)).await
}

/// Writes a little and reads to the end, or does as the variant says.
async fn use_stream(mut stream: BoxPipe, how: How) -> usize {
    let mut first = [0; 5];
    let _ended = stream.write_all(b"hello").await;
    let _ended = stream.flush().await;
    match how.variant % 4 {
        0 => {}
        // Reads when the connection has nothing else to do.
        1 => stackwire_conformance::env().sleep(Duration::from_secs(1)).await,
        // Leaves after the first bytes, by a reset or by closing one half after the other.
        2 => {
            let n = stream.read(&mut first).await.unwrap_or_default();
            stream.reset(7);
            assert!(stream.read(&mut first).await.is_err(), "nothing is read after a reset");
            return n;
        }
        _ => stream.close_read(),
    }
    let _ended = stream.shutdown().await;
    let mut rest = Vec::new();
    let _ended = stream.read_to_end(&mut rest).await;
    rest.len()
}
