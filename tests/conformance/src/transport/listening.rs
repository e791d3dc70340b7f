//! Laws about dialing, listening, and giving either up.

use std::{pin::pin, task::Poll};

use futures::{
    StreamExt,
    future::{join, join_all},
    stream::FuturesUnordered,
};
use stackwire_core::{BoxPipe, Kind, Listener, Multiaddr, Retry, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Subject, answer, ask, assert_named, assert_nobody, connect, connected, failure, ping, pipe, random_bytes,
    read_to_any_end,
};
use crate::in_time;

/// Two listeners have two addresses, and each gets the connections that were dialed to its own.
pub async fn several_listeners_live_side_by_side(subject: Subject) {
    let (mut one, first) = subject.listening().await;
    let (mut two, second) = subject.listening().await;
    assert_ne!(first, second);
    let (mut a, mut b) = connect(&subject, &mut one, &first).await.pipes().await;
    let (mut c, mut d) = connect(&subject, &mut two, &second).await.pipes().await;
    join(ping(&mut a, &mut b), ping(&mut c, &mut d)).await;
}

/// A second listener on an address fails, saying that and where, and the first goes on.
pub async fn an_address_is_listened_on_once(subject: Subject) {
    let (mut listener, address) = subject.listening().await;
    let error = failure(subject.listen_on(&address).await, "listening a second time");
    assert_eq!(error.kind(), &Kind::AddressInUse, "{error}");
    assert_named(&subject, &error);
    connect(&subject, &mut listener, &address).await;
}

/// A listener that is gone takes no connections, and its address can be listened on again.
pub async fn a_dropped_listener_frees_its_address(subject: Subject) {
    let (mut listener, address) = subject.listening().await;
    let connection = connect(&subject, &mut listener, &address).await;
    drop(listener);
    let error = failure(in_time("a dial", subject.dial(&address)).await, "a dial to a dropped listener");
    assert_nobody(&subject, &error);
    drop(connection);
    let mut listener = subject.listen_on(&address).await.expect("a freed address can be listened on");
    assert_eq!(listener.addresses().first(), Some(&address));
    connect(&subject, &mut listener, &address).await;
}

/// A dial to where nobody listens fails as that, and advises another address.
pub async fn a_dial_to_nobody_says_so(subject: Subject) {
    let address = subject.vacant().await;
    let error = failure(in_time("a dial", subject.dial(&address)).await, "a dial to nobody");
    assert_nobody(&subject, &error);
    assert_eq!(error.retry(), Retry::OtherAddress, "{error}");
}

/// Giving up waiting for a connection loses none.
pub async fn accepting_can_be_given_up(subject: Subject) {
    let (mut listener, address) = subject.listening().await;
    for _ in 0..10 {
        assert!(futures::poll!(pin!(listener.accept())).is_pending(), "nobody dialed yet");
    }
    connect(&subject, &mut listener, &address).await;
}

/// Dials that are dropped half-way leave nothing behind: the listener sees their ends, others go on as before.
pub async fn a_cancelled_dial_frees_everything(subject: Subject) {
    let (mut a, mut b, mut listener) = connected(&subject).await;
    let address = listener.addresses().remove(0);
    for _ in 0..20 {
        let mut dial = pin!(subject.dial(&address));
        // Some transports are connected at once; then it is the connection that is dropped.
        let _pending_or_connected: Poll<_> = futures::poll!(&mut dial);
    }
    let dial = async {
        let mut pipe = dialed_pipe(&subject, &address).await;
        pipe.write_all(b"here").await.expect("writing works");
        pipe.flush().await.expect("flushing works");
        pipe
    };
    let dialing = in_time("a dial among cancelled ones", join(dial, find_marked(&mut listener)));
    let (mut c, (mut d, cancelled)) = dialing.await;
    for mut pipe in cancelled {
        assert!(read_to_any_end(&mut pipe).await.is_empty(), "a cancelled connection carries nothing");
    }
    ping(&mut a, &mut b).await;
    ping(&mut c, &mut d).await;
}

/// The dialer's end of a connection to `address`.
async fn dialed_pipe(subject: &Subject, address: &Multiaddr) -> BoxPipe {
    let dialed = subject.dial(address).await.expect("dialing works");
    pipe(dialed.stage, Role::Dialer).await.expect("a connection lives")
}

