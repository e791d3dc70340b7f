//! What is particular to connections within the process.

use std::{collections::VecDeque, io::IoSlice, pin::pin, sync::Arc};

use futures::poll;
use proptest::prelude::*;
use stackwire_conformance::transport::Subject;
use stackwire_core::{Kind, Multiaddr, Pipe, Retry, Stage, Transport, reset_code};
use stackwire_plugin::{Catalogue, Descriptor, Plugin};
use stackwire_transport_memory::{Memory, MemoryConfig, pair};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

fn subject(config: MemoryConfig) -> Subject {
    let transport = Memory::new(config).expect("the options are in range");
    Subject::new(Arc::new(transport), "/memory/0".parse().expect("an address"))
}

#[test]
fn it_is_registered_with_an_example_that_means_the_defaults() {
    let catalogue = Catalogue::linked().unwrap();
    let descriptor: &Descriptor = catalogue.named("memory").next().unwrap();
    assert!(descriptor.summary.capabilities.in_process);
    descriptor.build_from(descriptor.summary.example).unwrap();
}

#[test]
fn options_out_of_range_are_refused_with_a_reason() {
    for (config, option) in [
        (MemoryConfig { capacity: 1, ..MemoryConfig::default() }, "capacity"),
        (MemoryConfig { backlog: 0, ..MemoryConfig::default() }, "backlog"),
    ] {
        let error = config.build().err().unwrap();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains(option), "{error}");
    }
}

#[tokio::test]
async fn a_listener_that_nobody_serves_fills_up_and_recovers() {
    let subject = subject(MemoryConfig { backlog: 2, ..MemoryConfig::default() });
    let mut listener = subject.listen_on(&subject.listen).await.unwrap();
    let address = listener.addresses().remove(0);
    let _waiting = [subject.dial(&address).await.unwrap(), subject.dial(&address).await.unwrap()];

    let error = subject.dial(&address).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::LimitExceeded { limit: "backlog", max: 2 });
    assert_eq!(error.retry(), Retry::Later);

    listener.accept().await.unwrap();
    subject.dial(&address).await.unwrap();
}

#[tokio::test]
async fn connections_that_were_never_accepted_end_with_their_listener() {
    let subject = subject(MemoryConfig::default());
    let listener = subject.listen_on(&subject.listen).await.unwrap();
    let Stage::Raw(mut pipe) = subject.dial(&listener.addresses()[0]).await.unwrap().stage else { panic!() };
    drop(listener);
    assert!(reset_code(&pipe.read_u8().await.unwrap_err()).is_some());
    pipe.write_u8(1).await.unwrap_err();
}

#[tokio::test]
async fn a_number_of_ones_own_choice_is_taken_and_given_back() {
    let subject = subject(MemoryConfig::default());
    // Far from the numbers that are counted up for `/memory/0`.
    let chosen: Multiaddr = "/memory/9000000000".parse().unwrap();
    let listener = subject.listen_on(&chosen).await.unwrap();
    assert_eq!(listener.addresses(), std::slice::from_ref(&chosen));
    assert_eq!(subject.listen_on(&chosen).await.err().unwrap().kind(), &Kind::AddressInUse);
    drop(listener);
    subject.listen_on(&chosen).await.unwrap();
}

#[tokio::test]
async fn transports_of_one_process_share_their_numbers() {
    let (one, two) = (subject(MemoryConfig::default()), subject(MemoryConfig::default()));
    let listener = one.listen_on(&one.listen).await.unwrap();
    two.dial(&listener.addresses()[0]).await.unwrap();
}

#[tokio::test]
async fn a_writer_waits_when_the_capacity_is_used_up() {
    for capacity in [2, 3, 10, 4096] {
        let (mut a, mut b) = pair(capacity);
        let mut written = 0;
        // One read lets the buffers change places; after that whatever fits is in them.
        let mut first = [0];
        loop {
            match poll!(pin!(a.write(&[7; 100]))) {
                std::task::Poll::Ready(n) => written += n.unwrap(),
                std::task::Poll::Pending if first == [7] => break,
                std::task::Poll::Pending => assert_eq!(b.read(&mut first).await.unwrap(), 1),
            }
        }
        assert!(written <= capacity.max(2), "{written} bytes are held by a capacity of {capacity}");
        a.shutdown().await.unwrap();
        let mut rest = Vec::new();
        b.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len() + 1, written);
    }
}

