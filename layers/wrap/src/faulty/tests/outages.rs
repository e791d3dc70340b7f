use std::pin::pin;

use stackwire_core::reset_code;
use tokio::time::{sleep, timeout};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn stall(after: u64, lasts: Option<Duration>) -> Faults {
    Faults { stall: Some(Stall { after, lasts }), ..Faults::default() }
}

fn half_open(after: u64) -> Faults {
    Faults { half_open_after: Some(after), ..Faults::default() }
}

#[tokio::test(start_paused = true)]
async fn a_stall_keeps_everything_back_and_then_lets_go() {
    let (a, mut b) = pipes::pair();
    let mut a = faulty(a, stall(6, Some(MINUTE)), &env());
    b.write_all(b"abcdef").await.unwrap();
    let mut four = [0; 4];
    a.read_exact(&mut four).await.unwrap();
    let begin = Instant::now();
    // Two more bytes may move, whichever way.
    assert_eq!(a.write(b"xyz").await.unwrap(), 2);
    let (mut reader, mut writer) = tokio::io::split(a);
    let reading = tokio::spawn(async move { reader.read_u16().await });
    let writing = tokio::spawn(async move { writer.write_all(b"z").await.map(|()| writer) });
    sleep(MINUTE - Duration::from_secs(1)).await;
    assert!(!reading.is_finished() && !writing.is_finished());
    assert_eq!(reading.await.unwrap().unwrap(), u16::from_be_bytes(*b"ef"));
    let _writer = writing.await.unwrap().unwrap();
    assert_eq!(begin.elapsed(), MINUTE);
    let mut got = [0; 3];
    b.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"xyz");
}

#[tokio::test(start_paused = true)]
async fn a_stall_without_an_end_ends_by_our_own_reset_only() {
    let (a, mut b) = pipes::pair();
    let a = std::sync::Arc::new(parking_lot::Mutex::new(faulty(a, stall(0, None), &env())));
    b.write_all(b"never seen").await.unwrap();
    let shared = a.clone();
    let reading = tokio::spawn(futures::future::poll_fn(move |cx| {
        let mut pipe = shared.lock();
        tokio::io::AsyncBufRead::poll_fill_buf(std::pin::Pin::new(&mut *pipe), cx).map_ok(<[u8]>::len)
    }));
    sleep(100 * MINUTE).await;
    assert!(!reading.is_finished());
    a.lock().reset(3);
    // What lies below is no muxer's stream and knows no reset; here it is only about who waits.
    let _released = reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_half_open_pipe_is_silent_both_ways_and_never_fails() {
    let (a, mut b) = pipes::pair_with_capacity(100);
    let mut a = faulty(a, half_open(10), &env());
    a.write_all(b"0123456789, and what vanishes, however much it is").await.unwrap();
    a.write_all(&[0; 10_000]).await.unwrap();
    a.flush().await.unwrap();
    let mut got = [0; 10];
    b.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"0123456789");
    b.write_all(&[0; 10_000]).await.unwrap();
    assert!(timeout(100 * MINUTE, b.read_u8()).await.is_err() || b.read_u8().await.is_err());
    assert!(timeout(MINUTE, a.read_u8()).await.is_err());
    a.shutdown().await.unwrap();
    a.reset(4);
    assert_eq!(reset_code(&a.read_u8().await.unwrap_err()), Some(4));
}

#[tokio::test(start_paused = true)]
async fn nobody_sees_that_a_half_open_pipe_was_dropped() {
    let (a, mut b) = pipes::pair();
    let mut a = faulty(a, half_open(0), &env());
    assert!(timeout(MINUTE, a.read_u8()).await.is_err());
    drop(a);
    assert!(timeout(5 * MINUTE, b.read_u8()).await.is_err(), "the other end sees something");
    b.write_all(b"hello?").await.unwrap();
    b.shutdown().await.unwrap();
    assert!(timeout(MINUTE, b.read_u8()).await.is_err(), "the other end sees something");
    assert!(futures::poll!(pin!(b.read_u8())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_still_arrives() {
    let (a, mut b) = pipes::pair();
    let mut a = faulty(a, Faults { delay: millis(50..=50), ..half_open(4) }, &env());
    b.write_all(b"before and after").await.unwrap();
    let mut got = [0; 4];
    a.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"befo");
    assert!(timeout(MINUTE, a.read_u8()).await.is_err());
}
