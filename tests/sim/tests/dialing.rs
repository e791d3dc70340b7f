//! Dialing on a simulated clock: dead seeds, slow names, addresses that join a dial, and oneself.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, future::join_all};
use parking_lot::Mutex;
use stackwire_bundle as _;
use stackwire_config::{Catalogue, Plan, Stack};
use stackwire_core::{
    AddressPart, Dial, Dialed, Error, Event, Keypair, Kind, Listen, Listener, Multiaddr, Result, Transport,
    address::{Origin, with_peer},
};
use stackwire_node::{Builder, Lookup, Node};
use stackwire_sim::SimRuntime;
use tokio::time::{Instant, sleep, timeout};

/// `/memory/…` from this number on is a machine that takes a connection and says nothing.
const DEAD: u64 = 1 << 40;

/// The transport `memory`, with dead machines, and every address that was dialed.
struct Lan {
    memory: Arc<dyn Transport>,
    dialed: Arc<Mutex<Vec<Multiaddr>>>,
}

#[async_trait]
impl Transport for Lan {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn can_dial(&self, address: &Multiaddr) -> bool {
        // What names lead to is IP; the port says which node it is.
        self.memory.can_dial(&lan(address))
    }
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        self.dialed.lock().push(dial.address.clone());
        let address = lan(dial.address);
        if matches!(address.iter().next(), Some(AddressPart::Memory(number)) if number >= DEAD) {
            return std::future::pending().await;
        }
        self.memory.dial(Dial::new(&address, dial.identity, dial.env).to(dial.peer)).await
    }
    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        self.memory.listen(listen).await
    }
}

/// `/ip4/…/tcp/N` is `/memory/N` here.
fn lan(address: &Multiaddr) -> Multiaddr {
    match address.iter().nth(1) {
        Some(AddressPart::Tcp(port)) => Multiaddr::empty().with(AddressPart::Memory(port.into())),
        _ => address.clone(),
    }
}

/// Names by how many seconds their answer takes.
#[derive(Clone, Default)]
struct Names(HashMap<&'static str, u64>);

#[async_trait]
impl Lookup for Names {
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
        match self.0.get(name) {
            Some(seconds) => sleep(Duration::from_secs(*seconds)).await,
            None => std::future::pending().await,
        }
        Ok(vec![IpAddr::from([9, 9, 9, 9])])
    }
    async fn texts(&self, name: &str) -> Result<Vec<String>> {
        Err(Error::new(Kind::Unreachable, format!("{name} has no records")))
    }
}

struct Machine {
    node: Node,
    dialed: Arc<Mutex<Vec<Multiaddr>>>,
}

async fn machine(number: u8, more: &str, names: Names) -> Machine {
    let text = format!(
        "[node]\nlisten = [\"/memory/{number}\"]\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n\
         [[muxer]]\nuse = \"yamux\"\n{more}"
    );
    let mut stack: Stack = Plan::parse(&text, &Catalogue::linked().unwrap()).expect("the config is good").stack();
    let dialed = Arc::<Mutex<Vec<_>>>::default();
    stack.parts.transports = vec![Arc::new(Lan { memory: stack.parts.transports[0].clone(), dialed: dialed.clone() })];
    let builder = Builder::from(stack).identity(Keypair::ed25519_from_seed([number; 32])).lookup(names);
    Machine { node: builder.runtime(SimRuntime::new(number.into())).start().await.expect("it starts"), dialed }
}

fn dead(number: u64) -> Multiaddr {
    Multiaddr::empty().with(AddressPart::Memory(DEAD + number))
}

fn seeds(addresses: impl IntoIterator<Item = Multiaddr>) -> String {
    let list: Vec<String> = addresses.into_iter().map(|address| format!("{:?}", address.to_string())).collect();
    format!("[[discovery]]\nuse = \"seeds\"\npeers = [{}]\n", list.join(", "))
}

