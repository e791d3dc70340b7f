//! Records that are sent.

use stackwire_core::{Buffer, Kind};

use super::*;
use crate::tests::toy::{DATA, END, MAX_CONTENT};

/// How much content the records have that were written below.
fn lengths(below: &Below) -> Vec<usize> {
    toy::opened(&below.written()).iter().map(|(_, content)| content.len()).collect()
}

/// The content that was written below.
fn content(below: &Below) -> Vec<u8> {
    toy::opened(&below.written()).into_iter().flat_map(|(_, content)| content).collect()
}

#[test]
fn small_writes_share_records_and_only_the_end_is_an_empty_one() {
    let (mut channel, below, _) = channel();
    for size in [0, 10, 0, 20, MAX_CONTENT, 0] {
        assert_eq!(done(write(&mut channel, &vec![1; size])), size);
    }
    assert_eq!(below.writes(), 0, "nothing goes before a flush");
    done(flush(&mut channel));
    assert!(below.writes() == 1 && below.is_flushed());
    done(flush(&mut channel));
    assert_eq!(channel.memory(), (0, 0), "an idle writer holds no buffer");
    done(write(&mut channel, &[1; 5]));
    for _ in 0..2 {
        done(shutdown(&mut channel));
    }
    assert!(below.is_shut());
    assert_eq!(failed(write(&mut channel, &[1])).kind(), &Kind::Closed);
    done(flush(&mut channel));
    assert_eq!(lengths(&below), [MAX_CONTENT, 30, 5, 0]);
    assert_eq!(toy::opened(&below.written())[3].0, END);
}

#[test]
fn a_huge_write_fills_one_buffer_and_goes_in_one_write() {
    let (mut channel, below, _) = channel();
    let data: Vec<u8> = (0..3 << 20).map(|i: u32| (i / 7) as u8).collect();
    let parts: Vec<&[u8]> = data.chunks(100_000).collect();
    let first = done(write_slices(&mut channel, &parts));
    assert!((250_000..Buffer::LARGE).contains(&first));
    assert_eq!((below.writes(), channel.memory()), (0, (0, Buffer::LARGE)));
    let mut taken = first;
    while taken < data.len() {
        taken += done(write_slices(&mut channel, &[&data[taken..][..1], &[], &data[taken + 1..]]));
        assert_eq!(channel.memory(), (0, Buffer::LARGE), "a busy writer keeps its buffer");
    }
    done(flush(&mut channel));
    assert_eq!(below.writes(), data.len().div_ceil(first));
    assert!(content(&below) == data);
}

#[test]
fn memory_is_bounded_also_beside_small_records_and_an_end() {
    let (mut channel, below, knobs) = channel();
    below.make_room(0);
    // Every flush seals a small record, and the pipe takes nothing.
    let (data, mut taken) = (vec![1; 2 * MAX_CONTENT + 1], 0);
    while let Poll::Ready(n) = write(&mut channel, &data) {
        taken += n.unwrap();
        assert!(flush(&mut channel).is_pending());
        assert!(channel.memory().1 <= Buffer::LARGE);
        knobs.asks.store(true, Ordering::Relaxed);
    }
    for _ in 0..2 {
        assert!(write(&mut channel, &data).is_pending());
        assert!(flush(&mut channel).is_pending());
    }
    for _ in 0..2 {
        assert!(shutdown(&mut channel).is_pending());
        assert_eq!(channel.memory().1, Buffer::LARGE);
    }
    below.make_room(usize::MAX);
    done(shutdown(&mut channel));
    assert_eq!(content(&below).len(), taken);
}

#[test]
fn a_little_that_waits_does_not_hold_a_large_buffer() {
    let (mut channel, below, _) = channel();
    below.make_room(3);
    done(write(&mut channel, &[1; 100]));
    for _ in 0..3 {
        assert!(flush(&mut channel).is_pending());
        assert_eq!(channel.memory().1, 100 + toy::HEADER + toy::TRAILER - 3);
    }
    // More goes behind it.
    done(write(&mut channel, &[2; 100_000]));
    assert!(flush(&mut channel).is_pending());
    assert_eq!(channel.memory().1, Buffer::LARGE, "much does");
    below.make_room(95_000);
    assert!(flush(&mut channel).is_pending());
    assert!(channel.memory().1 < 10_000);
    below.make_room(usize::MAX);
    done(flush(&mut channel));
    assert_eq!(channel.memory().1, 0);
    assert!(content(&below) == [[1; 100].to_vec(), [2; 100_000].to_vec()].concat());
}

