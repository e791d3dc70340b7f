//! Where a socket is reachable.

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::{Interfaces, Machine};

/// Changes that are there at once cost one look at the interfaces. More than a machine ever has of them.
const MAX_BATCH: usize = 1024;

/// Where a socket is bound, and with that the addresses it is reachable at. Clones are equal.
#[derive(Clone)]
pub struct Bound {
    /// Perhaps a wildcard; never IPv4 in the clothes of IPv6.
    address: SocketAddr,
    dual_stack: bool,
    interfaces: Arc<dyn Interfaces>,
    /// The list at the time of binding.
    first: Vec<SocketAddr>,
}

impl Bound {
    /// What a socket with this local address is reachable at, on this machine. `dual_stack` says whether it takes IPv4
    /// where it is on the wildcard of IPv6.
    pub fn new(local: SocketAddr, dual_stack: bool) -> Self {
        Self::on(Arc::new(Machine), local, dual_stack)
    }

    /// As [`Bound::new`], on a machine with these interfaces.
    pub fn on(interfaces: Arc<dyn Interfaces>, local: SocketAddr, dual_stack: bool) -> Self {
        let mut bound = Self { address: canonical(local), dual_stack, interfaces, first: Vec::new() };
        bound.first = bound.addresses();
        bound
    }

    /// Where the socket is bound: its IP address may be a wildcard.
    pub fn local(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is on a wildcard, so that its addresses may change.
    pub fn is_wildcard(&self) -> bool {
        self.address.ip().is_unspecified()
    }

    /// Whether it can be reached by IPv4.
    pub fn takes_ipv4(&self) -> bool {
        self.address.is_ipv4() || (self.is_wildcard() && self.dual_stack)
    }

    fn takes(&self, ip: &IpAddr) -> bool {
        if ip.is_ipv4() { self.takes_ipv4() } else { self.address.is_ipv6() }
    }

    /// The addresses that others can dial now: the one it is bound to, or for a wildcard those of the interfaces, in
    /// their order, loopback last. Each once. Empty where no interface has an address of a family that the socket takes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        if !self.is_wildcard() {
            return vec![self.address];
        }
        let mut ips = self.interfaces.ips();
        if ips.is_empty() {
            // A system that does not tell. Loopback is there nearly always.
            ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        }
        let mut seen = HashSet::new();
        ips.retain(|ip| self.takes(ip) && can_be_dialed(ip) && seen.insert(*ip));
        ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
        ips.into_iter().map(|ip| SocketAddr::new(ip, self.address.port())).collect()
    }

    /// What [`Bound::addresses`] becomes, whenever that is another list than before; the first comparison is with the
    /// list at the time of binding, so that no change is missed however late this is called. `None` where the socket is
    /// on no wildcard: its address never changes. An address that went and came back between two looks is missing in one
    /// list and there in the next.
    ///
    /// The stream watches only while it is polled, within a tokio runtime, and holds one socket for it. It ends where the
    /// system no longer tells of changes.
    pub fn watch(&self) -> Option<BoxStream<'static, Vec<SocketAddr>>> {
        if !self.is_wildcard() {
            return None;
        }
        let (bound, mut last) = (self.clone(), self.first.clone());
        let interfaces = self.interfaces.clone();
        // Not before the first poll: the system's socket needs a runtime.
        let changes = stream::once(async move { interfaces.changes().unwrap_or_else(|_| stream::empty().boxed()) });
        let lists = changes.flatten().ready_chunks(MAX_BATCH).flat_map(move |gone| {
            let now = bound.addresses();
            let gone: HashSet<IpAddr> = gone.into_iter().flatten().collect();
            // What went and came back is told as that: nothing that was bound to it, or mapped to it, lives on.
            let stayed = now.iter().filter(|address| !(last.contains(address) && gone.contains(&address.ip())));
            let lists = [stayed.copied().collect(), now];
            stream::iter(lists.into_iter().filter(|list| set(&mut last, list)).collect::<Vec<_>>())
        });
        Some(lists.boxed())
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("address", &self.address).field("dual_stack", &self.dual_stack).finish()
    }
}

