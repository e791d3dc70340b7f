//! A meeting of two nodes.

use std::{collections::BTreeSet, time::Duration};

use stackwire_node::{Multiaddr, address};

use crate::{Ending, Peer, RESETS, Stack, WATCHES};

/// Far above anything that a step takes.
const LIMIT: Duration = Duration::from_secs(60);

const PERF: u64 = 8 << 20;
const ECHO: usize = 1 << 20;

/// Waits for `work`, at most a minute; panics with `step` if that was not enough.
pub async fn in_time<T>(step: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("{step}: not within {LIMIT:?}"))
}

/// `dialer` connects to `listener`, both do everything with each other, and the dialer says good-bye.
pub async fn meet(stack: Stack, dialer: &impl Peer, listener: &impl Peer) {
    let address = address::with_peer(&listener.address(), listener.id());
    in_time("connecting", dialer.connect(address)).await;
    in_time("being connected", listener.connected(dialer.id())).await;
    for path in [dialer.path(listener.id()), listener.path(dialer.id())].into_iter().flatten() {
        assert_eq!(path, stack.to_string());
    }
    talk("the dialer", stack, dialer, listener).await;
    talk("the listener", stack, listener, dialer).await;
    in_time("closing", dialer.disconnect(listener.id())).await;
    in_time("being told of the close", listener.disconnected(dialer.id())).await;
}

/// Everything that `one` begins.
async fn talk<A: Peer, B: Peer>(who: &str, stack: Stack, one: &A, other: &B) {
    let step = |what: &str| format!("{who} {what}");
    let peer = other.id();
    identify(&step("asks who it is"), one, other).await;
    in_time(&step("pings"), one.ping(peer)).await;
    in_time(&step("measures"), one.perf(peer, PERF, PERF)).await;
    in_time(&step("asks for an echo"), one.echo(peer, ECHO)).await;
    in_time(&step("asks for what there is not"), one.is_refused(peer)).await;

    let ending = in_time(&step("is reset"), one.is_reset(peer)).await;
    assert_eq!(ending, B::resets_as(stack), "what {who} saw of a reset");
    in_time(&step("ends a stream"), one.ends(peer)).await;
    let ending = in_time(&step("has ended a stream"), other.watched()).await;
    assert_eq!(ending, Ending::Closed, "what the other saw of an end by {who}");
    in_time(&step("resets"), one.resets(peer)).await;
    let ending = in_time(&step("has reset"), other.watched()).await;
    assert_eq!(ending, A::resets_as(stack), "what the other saw of a reset by {who}");

    // Neither a refusal nor a reset costs more than its stream.
    in_time(&step("asks for an echo after resets"), one.echo(peer, ECHO)).await;
    in_time(&step("pings after resets"), one.ping(peer)).await;
}

async fn identify<R: Peer, T: Peer>(step: &str, reader: &R, teller: &T) {
    let told = in_time(step, reader.told(teller.id())).await;
    assert_eq!(told.peer, teller.id());
    assert_eq!(told.agent, teller.agent());
    assert_eq!(told.listen, [teller.address()]);
    let told_protocols: BTreeSet<&str> = told.protocols.iter().map(String::as_str).collect();
    for id in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/perf/1.0.0", "/echo/1.0.0", RESETS, WATCHES] {
        assert!(told_protocols.contains(id), "{id} is not in {told_protocols:?}");
    }
    let observed = told.observed.expect("the teller says where it sees the reader");
    assert_eq!(observed, teller.remote(reader.id()));
    if let Some(local) = reader.local(teller.id()) {
        assert_eq!(socket(&observed), socket(&local), "{observed} is {local}");
    }
    assert_eq!(told.signed, R::VERIFIES.contains(&T::SIGNS), "a record for {}", T::SIGNS);
}

fn socket(address: &Multiaddr) -> String {
    let (socket, ..) = address::split_socket(address).unwrap_or_else(|| panic!("{address} has an IP and a port"));
    socket.to_string()
}
