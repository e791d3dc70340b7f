//! Records that arrive.

use stackwire_core::{Buffer, Kind, Pipe, Violation};

use super::*;
use crate::tests::{
    below::Then,
    toy::{DATA, END, HEADER, MAX_RECORD, QUESTION, TRAILER},
};

/// Everything a channel reads of these bytes, and how it ends.
fn read_all(bytes: &[u8], any_end: bool) -> (Vec<u8>, io::Result<()>) {
    let (mut channel, below, knobs) = channel();
    knobs.any_end.store(any_end, Ordering::Relaxed);
    below.end_with(bytes);
    let mut data = Vec::new();
    loop {
        match read(&mut channel, 100) {
            Poll::Ready(Ok(bytes)) if bytes.is_empty() => return (data, Ok(())),
            Poll::Ready(Ok(bytes)) => data.extend(bytes),
            Poll::Ready(Err(error)) => return (data, Err(error)),
            Poll::Pending => panic!("pending"),
        }
    }
}

#[test]
fn one_read_takes_all_records_that_are_here() {
    let (mut channel, below, _) = channel();
    let mut peer = Toy::default();
    below.arrive(&peer.records(&[b"one", b"", b"two", b"", b"", b"three", b""]));
    assert_eq!(done(read(&mut channel, 100)), b"onetwothree");
    assert!(read(&mut channel, 100).is_pending());
    below.arrive(&peer.record(END, &[]));
    for _ in 0..2 {
        assert_eq!(done(read(&mut channel, 100)), b"", "an end stays one");
    }
    assert_eq!(done(write(&mut channel, b"more")), 4, "the other direction goes on");
}

#[test]
fn what_follows_the_end_is_not_read() {
    let mut peer = Toy::default();
    let bytes = [peer.record(DATA, b"one"), peer.record(END, &[]), b"whatever follows".to_vec()].concat();
    let (data, end) = read_all(&bytes, false);
    assert_eq!((data.as_slice(), end.unwrap()), (&b"one"[..], ()));
}

#[test]
fn content_is_lent_where_it_lies_and_taken_in_parts() {
    let (mut channel, below, _) = channel();
    below.arrive(&Toy::default().records(&[b"hello", b"you"]));
    assert_eq!(done(fill(&mut channel)), b"hello");
    consume(&mut channel, 2);
    assert_eq!(done(fill(&mut channel)), b"llo");
    assert_eq!(done(read(&mut channel, 1)), b"l");
    consume(&mut channel, 2);
    assert_eq!(done(fill(&mut channel)), b"you");
    consume(&mut channel, 1000);
    assert!(fill(&mut channel).is_pending());
}

#[test]
fn a_reader_without_anything_holds_no_buffer() {
    let (mut channel, below, _) = channel();
    assert!(fill(&mut channel).is_pending());
    assert_eq!(channel.memory(), (0, 0));
    below.arrive(&Toy::default().records(&[b"data", b"and more"]));
    assert_eq!(done(fill(&mut channel)), b"data");
    assert_eq!(channel.memory(), (Buffer::LARGE, 0));
    consume(&mut channel, 4);
    assert_eq!(done(fill(&mut channel)), b"and more");
    consume(&mut channel, 8);
    assert_eq!(channel.memory(), (0, 0), "also before it is polled again");
    assert!(fill(&mut channel).is_pending());
    assert_eq!(channel.memory(), (0, 0));
}

#[test]
fn a_little_of_a_record_does_not_hold_a_large_buffer() {
    let (mut channel, below, _) = channel();
    let record = Toy::default().record(DATA, &[7; 20_000]);
    for (n, part) in record.chunks(1000).enumerate() {
        below.arrive(part);
        if record.len() > (n + 1) * 1000 {
            assert!(fill(&mut channel).is_pending());
            let held = (n + 1) * 1000;
            let memory = if held > 16 * 1024 { Buffer::LARGE } else { held };
            assert_eq!(channel.memory(), (memory, 0), "{held} bytes");
        }
    }
    assert_eq!(done(fill(&mut channel)), [7; 20_000]);
}

#[test]
fn memory_is_bounded_whatever_arrives() {
    let (mut channel, below, _) = channel();
    let mut peer = Toy::default();
    let mut bytes = Vec::new();
    while bytes.len() < 1 << 20 {
        bytes.extend(peer.record(DATA, &vec![1; MAX_RECORD - HEADER - TRAILER]));
    }
    below.arrive(&bytes);
    let mut read = 0;
    while let Poll::Ready(part) = fill(&mut channel) {
        let n = part.unwrap().len().min(12_345);
        consume(&mut channel, n);
        read += n;
        assert!(channel.memory().0 <= Buffer::LARGE);
    }
    assert!(read > 1_000_000);
    assert_eq!(channel.memory(), (0, 0));
}