#[test]
fn a_write_that_has_to_wait_has_taken_nothing() {
    let (mut channel, below, _) = channel();
    below.make_room(0);
    let mut expected = 0;
    while let Poll::Ready(n) = write_slices(&mut channel, &[&[1; 777], &[1; 7777]]) {
        expected += n.unwrap();
    }
    for room in [0, 1, 100_000] {
        below.make_room(room);
        assert!(write_slices(&mut channel, &[&[2; 10], &[2; 20_000]]).is_pending(), "until all has gone");
    }
    below.make_room(usize::MAX);
    assert_eq!(done(write_slices(&mut channel, &[&[3; 10], &[], &[3; 20]])), 30);
    done(flush(&mut channel));
    assert!(content(&below) == [vec![1; expected], vec![3; 30]].concat());
}

#[test]
fn a_pipe_that_takes_a_byte_at_a_time_gets_them_all() {
    let (mut channel, below, _) = channel();
    below.state().steps = vec![1, 0];
    let data: Vec<u8> = (0..20_000u32).map(|i| (i * 7) as u8).collect();
    let mut taken = 0;
    for part in [1, 100, 1000, 1001, 17_898] {
        taken += loop {
            if let Poll::Ready(n) = write(&mut channel, &data[taken..][..part]) {
                break n.unwrap();
            }
        };
        for _ in 0..10 {
            let _pending = flush(&mut channel);
        }
    }
    while shutdown(&mut channel).is_pending() {}
    assert_eq!(taken, data.len());
    assert!(content(&below) == data && below.is_shut());
}

/// A cut record must not be followed by anything, an end least of all, and no content leaves unsealed.
#[test]
fn what_cannot_be_sealed_ends_writing() {
    let (mut channel, below, knobs) = channel();
    done(write(&mut channel, &[1; 10]));
    done(flush(&mut channel));
    let before = below.written();
    knobs.seals.store(2, Ordering::Relaxed);
    let refused = Kind::LimitExceeded { limit: "seals", max: 0 };
    assert_eq!(failed(write(&mut channel, &[1; 10 * MAX_CONTENT])).kind(), &refused);
    knobs.seals.store(usize::MAX, Ordering::Relaxed);
    for _ in 0..2 {
        let error = failed(flush(&mut channel));
        assert_eq!((error.kind(), error.plugin()), (&refused, Some("toy")));
        assert_eq!(failed(shutdown(&mut channel)).kind(), &refused);
        assert_eq!(failed(write(&mut channel, &[1])).kind(), &refused);
    }
    assert_eq!((below.written(), below.is_shut(), channel.memory()), (before, false, (0, 0)));
    below.arrive(&Toy::default().records(&[b"hello"]));
    assert_eq!(done(read(&mut channel, 10)), b"hello", "reading goes on");
}

#[test]
fn an_end_or_a_word_of_the_protocol_that_cannot_be_sealed_is_none() {
    for speaks in [false, true] {
        let (mut channel, below, knobs) = channel();
        done(write(&mut channel, &[1; 10]));
        knobs.seals.store(1, Ordering::Relaxed);
        knobs.asks.store(speaks, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(failed(shutdown(&mut channel)).kind().name(), "limit_exceeded");
        }
        assert!(!below.is_shut() && below.written().is_empty());
    }
}

#[test]
fn writes_are_sealed_in_records_of_data() {
    let (mut channel, below, _) = channel();
    done(write_slices(&mut channel, &[b"he", b"", b"llo"]));
    done(flush(&mut channel));
    assert_eq!(toy::opened(&below.written()), [(DATA, b"hello".to_vec())]);
    assert!(!below.written().windows(5).any(|bytes| bytes == b"hello"));
}