/// Accepts connections until one says `here`; that one, and those that opened but said nothing and ended.
async fn find_marked(listener: &mut Box<dyn Listener>) -> (BoxPipe, Vec<BoxPipe>) {
    let mut opening = FuturesUnordered::new();
    let mut silent = Vec::new();
    loop {
        tokio::select! {
            incoming = listener.accept() => {
                let open = incoming.expect("the listener goes on").open;
                opening.push(async move {
                    let mut pipe = pipe(open.await.ok()?.stage, Role::Listener).await.ok()?;
                    let mut marker = [0; 4];
                    let marked = pipe.read_exact(&mut marker).await.is_ok();
                    Some((pipe, marked))
                });
            }
            Some(opened) = opening.next() => match opened {
                Some((pipe, true)) => return (pipe, silent),
                Some((pipe, false)) => silent.push(pipe),
                None => {}
            },
        }
    }
}

/// A connection that is dropped before it was opened is closed, and disturbs no other.
pub async fn a_dropped_incoming_closes_its_connection(subject: Subject) {
    let (mut a, mut b, mut listener) = connected(&subject).await;
    let address = listener.addresses().remove(0);
    let dial = async {
        // Who is not yet connected learns it by the dial, who is by the connection.
        if let Ok(dialed) = subject.dial(&address).await
            && let Ok(mut pipe) = pipe(dialed.stage, Role::Dialer).await
        {
            assert!(read_to_any_end(&mut pipe).await.is_empty());
        }
    };
    let refuse = async { drop(listener.accept().await.expect("accepting works")) };
    in_time("the end of a connection that nobody opened", join(dial, refuse)).await;
    ping(&mut a, &mut b).await;
    connect(&subject, &mut listener, &address).await;
}

/// While one connection is slow to open, others are accepted, opened and used; afterwards it works too.
pub async fn a_slow_open_holds_up_nobody(subject: Subject) {
    let (mut listener, address) = subject.listening().await;
    let slow_dial = async {
        let mut slow = dialed_pipe(&subject, &address).await;
        ask(&mut slow).await;
        slow
    };
    let others = async {
        let slow = listener.accept().await.expect("accepting works");
        for _ in 0..3 {
            let (mut a, mut b) = connect(&subject, &mut listener, &address).await.pipes().await;
            ping(&mut a, &mut b).await;
        }
        let slow = slow.open.await.expect("a slow connection opens in the end");
        let mut slow = pipe(slow.stage, Role::Listener).await.expect("a slow connection lives");
        answer(&mut slow).await;
        slow
    };
    // Both are kept until either is done: what a stream had sent may be lost when it is dropped.
    let _both = in_time("a slow connection and three others", join(slow_dial, others)).await;
}

/// Fifty connections at once are all taken, and none mixes its bytes with another's.
pub async fn fifty_connections_at_once(subject: Subject) {
    const COUNT: usize = 50;
    let (mut listener, address) = subject.listening().await;
    let dials = join_all((0..COUNT).map(|i| {
        let (subject, address) = (&subject, &address);
        async move {
            let mut pipe = dialed_pipe(subject, address).await;
            let data = random_bytes(10_000 + i, i as u64);
            pipe.write_all(&data).await.expect("writing works");
            pipe.shutdown().await.expect("closing works");
            let mut echo = Vec::new();
            pipe.read_to_end(&mut echo).await.expect("reading works");
            assert!(echo == data, "connection {i} gets its own bytes back");
        }
    }));
    let serve = async {
        let mut served = FuturesUnordered::new();
        for _ in 0..COUNT {
            let incoming = listener.accept().await.expect("accepting works");
            served.push(tokio::spawn(async move {
                let stage = incoming.open.await.expect("opening works").stage;
                let mut pipe = pipe(stage, Role::Listener).await.expect("a connection lives");
                let mut data = Vec::new();
                pipe.read_to_end(&mut data).await.expect("reading works");
                pipe.write_all(&data).await.expect("writing works");
                pipe.shutdown().await.expect("closing works");
                // Until the dialer has closed too, so that nothing here cuts its reading short.
                pipe
            }));
        }
        while let Some(done) = served.next().await {
            done.expect("serving works");
        }
    };
    in_time("fifty connections", join(dials, serve)).await;
}

/// Connections that were taken live on when their listener is dropped.
pub async fn connections_outlive_their_listener(subject: Subject) {
    let (mut a, mut b, listener) = connected(&subject).await;
    drop(listener);
    ping(&mut a, &mut b).await;
}
