//! What the protocol itself has to say.

use stackwire_core::{Buffer, Kind};

use super::*;
use crate::tests::toy::{ALERT, ANSWER, DATA, END, QUESTION};

/// The kinds of the records that were written below.
fn kinds(below: &Below) -> Vec<u8> {
    toy::opened(&below.written()).iter().map(|(kind, _)| *kind).collect()
}

/// Questions, and no data.
fn questions(peer: &mut Toy, n: usize) -> Vec<u8> {
    (0..n).flat_map(|_| peer.record(QUESTION, &[])).collect()
}

/// Data, then a record that was altered.
fn altered() -> Vec<u8> {
    let mut bytes = Toy::default().records(&[b"good", b"bad"]);
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[test]
fn who_reads_sends_an_answer_if_nothing_else_is_to_be_sent() {
    let (mut channel, below, _) = channel();
    below.arrive(&questions(&mut Toy::default(), 1));
    assert!(fill(&mut channel).is_pending());
    assert_eq!(kinds(&below), [ANSWER]);
    assert!(below.is_flushed() && channel.memory() == (0, 0));
    assert!(fill(&mut channel).is_pending());
    assert_eq!(kinds(&below), [ANSWER], "once");
}

#[test]
fn a_question_behind_the_data_that_a_read_takes_is_answered_too() {
    let (mut channel, below, _) = channel();
    let mut peer = Toy::default();
    below.arrive(&[peer.record(DATA, b"one"), peer.record(QUESTION, &[]), peer.record(DATA, b"two")].concat());
    assert_eq!(done(read(&mut channel, 100)), b"onetwo");
    assert_eq!(kinds(&below), [ANSWER]);
}

#[test]
fn an_answer_goes_with_what_is_to_be_sent() {
    let (mut channel, below, _) = channel();
    done(write(&mut channel, b"begun"));
    below.arrive(&questions(&mut Toy::default(), 1));
    assert!(fill(&mut channel).is_pending());
    assert!(below.written().is_empty());
    done(write(&mut channel, b"more"));
    done(flush(&mut channel));
    assert_eq!(kinds(&below), [DATA, ANSWER]);
}

#[test]
fn an_answer_goes_before_the_next_content_and_before_the_end() {
    let (mut channel, below, knobs) = channel();
    knobs.asks.store(true, Ordering::Relaxed);
    done(write(&mut channel, b"data"));
    knobs.asks.store(true, Ordering::Relaxed);
    done(shutdown(&mut channel));
    assert_eq!(kinds(&below), [QUESTION, DATA, QUESTION, END]);
    knobs.asks.store(true, Ordering::Relaxed);
    done(flush(&mut channel));
    assert!(fill(&mut channel).is_pending());
    assert_eq!(kinds(&below), [QUESTION, DATA, QUESTION, END], "and nothing goes behind the end");
}

#[test]
fn who_asks_and_does_not_listen_takes_no_memory() {
    let (mut channel, below, _) = channel();
    let mut peer = Toy::default();
    below.make_room(0);
    // With something between them, so that they are no flood of nothing.
    let mut asked = |channel: &mut Channel<Toy>| {
        below.arrive(&[questions(&mut peer, 1), peer.record(DATA, b"x")].concat());
        assert_eq!(done(read(channel, 100)), b"x");
        assert!(fill(channel).is_pending());
    };
    for _ in 0..10_000 {
        asked(&mut channel);
    }
    assert!(channel.memory().1 < 100);
    // Nor where something is to be sent, nor where somebody tries to send it.
    while write(&mut channel, &[1; 999]).is_ready() {
        asked(&mut channel);
    }
    for _ in 0..1000 {
        asked(&mut channel);
        assert!(flush(&mut channel).is_pending());
        assert!(channel.memory().1 <= Buffer::LARGE);
    }
    below.make_room(usize::MAX);
    done(flush(&mut channel));
    assert_eq!((kinds(&below).last(), channel.memory().1), (Some(&ANSWER), 0));
}

#[test]
fn a_flush_of_a_full_buffer_sends_the_answer_too() {
    let (mut channel, below, knobs) = channel();
    below.make_room(0);
    // Until no word of the protocol fits either.
    while write(&mut channel, &[1; 999]).is_ready() {}
    for _ in 0..1000 {
        knobs.asks.store(true, Ordering::Relaxed);
        assert!(flush(&mut channel).is_pending());
    }
    let waiting = knobs.asks.load(Ordering::Relaxed);
    assert!(waiting);
    below.make_room(usize::MAX);
    done(flush(&mut channel));
    assert_eq!(kinds(&below).last(), Some(&QUESTION));
    assert!(!knobs.asks.load(Ordering::Relaxed));
}

/// However full the buffer is when the protocol takes the rest of it.
#[test]
fn a_write_beside_an_answer_takes_something_or_waits() {
    let full = done(write(&mut channel().0, &vec![1; Buffer::LARGE]));
    for left in 1..40 {
        let (mut channel, below, knobs) = channel();
        below.make_room(0);
        done(write(&mut channel, &vec![1; full - left]));
        assert!(flush(&mut channel).is_pending());
        knobs.asks.store(true, Ordering::Relaxed);
        if let Poll::Ready(n) = write(&mut channel, &[1; 100]) {
            assert!(n.unwrap() > 0);
        }
    }
}

/// A pipe that takes an answer slowly wakes the reader, who sends the rest, and answers what was asked meanwhile.
#[test]
fn a_reader_sends_the_rest_of_its_answer_when_the_pipe_takes_more() {
    let (mut channel, below, _) = channel();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    let mut poll = || Pin::new(&mut channel).poll_fill_buf(&mut Context::from_waker(&waker)).is_pending();
    let mut peer = Toy::default();
    below.make_room(0);
    below.arrive(&questions(&mut peer, 1));
    assert!(poll());
    below.arrive(&questions(&mut peer, 1));
    for sent in 0..14 {
        assert!(poll());
        assert_eq!(below.written().len(), sent);
        let before = alarm.rung();
        below.make_room(1);
        assert_eq!(alarm.rung(), before + 1, "after {sent} bytes");
    }
    assert!(poll());
    assert_eq!(kinds(&below), [ANSWER, ANSWER]);
    assert!(below.is_flushed());
    assert_eq!(channel.memory(), (0, 0));
}

#[test]
fn a_writer_that_waits_is_woken_though_another_reads() {
    for bytes in [questions(&mut Toy::default(), 1), altered()] {
        let (mut channel, below, _) = channel();
        let [reader, writer] = [(); 2].map(|()| Arc::new(Alarm::default()));
        below.make_room(3);
        done(write(&mut channel, b"data"));
        assert!(Pin::new(&mut channel).poll_flush(&mut Context::from_waker(&writer.clone().into())).is_pending());
        below.arrive(&bytes);
        for _ in 0..3 {
            let waker = Waker::from(reader.clone());
            let polled = Pin::new(&mut channel).poll_fill_buf(&mut Context::from_waker(&waker)).map_ok(<[u8]>::len);
            if let Poll::Ready(Ok(n)) = polled {
                consume(&mut channel, n);
            }
        }
        below.make_room(usize::MAX);
        assert_eq!(writer.rung(), 1);
        let flushed = flush(&mut channel);
        assert!(
            kinds(&below) == [DATA, ANSWER] || kinds(&below) == [DATA, ALERT] && matches!(flushed, Poll::Ready(Err(_)))
        );
        assert!(below.is_flushed());
    }
}

#[test]
fn who_sent_what_does_not_open_is_told() {
    for at_once in [false, true] {
        let (mut channel, below, _) = channel();
        below.arrive(&altered());
        // One read takes all that is there, and finds the bad one.
        assert_eq!(done(read(&mut channel, if at_once { 100 } else { 4 })), b"good");
        if !at_once {
            assert!(below.written().is_empty());
            assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
        }
        assert_eq!(kinds(&below), [ALERT]);
        assert!(below.is_flushed());
        for _ in 0..2 {
            assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
            assert_eq!(failed(flush(&mut channel)).kind(), &Kind::AuthenticationFailed);
        }
        assert_eq!(kinds(&below), [ALERT], "once");
    }
}

#[test]
fn an_alert_goes_behind_what_was_taken() {
    let (mut channel, below, _) = channel();
    done(write(&mut channel, b"taken"));
    below.arrive(&altered());
    assert_eq!(done(read(&mut channel, 4)), b"good");
    assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
    assert_eq!(kinds(&below), [DATA, ALERT]);
}

#[test]
fn an_alert_that_nobody_takes_holds_nothing_up() {
    let (mut channel, below, _) = channel();
    below.make_room(2);
    below.arrive(&altered());
    assert_eq!(done(read(&mut channel, 100)), b"good");
    assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
    assert_eq!(failed(write(&mut channel, b"more")).kind(), &Kind::AuthenticationFailed);
    assert_eq!(below.written().len(), 2);
    below.make_room(usize::MAX);
    assert_eq!(failed(flush(&mut channel)).kind(), &Kind::AuthenticationFailed);
    assert_eq!(kinds(&below), [ALERT], "it goes when it can");
}

#[test]
fn there_is_no_alert_behind_the_end_nor_one_that_cannot_be_sealed() {
    let (mut channel, below, _) = channel();
    done(shutdown(&mut channel));
    below.arrive(&altered());
    assert_eq!(done(read(&mut channel, 100)), b"good");
    assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
    assert_eq!(kinds(&below), [END]);

    let (mut channel, below, knobs) = self::channel();
    done(write(&mut channel, b"taken"));
    knobs.seals.store(0, Ordering::Relaxed);
    below.arrive(&altered());
    assert_eq!(done(read(&mut channel, 100)), b"good");
    assert_eq!(failed(fill(&mut channel)).kind(), &Kind::AuthenticationFailed);
    assert!(below.written().is_empty());
}

#[test]
fn an_alert_is_what_both_directions_end_with() {
    let (mut channel, below, _) = channel();
    below.arrive(&Toy::default().record(ALERT, &[]));
    assert_eq!(failed(fill(&mut channel)).kind(), &Kind::Refused);
    assert_eq!(failed(write(&mut channel, b"more")).kind(), &Kind::Refused);
}

/// A record without content goes out where the peer waits for any, and only if there is no other.
#[test]
fn who_is_awaited_appears() {
    let awaited = || {
        let (channel, below, knobs) = channel();
        knobs.awaited.store(true, Ordering::Relaxed);
        (channel, below)
    };
    let nothing = [(DATA, Vec::new())];
    let (mut channel, below) = awaited();
    assert!(fill(&mut channel).is_pending());
    assert_eq!(toy::opened(&below.written()), nothing);
    assert!(below.is_flushed() && channel.memory() == (0, 0));
    assert!(fill(&mut channel).is_pending());
    done(flush(&mut channel));
    assert_eq!(toy::opened(&below.written()), nothing, "once");

    let (mut channel, below) = awaited();
    done(flush(&mut channel));
    assert_eq!(toy::opened(&below.written()), nothing);

    let (mut channel, below) = awaited();
    done(write(&mut channel, b"content"));
    assert!(fill(&mut channel).is_pending());
    assert!(below.written().is_empty(), "what is to be sent is flushed by who wrote it");
    done(flush(&mut channel));
    assert_eq!(toy::opened(&below.written()), [(DATA, b"content".to_vec())]);

    // A pipe that takes nothing yet.
    let (mut channel, below) = awaited();
    below.state().room = 3;
    assert!(fill(&mut channel).is_pending());
    below.state().room = 1000;
    done(write(&mut channel, b"content"));
    done(flush(&mut channel));
    assert_eq!(toy::opened(&below.written()), [(DATA, Vec::new()), (DATA, b"content".to_vec())]);
}
