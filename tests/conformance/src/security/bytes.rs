//! Laws about the bytes that a finished channel carries.

use std::{io::IoSlice, time::Duration};

use futures::future::join;
use stackwire_core::{BoxPipe, Role};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::{Subject, connected, connected_over, dialer, listener, random_bytes};
use crate::{in_time, pipes};

/// Writes `out`, flushes, and meanwhile reads as many bytes as `expected` has, which must be those.
async fn trade(pipe: &mut BoxPipe, out: &[u8], expected: &[u8]) {
    let (mut reader, mut writer) = tokio::io::split(pipe);
    let write = async {
        writer.write_all(out).await.expect("writing works");
        writer.flush().await.expect("flushing works");
    };
    let read = async {
        let mut data = vec![0; expected.len()];
        reader.read_exact(&mut data).await.expect("reading works");
        assert!(data == expected, "{} bytes arrive as they were written", expected.len());
    };
    join(write, read).await;
}

/// What either side writes as soon as its own handshake is done arrives, although the other's may not be.
pub async fn data_sent_right_after_the_handshake_arrives(subject: Subject) {
    let (a, b) = pipes::pair();
    let talk = async |side: super::Side, pipe, role, out: &[u8], expected: &[u8]| {
        let mut channel = side.handshake(&subject, pipe, role).await.expect("the handshake works").pipe;
        trade(&mut channel, out, expected).await;
        channel
    };
    let both = join(
        talk(dialer(), a, Role::Dialer, b"from the dialer", b"from the listener"),
        talk(listener(), b, Role::Listener, b"from the listener", b"from the dialer"),
    );
    in_time("the first data", both).await;
}

/// Messages around the sizes where frames end arrive whole, in both directions at once.
pub async fn messages_of_awkward_sizes_arrive_whole(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    let sizes = [0, 1, 16_383, 16_384, 16_385, 65_518, 65_519, 65_520, 65_535, 65_536, 0, 200_000];
    for size in sizes {
        let (up, down) = (random_bytes(size, 1), random_bytes(size, 2));
        let both = join(trade(&mut a, &up, &down), trade(&mut b, &down, &up));
        in_time(&format!("a message of {size} bytes"), both).await;
    }
}

/// Several MiB in both directions at once arrive as they were written.
pub async fn megabytes_flow_both_ways_at_once(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    let (up, down) = (random_bytes(3 << 20, 1), random_bytes((4 << 20) + 17, 2));
    in_time("megabytes both ways", join(trade(&mut a, &up, &down), trade(&mut b, &down, &up))).await;
}

/// A reader that takes less than a frame finds the rest at its next read, also when it reads in the buffer.
pub async fn reads_smaller_than_a_frame_keep_the_rest(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    let data = random_bytes(70_000, 1);
    let write = async {
        a.write_all(&data).await.expect("writing works");
        a.shutdown().await.expect("closing works");
    };
    let read = async {
        let mut read = Vec::new();
        for size in [1, 7, 100, 1000].into_iter().cycle() {
            // One read by copy, and one in the buffer.
            let mut part = vec![0; size];
            let n = b.read(&mut part).await.expect("reading works");
            read.extend_from_slice(&part[..n]);
            let available = b.fill_buf().await.expect("reading works");
            if available.is_empty() {
                return read;
            }
            let n = available.len().min(size);
            read.extend_from_slice(&available[..n]);
            b.consume(n);
        }
        unreachable!("the sizes repeat for ever")
    };
    let ((), read) = in_time("small reads", join(write, read)).await;
    assert!(read == data, "small reads give every byte once, in order");
}

/// The handshake and the channel work over pipes that take and give one byte, or three, at a time.
pub async fn pipes_of_single_bytes_work(subject: Subject) {
    for chunk in [1, 3] {
        let (mut a, mut b) = connected_over(&subject, pipes::pair_in_chunks(chunk)).await;
        let (up, down) = (random_bytes(3000, 1), random_bytes(2000, 2));
        let both = join(trade(&mut a, &up, &down), trade(&mut b, &down, &up));
        in_time(&format!("data over a pipe of {chunk} bytes"), both).await;
    }
}