#[test]
fn a_cut_inside_a_record_is_told_from_one_between_records() {
    let mut peer = Toy::default();
    let first = peer.record(DATA, b"one");
    let bytes = [first.clone(), peer.record(DATA, b"two")].concat();
    for cut in 0..=bytes.len() {
        let between = [0, first.len(), bytes.len()].contains(&cut);
        for any_end in [false, true] {
            let (data, end) = read_all(&bytes[..cut], any_end);
            assert!(b"onetwo".starts_with(&data[..]));
            assert_eq!(end.is_ok(), any_end && between, "cut after {cut}");
            let Err(error) = end else { continue };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            let error = Error::io("reading", error);
            assert_eq!((error.kind(), error.plugin()), (&Kind::Closed, Some("toy")));
            assert_eq!(error.to_string().contains("cut"), !between, "{error}");
        }
    }
}

#[test]
fn a_pipe_that_was_cut_is_still_written_to() {
    let (mut channel, below, _) = channel();
    below.end_with(&[0]);
    for _ in 0..2 {
        assert_eq!(failed(fill(&mut channel)).kind(), &Kind::Closed);
    }
    done(write(&mut channel, b"goodbye"));
    done(flush(&mut channel));
    assert_eq!(toy::opened(&below.written()), [(DATA, b"goodbye".to_vec())]);
}

#[test]
fn an_altered_record_fails_now_and_later_and_so_does_writing() {
    let mut peer = Toy::default();
    let good = peer.record(DATA, b"good");
    let bad = peer.record(DATA, b"bad");
    let rest = peer.record(DATA, b"good");
    for at in 0..8 * bad.len() {
        let (mut channel, below, _) = channel();
        let mut bytes = [&good[..], &bad, &rest].concat();
        bytes[good.len() + at / 8] ^= 1 << (at % 8);
        below.end_with(&bytes);
        assert_eq!(done(read(&mut channel, 100)), b"good", "what came before is read");
        for _ in 0..2 {
            let error = failed(fill(&mut channel));
            // A length that was altered makes it another record, or none, or an unfinished one.
            match at / 8 {
                0..HEADER => assert!(!matches!(error.kind(), Kind::Io | Kind::Internal), "{error}"),
                _ => assert_eq!(error.kind(), &Kind::AuthenticationFailed),
            }
            assert_eq!(error.plugin(), Some("toy"));
            if at / 8 >= HEADER {
                assert_eq!(failed(write(&mut channel, b"more")).kind(), &Kind::AuthenticationFailed);
                assert_eq!(failed(flush(&mut channel)).kind(), &Kind::AuthenticationFailed);
                assert_eq!(failed(shutdown(&mut channel)).kind(), &Kind::AuthenticationFailed);
            }
        }
        assert_eq!(channel.memory().0, 0);
    }
}

#[test]
fn what_is_no_record_is_the_peers_fault() {
    for header in [[0, 0], [0, 4], [255, 255], [117, 47]] {
        let (_, end) = read_all(&[&header[..], &[9; 40]].concat(), true);
        assert_eq!(
            Error::io("reading", end.unwrap_err()).kind(),
            &Kind::PeerMisbehaved(Violation::Malformed),
            "{header:?}"
        );
    }
    let longest = vec![3; MAX_RECORD - HEADER - TRAILER];
    let (data, end) = read_all(&Toy::default().records(&[&longest, &longest]), true);
    assert!(end.is_ok() && data == [&longest[..], &longest].concat());
}

#[test]
fn a_reset_in_the_middle_of_a_record_is_no_cut() {
    let (mut channel, below, _) = channel();
    let mut peer = Toy::default();
    below.arrive(&peer.record(DATA, b"whole"));
    below.arrive(&peer.record(DATA, b"half")[..5]);
    below.state().then = Then::Reset(7);
    assert_eq!(done(read(&mut channel, 100)), b"whole");
    for _ in 0..2 {
        assert_eq!(failed(fill(&mut channel)).kind(), &Kind::Reset { code: 7 });
        assert!(channel.memory().0 < 100, "nor does it hold a large buffer");
    }
}

#[test]
fn who_resets_drops_everything_and_tells_the_pipe_below() {
    let (mut channel, below, _) = channel();
    below.arrive(&Toy::default().records(&[b"one", b"two"]));
    assert_eq!(done(fill(&mut channel)), b"one");
    done(write(&mut channel, b"unsent"));
    channel.reset(7);
    channel.reset(8);
    assert_eq!(channel.memory(), (0, 0));
    let errors = [
        failed(fill(&mut channel)),
        failed(read(&mut channel, 1)),
        failed(write(&mut channel, b"more")),
        failed(flush(&mut channel)),
        failed(shutdown(&mut channel)),
    ];
    assert_eq!(errors.each_ref().map(Error::kind), [&Kind::Reset { code: 7 }; 5]);
    assert!(below.written().is_empty() && below.state().reset.is_some());
}