/// Whether `last` was another list; it is `list` now.
fn set(last: &mut Vec<SocketAddr>, list: &[SocketAddr]) -> bool {
    let changed = *last != list;
    if changed {
        *last = list.to_vec();
    }
    changed
}

/// Link-local IPv6 addresses mean nothing without the interface they belong to.
fn can_be_dialed(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_unicast_link_local(),
    }
}

/// The address, by IPv4 where it is IPv4 in the clothes of IPv6 (`::ffff:a.b.c.d`), as dual-stack sockets show it.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The address as an IPv6 socket takes it: the opposite of [`canonical`].
pub fn to_ipv6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Mutex, task::Poll};

    use futures::channel::mpsc;
    use proptest::prelude::*;

    use super::*;

    /// Interfaces as a test wants them.
    #[derive(Default)]
    struct Fake {
        ips: Mutex<Vec<IpAddr>>,
        changes: Mutex<Option<mpsc::UnboundedReceiver<Option<IpAddr>>>>,
    }

    impl Fake {
        /// These addresses, and what tells of changes.
        fn new(ips: &[&str]) -> (Arc<Self>, mpsc::UnboundedSender<Option<IpAddr>>) {
            let (changed, changes) = mpsc::unbounded();
            let fake = Self { changes: Mutex::new(Some(changes)), ..Self::default() };
            fake.set(ips);
            (Arc::new(fake), changed)
        }

        fn set(&self, ips: &[&str]) {
            *self.ips.lock().unwrap() = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        }
    }

    impl Interfaces for Fake {
        fn ips(&self) -> Vec<IpAddr> {
            self.ips.lock().unwrap().clone()
        }
        fn changes(&self) -> io::Result<BoxStream<'static, Option<IpAddr>>> {
            let changes = self.changes.lock().unwrap().take();
            changes.map(StreamExt::boxed).ok_or_else(|| io::ErrorKind::Unsupported.into())
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn listed(bound: &Bound) -> Vec<String> {
        bound.addresses().iter().map(ToString::to_string).collect()
    }

    const MACHINE: [&str; 7] = ["127.0.0.1", "192.0.2.1", "10.0.0.1", "192.0.2.1", "::1", "fe80::1", "2001:db8::1"];

    #[test]
    fn a_wildcard_is_the_addresses_of_its_families_loopback_last() {
        let on = |local, dual_stack| listed(&Bound::on(Fake::new(&MACHINE).0, at(local), dual_stack));
        assert_eq!(on("0.0.0.0:5", false), ["192.0.2.1:5", "10.0.0.1:5", "127.0.0.1:5"]);
        assert_eq!(on("0.0.0.0:5", true), on("0.0.0.0:5", false), "IPv4 has one family in any case");
        assert_eq!(on("[::]:5", false), ["[2001:db8::1]:5", "[::1]:5"]);
        let both = ["192.0.2.1:5", "10.0.0.1:5", "[2001:db8::1]:5", "127.0.0.1:5", "[::1]:5"];
        assert_eq!(on("[::]:5", true), both);
        assert_eq!(on("[::ffff:0.0.0.0]:5", false), on("0.0.0.0:5", false));
    }

    #[test]
    fn an_address_stays_what_it_is() {
        for (local, shown) in
            [("192.0.2.9:5", "192.0.2.9:5"), ("[::1]:5", "[::1]:5"), ("[::ffff:1.2.3.4]:5", "1.2.3.4:5")]
        {
            let bound = Bound::on(Fake::new(&MACHINE).0, at(local), true);
            assert_eq!(listed(&bound), [shown]);
            assert!(bound.watch().is_none(), "it never changes");
        }
    }

    #[test]
    fn a_system_that_does_not_tell_is_reachable_by_loopback() {
        assert_eq!(listed(&Bound::on(Fake::new(&[]).0, at("[::]:5"), true)), ["127.0.0.1:5", "[::1]:5"]);
    }

    #[test]
    fn a_list_is_told_whenever_it_is_another() {
        let (fake, changed) = Fake::new(&["127.0.0.1", "192.0.2.1"]);
        let bound = Bound::on(fake.clone(), at("0.0.0.0:5"), false);
        let mut lists = bound.watch().unwrap();
        let mut next = || futures::executor::block_on(async { futures::poll!(lists.next()) });
        assert_eq!(next(), Poll::Pending);

        changed.unbounded_send(None).unwrap();
        assert_eq!(next(), Poll::Pending, "something happened, though to none of our addresses");
        fake.set(&["127.0.0.1", "192.0.2.1", "2001:db8::1"]);
        changed.unbounded_send(None).unwrap();
        assert_eq!(next(), Poll::Pending, "an address of a family that is not ours");

        // Several changes that are there at once are one.
        fake.set(&["127.0.0.1", "192.0.2.2"]);
        (0..3).for_each(|_| changed.unbounded_send(None).unwrap());
        assert_eq!(next(), Poll::Ready(Some(vec![at("192.0.2.2:5"), at("127.0.0.1:5")])));
        assert_eq!(next(), Poll::Pending);

        fake.set(&["127.0.0.1"]);
        changed.unbounded_send(None).unwrap();
        assert_eq!(next(), Poll::Ready(Some(vec![at("127.0.0.1:5")])));
        drop(changed);
        assert_eq!(next(), Poll::Ready(None));
    }

    #[test]
    fn an_address_that_went_and_came_back_is_told() {
        let (fake, changed) = Fake::new(&["192.0.2.1", "192.0.2.2"]);
        let mut lists = Bound::on(fake.clone(), at("0.0.0.0:5"), false).watch().unwrap();
        let mut next = || futures::executor::block_on(async { futures::poll!(lists.next()) });
        for change in [Some("192.0.2.1"), Some("198.51.100.1"), None] {
            changed.unbounded_send(change.map(|ip| ip.parse().unwrap())).unwrap();
        }
        assert_eq!(next(), Poll::Ready(Some(vec![at("192.0.2.2:5")])));
        assert_eq!(next(), Poll::Ready(Some(vec![at("192.0.2.1:5"), at("192.0.2.2:5")])));
        assert_eq!(next(), Poll::Pending);
        // One that went for good, and one that only came.
        fake.set(&["192.0.2.2", "192.0.2.3"]);
        changed.unbounded_send(Some("192.0.2.1".parse().unwrap())).unwrap();
        assert_eq!(next(), Poll::Ready(Some(vec![at("192.0.2.2:5"), at("192.0.2.3:5")])));
        assert_eq!(next(), Poll::Pending);
    }

    #[test]
    fn a_change_before_watching_is_not_missed() {
        let (fake, changed) = Fake::new(&["127.0.0.1"]);
        let bound = Bound::on(fake.clone(), at("0.0.0.0:5"), false);
        fake.set(&["192.0.2.1"]);
        let mut lists = bound.watch().unwrap();
        // A watcher tells of every address that is there when it starts.
        changed.unbounded_send(None).unwrap();
        assert_eq!(futures::executor::block_on(lists.next()), Some(vec![at("192.0.2.1:5")]));
    }

    #[test]
    fn where_changes_are_not_told_the_stream_ends() {
        let (fake, _changed) = Fake::new(&["127.0.0.1"]);
        fake.changes().map(drop).unwrap();
        let mut lists = Bound::on(fake, at("0.0.0.0:5"), false).watch().unwrap();
        assert_eq!(futures::executor::block_on(lists.next()), None);
    }

    proptest! {
        #[test]
        fn the_two_clothes_of_an_address_are_one_address(address: SocketAddr) {
            prop_assert!(to_ipv6(address).is_ipv6());
            prop_assert_eq!(canonical(to_ipv6(address)), canonical(address));
            prop_assert_eq!(to_ipv6(canonical(address)).ip(), to_ipv6(address).ip());
        }

        #[test]
        fn no_list_has_a_wildcard_or_a_double(ips: Vec<IpAddr>, dual_stack: bool, six: bool) {
            let fake = Fake::default();
            *fake.ips.lock().unwrap() = ips;
            let local = if six { at("[::]:5") } else { at("0.0.0.0:5") };
            let list = Bound::on(Arc::new(fake), local, dual_stack).addresses();
            let mut seen = HashSet::new();
            for address in list {
                prop_assert!(!address.ip().is_unspecified() && address.port() == 5);
                prop_assert!(address.is_ipv6() == six || dual_stack);
                prop_assert!(seen.insert(address));
            }
        }
    }
}
