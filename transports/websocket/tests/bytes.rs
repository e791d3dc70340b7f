//! The pipe carries the same bytes however they are cut.

mod support;

use proptest::{collection::vec, prelude::*};
use stackwire_conformance::in_time;
use stackwire_core::{BoxPipe, Error, Kind};
use support::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, split};

/// Writes the chunks, flushing where told, then shuts down.
async fn send(mut pipe: impl tokio::io::AsyncWrite + Unpin, chunks: &[(Vec<u8>, bool)]) {
    for (chunk, flush) in chunks {
        pipe.write_all(chunk).await.unwrap();
        if *flush {
            pipe.flush().await.unwrap();
        }
    }
    pipe.shutdown().await.unwrap();
}

/// Reads to the end, taking at most `step` bytes of the buffer at a time.
async fn receive(mut pipe: impl tokio::io::AsyncBufRead + Unpin, step: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let buffer = pipe.fill_buf().await.unwrap();
        if buffer.is_empty() {
            return bytes;
        }
        let n = buffer.len().min(step);
        bytes.extend_from_slice(&buffer[..n]);
        pipe.consume(n);
    }
}

async fn both_ways(a: BoxPipe, b: BoxPipe, chunks: &[(Vec<u8>, bool)], step: usize) -> (Vec<u8>, Vec<u8>) {
    let ((ar, aw), (br, bw)) = (split(a), split(b));
    let (ar, br) = (tokio::io::BufReader::new(ar), tokio::io::BufReader::new(br));
    let all = async { tokio::join!(send(aw, chunks), send(bw, chunks), receive(ar, step), receive(br, step)) };
    let (_, _, at_a, at_b) = in_time("both ways", all).await;
    (at_a, at_b)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_chunks_arrive_as_the_same_bytes(
        chunks in vec((vec(any::<u8>(), 0..20_000), any::<bool>()), 0..20),
        step in 1usize..100_000,
        tls: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let whole: Vec<u8> = chunks.iter().flat_map(|(chunk, _)| chunk.iter().copied()).collect();
        let (at_a, at_b) = runtime.block_on(async {
            let (a, b) = if tls { pair("tls.verify = false", WSS).await } else { pair("", WS).await };
            both_ways(a, b, &chunks, step).await
        });
        prop_assert!(at_a == whole && at_b == whole);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_both_ways_from_two_tasks_each() {
    let chunk: Vec<u8> = (0..100_000u32).map(|i| (i % 253) as u8).collect();
    let chunks = vec![(chunk, false); 40];
    for (options, at) in [("", WS), ("tls.verify = false", WSS)] {
        let (a, b) = pair(options, at).await;
        let (at_a, at_b) = both_ways(a, b, &chunks, usize::MAX).await;
        assert!(at_a.len() == 4_000_000 && at_a == at_b);
    }
}

#[tokio::test]
async fn each_side_closes_its_own_half() {
    for (options, at) in [("", WS), ("tls.verify = false", WSS)] {
        let (mut a, mut b) = pair(options, at).await;
        a.write_all(b"question").await.unwrap();
        a.shutdown().await.unwrap();
        let mut question = Vec::new();
        in_time("EOF", b.read_to_end(&mut question)).await.unwrap();
        b.write_all(b"answer").await.unwrap();
        b.shutdown().await.unwrap();
        let mut answer = Vec::new();
        in_time("EOF", a.read_to_end(&mut answer)).await.unwrap();
        assert_eq!((question.as_slice(), answer.as_slice()), (&b"question"[..], &b"answer"[..]));
        let error = Error::io("", a.write_all(b"more").await.unwrap_err());
        assert_kind(&error, Kind::Closed);
        a.shutdown().await.expect("shutting down twice is no error");
    }
}

#[tokio::test]
async fn writers_wait_for_readers() {
    let (mut a, mut b) = pair("", WS).await;
    let chunk = vec![1; 64 * 1024];
    let mut taken = 0;
    // Nothing is read: sooner or later no more is taken, and memory stays bounded.
    while let std::task::Poll::Ready(n) = futures::poll!(std::pin::pin!(a.write(&chunk))) {
        taken += n.unwrap();
        assert!(taken < 256 * 1024 * 1024, "a writer without a reader is never stopped");
        tokio::task::yield_now().await;
    }
    let read = async {
        let mut left = taken;
        while left > 0 {
            let n = b.fill_buf().await.unwrap().len();
            left -= n;
            b.consume(n);
        }
    };
    in_time("reading all of it", async { tokio::join!(async { a.flush().await.unwrap() }, read) }).await;
}

#[tokio::test]
async fn wildcards_are_expanded_and_the_suffix_is_kept() {
    let transport = transport("");
    for (at, suffix) in [("/ip4/0.0.0.0/tcp/0/ws", "/ws"), ("/ip4/0.0.0.0/tcp/0/wss", "/tls/ws")] {
        let listener = try_listen(&transport, at).await.unwrap();
        let addresses: Vec<String> = listener.addresses().iter().map(ToString::to_string).collect();
        assert!(addresses.iter().any(|address| address.starts_with("/ip4/127.0.0.1/tcp/")), "{addresses:?}");
        for address in addresses {
            assert!(address.ends_with(suffix) && !address.contains("0.0.0.0") && !address.contains("/tcp/0/"));
        }
    }
    assert_kind(&try_listen(&transport, "/ip4/127.0.0.1/tcp/0").await.err().unwrap(), Kind::AddressInvalid);
    let (_listener, address) = listen(&transport, WS).await;
    assert_kind(&try_listen(&transport, &address.to_string()).await.err().unwrap(), Kind::AddressInUse);
    drop(_listener);
    assert!(try_listen(&transport, &address.to_string()).await.is_ok(), "dropping a listener frees its address");
}