#[tokio::test]
async fn a_reset_carries_its_code_and_loses_what_was_not_read() {
    let (mut a, mut b) = pair(1024);
    a.write_all(b"lost").await.unwrap();
    a.reset(42);
    assert_eq!(reset_code(&b.read_u8().await.unwrap_err()), Some(42));
    assert_eq!(reset_code(&b.write_u8(1).await.unwrap_err()), Some(42));
    assert_eq!(reset_code(&a.read_u8().await.unwrap_err()), Some(42));
}

#[tokio::test]
async fn a_drop_lets_what_was_written_be_read_and_then_says_that_something_is_missing() {
    let (mut a, mut b) = pair(1024);
    a.write_all(b"half a mess").await.unwrap();
    drop(a);
    let mut text = Vec::new();
    let error = b.read_to_end(&mut text).await.unwrap_err();
    assert_eq!((text.as_slice(), reset_code(&error)), (&b"half a mess"[..], Some(0)));
}

#[tokio::test]
async fn a_reader_that_wants_no_more_does_not_hold_up_the_writer() {
    let (mut a, mut b) = pair(1024);
    a.write_all(b"some").await.unwrap();
    b.close_read();
    a.write_all(&[0; 1 << 20]).await.unwrap();
    assert_eq!(b.read(&mut [0; 10]).await.unwrap(), 0);
    b.write_all(b"the other direction lives").await.unwrap();
    a.read_exact(&mut [0; 25]).await.unwrap();
}

proptest! {
    #[test]
    fn only_a_number_alone_is_an_address(bytes: Vec<u8>, number: u64) {
        let transport = Memory::default();
        let address: Multiaddr = format!("/memory/{number}").parse().unwrap();
        prop_assert!(transport.can_listen(&address));
        prop_assert_eq!(transport.can_dial(&address), number != 0);
        let longer: Multiaddr = format!("/memory/{number}/ws").parse().unwrap();
        prop_assert!(!transport.can_dial(&longer) && !transport.can_listen(&longer));
        if let Ok(address) = Multiaddr::try_from(bytes) {
            let _no_panic = (transport.can_dial(&address), transport.can_listen(&address));
        }
    }

    /// Any mix of writes and reads, of any sizes, moves the bytes of a queue.
    #[test]
    fn a_pipe_is_a_queue(capacity in 2_usize..40, steps in prop::collection::vec((0_u8..4, 0_usize..50), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Without the runtime's budget, which would make some steps wait for other tasks.
        runtime.block_on(tokio::task::unconstrained(async {
            let (mut a, mut b) = pair(capacity);
            let (mut model, mut next) = (VecDeque::new(), 0_u8);
            for (what, size) in steps {
                let data: Vec<u8> = (0..size).map(|i| next.wrapping_add(i as u8)).collect();
                let slices = [IoSlice::new(&data[..size / 3]), IoSlice::new(&data[size / 3..])];
                let written = match what {
                    0 => poll!(pin!(a.write(&data))),
                    1 => poll!(pin!(a.write_vectored(&slices))),
                    2 => {
                        let mut out = vec![0; size];
                        if let std::task::Poll::Ready(n) = poll!(pin!(b.read(&mut out))) {
                            let expected: Vec<u8> = model.drain(..n.unwrap()).collect();
                            out.truncate(expected.len());
                            assert_eq!(out, expected);
                        }
                        continue;
                    }
                    _ => {
                        let ready = match poll!(pin!(b.fill_buf())) {
                            std::task::Poll::Ready(available) => available.unwrap().to_vec(),
                            std::task::Poll::Pending => { assert!(model.is_empty()); continue }
                        };
                        let n = size.min(ready.len());
                        assert_eq!(model.drain(..n).collect::<Vec<u8>>(), &ready[..n]);
                        b.consume(n);
                        continue;
                    }
                };
                if let std::task::Poll::Ready(n) = written {
                    let n = n.unwrap();
                    model.extend(&data[..n]);
                    next = next.wrapping_add(n as u8);
                }
                assert!(model.len() <= capacity);
            }
        }));
    }
}