/// A vectored write takes its slices in order, empty ones included, and says how much it took.
pub async fn vectored_writes_arrive_in_order(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    let data = random_bytes(150_000, 1);
    let write = async {
        assert_eq!(a.write_vectored(&[]).await.expect("writing nothing works"), 0);
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let (first, second) = rest.split_at(rest.len().min(12));
            let (second, third) = second.split_at(second.len() / 2);
            let slices = [first, &[], second, third].map(IoSlice::new);
            let n = a.write_vectored(&slices).await.expect("writing works");
            assert!((1..=rest.len()).contains(&n), "took {n} of {} bytes", rest.len());
            rest = &rest[n..];
        }
        a.flush().await.expect("flushing works");
    };
    let read = async {
        let mut read = vec![0; data.len()];
        b.read_exact(&mut read).await.expect("reading works");
        assert!(read == data, "the slices arrive in order");
    };
    in_time("vectored writes", join(write, read)).await;
}

/// What was written before a flush can be read without anything further from the writer; a flush of nothing is fine.
pub async fn a_flush_delivers_what_was_written(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    for round in 0..3u8 {
        a.flush().await.expect("a flush of nothing works");
        a.write_all(&[round; 10]).await.expect("writing works");
        a.write_all(&[round; 10]).await.expect("writing works");
        a.flush().await.expect("flushing works");
        let mut data = [0; 20];
        in_time("flushed data", b.read_exact(&mut data)).await.expect("reading works");
        assert_eq!(data, [round; 20]);
    }
}

/// Memory is bounded: a writer whose peer does not read waits before it has handed over 4 MiB, and loses nothing.
pub async fn a_reader_that_stops_holds_up_the_writer(subject: Subject) {
    const MOST: usize = 4 << 20;
    let (mut a, mut b) = connected(&subject).await;
    let data = random_bytes(MOST, 1);
    let mut sent = 0;
    while let Ok(result) = tokio::time::timeout(Duration::from_secs(1), a.write(&data[sent..])).await {
        let n = result.expect("writing works");
        assert!(n > 0, "a write takes something or waits");
        sent += n;
        assert!(sent < MOST, "{sent} bytes were taken although nobody reads");
    }
    let mut read = vec![0; sent];
    let both = join(a.flush(), b.read_exact(&mut read));
    let (flushed, all) = in_time("the rest after a stall", both).await;
    flushed.expect("flushing works");
    all.expect("reading works");
    assert!(read == data[..sent], "nothing is lost by waiting");
}

/// A shutdown delivers what was written and ends that direction; the other one goes on.
pub async fn a_shutdown_ends_one_direction_only(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    let (up, down) = (random_bytes(1000, 1), random_bytes(100_000, 2));
    let work = async {
        a.write_all(&up).await.expect("writing works");
        a.shutdown().await.expect("closing works");
        let mut data = Vec::new();
        b.read_to_end(&mut data).await.expect("a closed direction ends without an error");
        assert!(data == up, "everything before the end arrives");
        assert_eq!(b.read(&mut [0; 8]).await.expect("an end stays an end"), 0);

        let write = async {
            b.write_all(&down).await.expect("the other direction still takes data");
            b.shutdown().await.expect("closing works");
        };
        let read = async {
            let mut data = Vec::new();
            a.read_to_end(&mut data).await.expect("the other direction ends without an error too");
            assert!(data == down, "the other direction still carries data");
        };
        join(write, read).await;
        assert!(a.write(b"late").await.is_err(), "a direction that was closed takes nothing");
    };
    in_time("half-closing", work).await;
}

/// Closing at once, without a byte of data, is a clean end for both.
pub async fn closing_without_data_is_an_end(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    let close = async |pipe: &mut BoxPipe| {
        pipe.shutdown().await.expect("closing works");
        let mut data = Vec::new();
        pipe.read_to_end(&mut data).await.expect("the end is clean");
        assert!(data.is_empty());
    };
    in_time("closing without data", join(close(&mut a), close(&mut b))).await;
}

/// A channel that is dropped frees the pipe: the peer's read ends, cleanly or not.
pub async fn dropping_a_channel_ends_the_peers_reads(subject: Subject) {
    let (mut a, mut b) = connected(&subject).await;
    a.write_all(b"last words").await.expect("writing works");
    a.flush().await.expect("flushing works");
    drop(a);
    let mut data = Vec::new();
    let _clean_or_not = in_time("the end after a drop", b.read_to_end(&mut data)).await;
    assert_eq!(data, b"last words");
}