#[test]
fn who_reads_no_more_sees_an_end() {
    let (mut channel, below, _) = channel();
    below.arrive(&Toy::default().records(&[b"one", b"two"]));
    assert_eq!(done(fill(&mut channel)), b"one");
    channel.close_read();
    assert_eq!(done(fill(&mut channel)), b"");
    assert_eq!(channel.memory(), (0, 0));
    assert_eq!(done(write(&mut channel, b"more")), 4);
}

fn take(channel: &mut Channel<Toy>, most: usize) -> Poll<io::Result<Option<Vec<u8>>>> {
    channel.poll_take(most, &mut cx()).map_ok(|taken| taken.map(|buffer| buffer.to_vec()))
}

#[test]
fn a_record_is_taken_with_memory_of_its_own_if_that_is_worth_it() {
    let (mut channel, below, _) = channel();
    let (large, small) = (vec![7; 12_000], vec![8; 100]);
    let mut peer = Toy::default();
    below.arrive(&peer.records(&[&large, &small, &large]));
    assert_eq!(done(take(&mut channel, 11_999)), None, "it is more than was asked for");
    assert_eq!(done(take(&mut channel, 12_000)), Some(large.clone()));
    assert_eq!(done(take(&mut channel, 12_000)), None, "it is little");
    assert_eq!(done(fill(&mut channel)), small);
    assert_eq!(done(take(&mut channel, 12_000)), None, "what was lent comes first");
    consume(&mut channel, 100);
    assert_eq!(done(take(&mut channel, 20_000)), Some(large.clone()));
    assert_eq!(channel.memory().0, 0);
    assert!(take(&mut channel, 20_000).is_pending());
    // What the protocol itself says is heard on the way, and a record in pieces waited for.
    let record = [peer.record(QUESTION, b""), peer.record(DATA, &large)].concat();
    below.arrive(&record[..5000]);
    let _pending = take(&mut channel, 20_000);
    below.arrive(&record[5000..]);
    let taken = done(take(&mut channel, 20_000)).or_else(|| done(take(&mut channel, 20_000)));
    assert_eq!(taken.or_else(|| done(fill(&mut channel)).into()), Some(large));
}

#[test]
fn a_record_that_was_altered_can_not_be_taken() {
    let (mut channel, below, _) = channel();
    let mut record = Toy::default().record(DATA, &[7; 12_000]);
    record[9000] ^= 1;
    below.arrive(&record);
    assert_eq!(done(take(&mut channel, 20_000)), None);
    for _ in 0..2 {
        assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
        assert_eq!(done(take(&mut channel, 20_000)), None);
    }
}

#[test]
fn what_ends_while_it_is_taken_has_ended_for_reading() {
    let (mut channel, below, _) = channel();
    let mut peer = Toy::default();
    below.arrive(&[peer.record(DATA, &[7; 12_000]), peer.record(END, &[])].concat());
    assert_eq!(done(take(&mut channel, 20_000)).map(|taken| taken.len()), Some(12_000));
    assert_eq!(done(take(&mut channel, 20_000)), None);
    assert_eq!(done(fill(&mut channel)), b"");
}

#[test]
fn records_without_content_are_skipped_but_not_for_ever() {
    let few = crate::MAX_EMPTY as usize;
    let mut peer = Toy::default();
    let mut bytes = Vec::new();
    for _ in 0..3 {
        bytes.extend(peer.records(&vec![&b""[..]; few]));
        bytes.extend(peer.record(DATA, b"x"));
    }
    bytes.extend(peer.records(&vec![&b""[..]; few]));
    assert_eq!(read_all(&[&bytes[..], &peer.record(END, &[])].concat(), false).0, b"xxx");

    // Those by which the protocol speaks for itself count, too, and so does what is taken.
    let mut peer = Toy::default();
    let flood = (0..=few).flat_map(|_| peer.record(QUESTION, b"")).collect::<Vec<_>>();
    for takes in [false, true] {
        let (mut channel, below, _) = channel();
        below.arrive(&flood);
        if takes {
            assert_eq!(done(take(&mut channel, 20_000)), None);
        }
        for _ in 0..2 {
            let error = failed(fill(&mut channel));
            assert_eq!((error.kind(), error.plugin()), (&Kind::PeerMisbehaved(Violation::Flood), Some("toy")));
        }
    }
}
