//! The laws of sealed records.
//!
//! ```ignore
//! record_laws!(|| Subject { name: "noise", receive: Box::new(receive), seal: Box::new(seal) });
//! ```
//!
//! What a peer seals is no accident of the network: it holds the keys, so every record opens. These laws are about the
//! work and the memory that it can so cost. A codec's unit tests call them, as only they can seal what honest senders never
//! do.

use std::future::poll_fn;

use futures::future::join;
use stackwire_core::{BoxPipe, Error, Kind, Violation};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::{in_time, pipes};

/// How many records without content, and how many key changes without content to pay for them, are enough to tell a peer
/// that means no good.
const MANY: usize = 1000;
/// How many of either an honest peer may send in a row.
const FEW: usize = 32;
/// Content that pays for a change of key.
const PAYS: usize = 32 * 1024;

/// What a peer seals.
#[derive(Clone, Copy, Debug)]
pub enum Say<'a> {
    /// Content.
    Data(&'a [u8]),
    /// A record of content without any.
    Nothing,
    /// Content, in the longest record that it can be in.
    Padded(&'a [u8]),
    /// A change of key, with this content if one can't be without.
    KeyChange(&'a [u8]),
    /// The same, and the receiver shall change its own key.
    KeyChangeForBoth(&'a [u8]),
}

/// The next record of a peer. `None` where the protocol has no such record.
pub type Seal = Box<dyn FnMut(Say<'_>) -> Option<Vec<u8>> + Send>;

/// A codec under test.
pub struct Subject {
    /// The plug-in that errors name.
    pub name: &'static str,
    /// The receiving channel, over a pipe.
    pub receive: Box<dyn FnOnce(BoxPipe) -> BoxPipe + Send>,
    /// What its peer sends.
    pub seal: Seal,
}

/// Makes one `#[tokio::test]` of every law. The argument makes a [`Subject`].
#[macro_export]
macro_rules! record_laws {
    ($factory:expr) => {
        $crate::record_laws! { @tests ($factory)
            a_few_records_without_content_are_nothing
            endless_records_without_content_are_refused
            a_few_key_changes_are_followed
            endless_key_changes_are_refused
            key_changes_that_content_pays_for_are_followed
            padding_takes_no_memory
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $law() {
                $crate::records::$law($factory).await;
            }
        )*
    };
}

/// Sends records as long as they are taken, and reads until the end. Returns what was read, the error it ended with if it
/// did, and how many records were sent.
async fn flood(
    subject: Subject,
    mut next: impl FnMut(&mut Seal) -> Option<Vec<u8>>,
) -> (Vec<u8>, Option<Error>, usize) {
    let Subject { name, receive, mut seal } = subject;
    let (ours, theirs) = pipes::pair();
    let mut channel = receive(ours);
    let (mut from, mut to) = tokio::io::split(theirs);
    let send = async {
        let mut sent = 0;
        while let Some(record) = next(&mut seal) {
            if to.write_all(&record).await.is_err() {
                break;
            }
            sent += 1;
        }
        let _closed = to.shutdown().await;
        sent
    };
    let receive = async {
        let (mut data, mut part) = (Vec::new(), [0; 1000]);
        let end = loop {
            match channel.read(&mut part).await {
                Ok(0) => break None,
                Ok(n) => data.extend_from_slice(&part[..n]),
                Err(error) => break Some(Error::io("reading", error)),
            }
        };
        drop(channel);
        if let Some(error) = &end {
            assert_eq!(error.plugin(), Some(name), "an error names its plug-in: {error}");
        }
        (data, end)
    };
    let drain = async { tokio::io::copy(&mut from, &mut tokio::io::sink()).await };
    let ((sent, _drained), (data, end)) = in_time("a flood of records", join(join(send, drain), receive)).await;
    (data, end, sent)
}

/// What came before the end of the pipe, which may be an error of its own where no sealed end came.
fn assert_taken((data, end, _): (Vec<u8>, Option<Error>, usize), expected: &[u8]) {
    assert_eq!(data.len(), expected.len(), "all content arrives: {end:?}");
    assert!(data == expected, "it is what was sent");
    if let Some(error) = end {
        assert_eq!(error.kind(), &Kind::Closed, "{error}");
    }
}

fn assert_refused((data, end, sent): (Vec<u8>, Option<Error>, usize), most_data: usize) {
    let error = end.expect("a flood is refused");
    assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Flood), "{error}");
    assert!(data.len() <= most_data, "{} bytes were taken", data.len());
    assert!(sent < 100 * MANY, "{sent} records were taken");
}

fn has(make: &impl Fn() -> Subject, say: Say<'_>) -> bool {
    (make().seal)(say).is_some()
}

/// As many records without content as an honest stack may send in a row are skipped, again and again.
pub async fn a_few_records_without_content_are_nothing(make: impl Fn() -> Subject) {
    if has(&make, Say::Nothing) {
        let mut turns = (0..5 * (FEW + 1)).map(|turn| turn % (FEW + 1) == FEW);
        let run = flood(make(), move |seal| seal(if turns.next()? { Say::Data(b"x") } else { Say::Nothing }));
        assert_taken(run.await, b"xxxxx");
    }
}

/// A peer that sends one record after the other without content is cut off. A protocol that has no such record refuses the
/// first.
pub async fn endless_records_without_content_are_refused(make: impl Fn() -> Subject) {
    if has(&make, Say::Nothing) {
        let mut first = true;
        let run =
            flood(make(), move |seal| seal(if std::mem::take(&mut first) { Say::Data(b"x") } else { Say::Nothing }));
        let (data, end, sent) = run.await;
        assert_eq!(data, b"x", "what came before is read");
        assert_refused((data, end, sent), 1);
    }
}

/// As many changes of key in a row as somebody may ask for by hand are followed.
pub async fn a_few_key_changes_are_followed(make: impl Fn() -> Subject) {
    for say in [Say::KeyChange(b"x"), Say::KeyChangeForBoth(b"x")] {
        if has(&make, say) {
            let mut turns = 0..2 * FEW;
            // Content between them, so that they are not records without any.
            let run = flood(make(), move |seal| match turns.next()? {
                turn if turn % 2 == 0 => seal(Say::Data(b"y")),
                _ => seal(say),
            });
            let (data, end, sent) = run.await;
            let ours: Vec<u8> = data.iter().copied().filter(|byte| *byte == b'y').collect();
            assert_eq!(ours.len(), FEW, "all content arrives: {end:?}");
            assert_taken((ours, end, sent), &[b'y'; FEW]);
        }
    }
}

/// A peer that changes its key all the time, with next to no content, is cut off.
pub async fn endless_key_changes_are_refused(make: impl Fn() -> Subject) {
    for say in [Say::KeyChange(b"x"), Say::KeyChangeForBoth(b"x")] {
        if has(&make, say) {
            let mut turn = 0;
            let run = flood(make(), move |seal| {
                turn += 1;
                seal(if turn % 2 == 0 { say } else { Say::Data(b"y") })
            });
            assert_refused(run.await, 2 * MANY);
        }
    }
}

/// Content pays for changes of key, however many there are.
pub async fn key_changes_that_content_pays_for_are_followed(make: impl Fn() -> Subject) {
    const CHANGES: usize = 3 * FEW;
    if has(&make, Say::KeyChange(b"x")) {
        let content = vec![b'y'; 8 * 1024];
        let each = PAYS / content.len();
        let mut turns = 0..CHANGES * (each + 1);
        let run = flood(make(), move |seal| match turns.next()? % (each + 1) {
            turn if turn == each => seal(Say::KeyChange(b"x")),
            _ => seal(Say::Data(&content)),
        });
        let (mut data, end, sent) = run.await;
        data.retain(|byte| *byte == b'y');
        assert_taken((data, end, sent), &vec![b'y'; CHANGES * PAYS]);
    }
}

/// Whoever takes content with the memory it lies in holds no more than a few times that content, however long the records
/// were that it came in.
pub async fn padding_takes_no_memory(make: impl Fn() -> Subject) {
    if !has(&make, Say::Padded(b"x")) {
        return;
    }
    let Subject { receive, mut seal, .. } = make();
    let (ours, mut raw) = pipes::pair_with_capacity(4 << 20);
    let mut channel = receive(ours);
    let long = vec![7; 12_000];
    for turn in 0..100 {
        let say = if turn % 10 == 9 { Say::Padded(&long) } else { Say::Padded(b"x") };
        raw.write_all(&seal(say).expect("there is such a record")).await.expect("the pipe has room");
    }
    raw.flush().await.expect("flushing works");
    let (mut kept, mut left) = (Vec::new(), 90 + 10 * long.len());
    while left > 0 {
        // As a muxer does inside a frame with much left.
        let taken = poll_fn(|cx| channel.poll_take(200_000, cx));
        match in_time("taking", taken).await.expect("records open") {
            Some(buffer) => {
                assert!(buffer.capacity() <= 4 * buffer.len() + 64, "{buffer:?} is kept");
                left -= buffer.len();
                kept.push(buffer);
            }
            None => {
                let n = in_time("reading", channel.fill_buf()).await.expect("records open").len();
                assert!(n > 0, "{left} bytes are missing");
                channel.consume(n);
                left -= n;
            }
        }
    }
}