/// When `node` has a connection with `peer`, on the simulated clock.
async fn connected(node: &Node, peer: &Node, within: Duration) -> Duration {
    let begin = Instant::now();
    let connected = async {
        while !node.connections().iter().any(|connection| connection.peer == peer.peer_id()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(within, connected).await.unwrap_or_else(|_| panic!("no connection within {within:?}"));
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn dead_seeds_hold_up_a_good_one_for_seconds() {
    let good = machine(10, "", Names::default()).await;
    for (number, (count, limit)) in (11..).zip([(64, 4), (200, 8)]) {
        let list = (0..count).map(dead).chain([good.node.addresses().remove(0)]);
        let node = machine(number, &seeds(list), Names::default()).await;
        let took = connected(&node.node, &good.node, Duration::from_secs(limit)).await;
        println!("{count} dead seeds: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_seeds_hold_up_nobody_who_asks() {
    let good = machine(20, "", Names::default()).await;
    let node = machine(21, &seeds((0..200).map(dead)), Names::default()).await;
    sleep(Duration::from_millis(500)).await;
    let begin = Instant::now();
    node.node.connect(&good.node.addresses()[0]).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(300), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slow_names_hold_up_no_other_seed() {
    let good = machine(30, "", Names::default()).await;
    let slow = (0..64).map(|number| format!("/dns4/never{number}/tcp/1").parse().unwrap());
    let list: Vec<Multiaddr> = slow.chain([good.node.addresses().remove(0)]).collect();
    let node = machine(31, &seeds(list), Names::default()).await;
    connected(&node.node, &good.node, Duration::from_secs(4)).await;
}

#[tokio::test(start_paused = true)]
async fn literal_addresses_do_not_wait_for_names() {
    let good = machine(40, "", Names::default()).await;
    let node = machine(41, "", Names(HashMap::from([("slow", 10)]))).await;
    let peer = good.node.peer_id();
    let named = ["/dns4/never/tcp/1", "/dns4/slow/tcp/1", "/memory/40"].map(|text| text.parse().unwrap());
    node.node.add_addresses(peer, &named);
    let begin = Instant::now();
    node.node.connect_peer(peer).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    // Side by side: the second name is not behind the first, which never answers.
    let node = machine(42, "", Names(HashMap::from([("slow", 10)]))).await;
    let named = ["/dns4/never/tcp/1", "/dns4/slow/tcp/40"].map(|text| text.parse().unwrap());
    node.node.add_addresses(peer, &named);
    let begin = Instant::now();
    node.node.connect_peer(peer).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(11), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_dial_brings_its_addresses() {
    let good = machine(50, "", Names::default()).await;
    let node = machine(51, "", Names::default()).await;
    let peer = good.node.peer_id();
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (node, address) = (node.node.clone(), with_peer(&dead(number), peer));
        waiting.push(tokio::spawn(async move { node.connect(&address).await.map(|info| info.id) }));
    }
    sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    let connection = node.node.connect(&good.node.addresses()[0]).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    // It is everybody's success.
    for joined in join_all(waiting).await {
        assert_eq!(joined.unwrap().unwrap(), connection.id);
    }
    assert_eq!(node.node.connections().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_joins_too_late_dials_anew() {
    let good = machine(60, "", Names::default()).await;
    let peer = good.node.peer_id();
    // At any moment around the end of a dial that fails.
    for millis in 14_990..15_010 {
        let node = machine(61, "", Names::default()).await;
        let (other, address) = (node.node.clone(), with_peer(&dead(1), peer));
        let failing = tokio::spawn(async move { other.connect(&address).await.map(drop) });
        sleep(Duration::from_millis(millis)).await;
        node.node.connect(&good.node.addresses()[0]).await.unwrap_or_else(|e| panic!("at {millis} ms: {e}"));
        failing.abort();
        node.node.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_without_a_peer_is_one_connection_however_often_it_is_named() {
    let good = machine(70, "", Names::default()).await;
    let bare: Multiaddr = "/memory/70".parse().unwrap();
    let list = format!("{}reannounce_secs = 5\n", seeds([bare.clone(), "/ip4/9.9.9.9/tcp/70".parse().unwrap()]));
    let node = machine(71, &list, Names::default()).await;
    let mut events = node.node.events();
    connected(&node.node, &good.node, Duration::from_secs(2)).await;
    sleep(Duration::from_secs(1)).await;
    let dials = node.dialed.lock().len();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(node.dialed.lock().len(), dials, "who is connected is not dialed again");
    assert_eq!((node.node.connections().len(), good.node.connections().len()), (1, 1));
    let all = join_all((0..20).map(|_| node.node.connect(&bare))).await;
    let first = all[0].as_ref().unwrap().id;
    assert!(all.iter().all(|one| one.as_ref().unwrap().id == first));
    // Once it is gone it is dialed again.
    node.node.disconnect(first);
    while !matches!(events.next().await, Some(Event::Disconnected { connection, .. }) if connection == first) {}
    connected(&node.node, &good.node, Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_makes_no_connection_with_itself() {
    let list = seeds(["/memory/80".parse().unwrap(), "/ip4/9.9.9.9/tcp/80".parse().unwrap()]);
    let node = machine(80, &list, Names::default()).await;
    let mut events = node.node.events();
    for own in ["/memory/80", "/ip4/9.9.9.9/tcp/80"] {
        let error = node.node.connect(&own.parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("this node"), "{error}");
    }
    sleep(Duration::from_secs(100)).await;
    assert!(node.node.connections().is_empty());
    while let Ok(Some(event)) = timeout(Duration::from_millis(1), events.next()).await {
        assert!(!matches!(event, Event::Connected { .. }), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_tells_is_not_dialed_where_it_can_not_be() {
    let node = machine(90, "", Names(HashMap::from([("evil", 0)]))).await;
    let (stranger, host) = (Keypair::ed25519_from_seed([99; 32]).peer_id(), node.node.host());
    let told = ["/memory/1", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/unix/x", "/dns4/evil/tcp/1"];
    let far = Origin::peer_at(&"/ip4/9.9.9.9/tcp/1".parse().unwrap());
    host.add_addresses(stranger, &told.map(|text| text.parse().unwrap()), far);
    let error = node.node.connect_peer(stranger).await.unwrap_err();
    let Kind::DialFailed(failures) = error.kind() else { panic!("{error}") };
    assert_eq!(failures.len(), 1, "what it can't be reached at is not even kept");
    assert_eq!(
        *node.dialed.lock(),
        ["/ip4/9.9.9.9/tcp/1".parse().unwrap()],
        "only where the name led, and that is public"
    );
}

/// Whatever comes to nothing, a dial ends: an address named twice, one of another peer, more than are tried.
#[tokio::test(start_paused = true)]
async fn a_dial_whose_addresses_come_to_nothing_ends() {
    let node = machine(100, "", Names::default()).await;
    let [peer, other] = [101, 102].map(|seed| Keypair::ed25519_from_seed([seed; 32]).peer_id());
    let gone: Multiaddr = "/memory/7777".parse().unwrap();
    let foreign: Multiaddr = "/dns4/never/tcp/1".parse().unwrap();
    for named in [vec![gone.clone(); 3], (0..60).map(|n| format!("/memory/{}", 8000 + n).parse().unwrap()).collect()] {
        node.node.add_addresses(peer, &named);
        let dials = named.iter().map(|address| node.node.connect(address));
        let all = timeout(Duration::from_secs(60), join_all(dials)).await.expect("every dial ends");
        assert!(all.iter().all(Result::is_err));
        let joined = named.iter().map(|address| with_peer(address, peer)).collect::<Vec<_>>();
        let all = join_all(joined.iter().map(|address| node.node.connect(address)));
        let all = timeout(Duration::from_secs(60), all).await.expect("every dial ends");
        assert!(all.iter().all(Result::is_err));
    }
    let ends = timeout(Duration::from_secs(60), node.node.connect(&with_peer(&foreign, other))).await;
    assert!(ends.expect("a name that nobody answers has its time").is_err());
}
