//! Laws about the bytes of a connection.

use std::{io::IoSlice, pin::pin};

use futures::future::join;
use stackwire_core::BoxPipe;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::{Subject, connected, ping, random_bytes};
use crate::in_time;

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

/// 10 MiB in both directions at once: no deadlock, nothing lost, nothing changed.
pub async fn megabytes_flow_both_ways_at_once(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    let (up, down) = (random_bytes(10 << 20, 1), random_bytes((10 << 20) + 17, 2));
    in_time("10 MiB both ways", join(trade(&mut a, &up, &down), trade(&mut b, &down, &up))).await;
}

/// A reader takes exactly what it asked for: by copy or in the buffer, it finds the rest at its next read.
pub async fn reads_are_exact(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    let data = random_bytes(300_000, 1);
    let write = async {
        for part in data.chunks(7_001) {
            a.write_all(part).await.expect("writing works");
            a.flush().await.expect("flushing works");
        }
        a.shutdown().await.expect("closing works");
    };
    let read = async {
        let mut got = Vec::new();
        for size in [1, 100_000, 7, 0, 1_000].into_iter().cycle() {
            let before = b.fill_buf().await.expect("reading works").to_vec();
            if before.is_empty() {
                return got;
            }
            b.consume(0);
            let again = b.fill_buf().await.expect("reading works");
            assert!(again.starts_with(&before), "what was not consumed stays");
            let n = size.min(again.len());
            got.extend_from_slice(&again[..n]);
            b.consume(n);

            let mut part = vec![0; size];
            let n = b.read(&mut part).await.expect("reading works");
            got.extend_from_slice(&part[..n]);
        }
        unreachable!("the sizes repeat for ever")
    };
    let ((), got) = in_time("reading in all ways", join(write, read)).await;
    assert!(got == data, "{} bytes were written, {} read", data.len(), got.len());
}

/// A read that is given up loses nothing, nor does a write.
pub async fn a_read_can_be_given_up(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    for _ in 0..5 {
        let mut nothing = [0; 4];
        assert!(futures::poll!(pin!(b.read(&mut nothing))).is_pending(), "nothing was written yet");
        assert!(futures::poll!(pin!(b.fill_buf())).is_pending(), "nothing was written yet");
        ping(&mut a, &mut b).await;
    }
}

/// Slices of all sizes, written by vectored writes, arrive in their order.
pub async fn vectored_writes_arrive_in_order(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    let data = random_bytes(400_000, 1);
    let (mut parts, mut rest) = (Vec::new(), &data[..]);
    for size in [0, 1, 12, 65_535, 0, 3, 100_000, 1].into_iter().cycle() {
        let (part, left) = rest.split_at(size.min(rest.len()));
        parts.push(part);
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    let write = async {
        // Some transports take only so many at a time.
        for some in parts.chunks(5) {
            let mut slices: Vec<IoSlice<'_>> = some.iter().map(|part| IoSlice::new(part)).collect();
            let mut slices = &mut slices[..];
            while slices.iter().any(|slice| !slice.is_empty()) {
                let n = a.write_vectored(slices).await.expect("writing works");
                assert!(n > 0, "a vectored write takes something");
                IoSlice::advance_slices(&mut slices, n);
            }
        }
        a.shutdown().await.expect("closing works");
    };
    let mut got = Vec::new();
    let (_, read) = in_time("vectored writes", join(write, b.read_to_end(&mut got))).await;
    read.expect("reading works");
    assert!(got == data, "{} bytes were written, {} read", data.len(), got.len());
}

/// Writes and reads of one byte each work, both ways at once.
pub async fn single_bytes_arrive(subject: Subject) {
    let (a, b, _listener) = connected(&subject).await;
    let data = random_bytes(2_000, 1);
    let one_side = async |pipe: BoxPipe| {
        let (mut reader, mut writer) = tokio::io::split(pipe);
        let write = async {
            for byte in &data {
                writer.write_all(&[*byte]).await.expect("writing works");
                writer.flush().await.expect("flushing works");
            }
        };
        let read = async {
            for byte in &data {
                assert_eq!(reader.read_u8().await.expect("reading works"), *byte);
            }
        };
        join(write, read).await;
        reader.unsplit(writer)
    };
    in_time("single bytes", join(one_side(a), one_side(b))).await;
}

/// What was flushed arrives without anything more being written.
pub async fn a_flush_delivers_what_was_written(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    for size in [1, 10, 1_000, 50_000] {
        let data = random_bytes(size, 1);
        let mut got = vec![0; size];
        let write = async {
            a.write_all(&data).await.expect("writing works");
            a.flush().await.expect("flushing works");
        };
        let ((), read) = in_time("a flush", join(write, b.read_exact(&mut got))).await;
        read.expect("reading works");
        assert!(got == data);
    }
}
