//! uTP beside TCP, over one slow link with a long queue.

use std::time::Duration;

use stackwire_lab::{Flow, Link, Protocol};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flow");
const KILOBITS: u32 = 10_000;
/// What a home's router typically has: much more than uTP's target of 100 ms, so that TCP, which fills it, is noticed.
const QUEUE_MS: u32 = 300;

/// Until a flow has found its share.
const SETTLING: Duration = Duration::from_secs(3);
const MEASURING: Duration = Duration::from_secs(5);

/// How much of the link each has, in percent, once they have found their shares.
fn shares<const N: usize>(flows: [&mut Flow; N]) -> [f64; N] {
    std::thread::scope(|scope| {
        let measured = flows.map(|flow| {
            scope.spawn(|| {
                flow.measure(SETTLING);
                flow.measure(MEASURING) / f64::from(KILOBITS) / 10.0
            })
        });
        measured.map(|thread| thread.join().expect("a flow goes on"))
    })
}

/// A flow that has had the link for itself for a while.
fn settled(link: &Link, protocol: Protocol) -> (Flow, f64) {
    let mut flow = Flow::start(link, PROGRAM, protocol);
    let [share] = shares([&mut flow]);
    (flow, share)
}

#[test]
fn utp_yields_to_tcp() {
    let link = match Link::new(KILOBITS, QUEUE_MS) {
        Ok(link) => link,
        Err(missing) => {
            println!("skipped: this machine can't be made a network: {missing}");
            return;
        }
    };
    // uTP is there first and has the whole link: it must give it up, and take it back when TCP is gone.
    let (mut utp, utp_alone) = settled(&link, Protocol::Utp);
    let mut tcp = Flow::start(&link, PROGRAM, Protocol::Tcp);
    let [tcp_second, utp_first] = shares([&mut tcp, &mut utp]);
    drop(tcp);
    let [utp_after] = shares([&mut utp]);
    drop(utp);
    // TCP is there first: it must be left what it has.
    let (mut tcp, tcp_alone) = settled(&link, Protocol::Tcp);
    let mut utp = Flow::start(&link, PROGRAM, Protocol::Utp);
    let [tcp_first, utp_second] = shares([&mut tcp, &mut utp]);
    drop(utp);
    // What a flow keeps that does not yield, so that nobody has to trust the rest.
    let mut other = Flow::start(&link, PROGRAM, Protocol::Tcp);
    let [one, two] = shares([&mut tcp, &mut other]);

    println!("percent of the link: alone, TCP has {tcp_alone:.0} and uTP {utp_alone:.0}");
    println!("uTP first: TCP has {tcp_second:.0}, uTP {utp_first:.0}; with TCP gone, uTP has {utp_after:.0}");
    println!("TCP first: TCP has {tcp_first:.0}, uTP {utp_second:.0}");
    println!("TCP beside TCP: {one:.0} and {two:.0}");
    assert!(tcp_alone > 60.0 && utp_alone > 60.0, "either can use the link");
    assert!(tcp_second > 60.0, "uTP makes room for TCP");
    assert!(utp_after > 60.0, "uTP takes what is free");
    assert!(
        tcp_first > 50.0,
        "uTP leaves TCP most of what it has, though it found a full queue and takes it for the way"
    );
}
