//! What is particular to TCP.

use std::{net::Ipv4Addr, sync::Arc};

use futures::{StreamExt, future::join};
use stackwire_conformance::{
    in_time,
    transport::{LAWS, Subject},
};
use stackwire_core::{AddressPart, BoxPipe, Incoming, Kind, Listener, Multiaddr, Stage, address, reset_code};
use stackwire_plugin::{Catalogue, Plugin};
use stackwire_transport_tcp::{Tcp, TcpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn subject(config: TcpConfig, listen: &str) -> Subject {
    let transport = Tcp::new(config).expect("the options are in range");
    Subject::new(Arc::new(transport), listen.parse().expect("an address"))
}

fn on_loopback() -> Subject {
    subject(TcpConfig::default(), "/ip4/127.0.0.1/tcp/0")
}

/// Both ends of a connection of `from` to `listener`, and where the listener saw it come from.
async fn connect(
    from: &Subject,
    listener: &mut Box<dyn Listener>,
    address: &Multiaddr,
) -> (BoxPipe, BoxPipe, Multiaddr) {
    let (dialed, incoming) = in_time("a connection", join(from.dial(address), listener.accept())).await;
    let Incoming { remote, open, .. } = incoming.unwrap();
    match (dialed.unwrap().stage, open.await.unwrap().stage) {
        (Stage::Raw(a), Stage::Raw(b)) => (a, b, remote),
        _ => panic!("TCP gives bytes"),
    }
}

#[test]
fn it_is_registered_with_an_example_that_means_the_defaults() {
    let catalogue = Catalogue::linked().unwrap();
    let descriptor = catalogue.named("tcp").next().unwrap();
    descriptor.build_from(descriptor.summary.example).unwrap();
}

#[test]
fn options_out_of_range_are_refused_with_a_reason() {
    let normal = TcpConfig::default();
    for (config, option) in [
        (TcpConfig { backlog: 0, ..normal }, "backlog"),
        (TcpConfig { ttl: Some(0), ..normal }, "ttl"),
        (TcpConfig { keepalive_secs: Some(0), ..normal }, "keepalive_secs"),
        (TcpConfig { read_buffer: 0, ..normal }, "read_buffer"),
        (TcpConfig { read_buffer: u32::MAX, ..normal }, "read_buffer"),
        (TcpConfig { busy_poll_us: 1001, ..normal }, "busy_poll_us"),
    ] {
        let error = config.build().err().unwrap();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains(option), "{error}");
    }
}

#[tokio::test]
async fn a_wildcard_stands_for_all_addresses_of_the_machine() {
    let subject = subject(TcpConfig::default(), "/ip4/0.0.0.0/tcp/0");
    let mut listener = subject.listen_on(&subject.listen).await.unwrap();
    let addresses = listener.addresses();
    let loopback = AddressPart::Ip4(Ipv4Addr::LOCALHOST);
    assert!(addresses.iter().any(|a| a.iter().next() == Some(loopback.clone())), "{addresses:?}");
    assert!(addresses.iter().all(|a| matches!(a.iter().next(), Some(AddressPart::Ip4(_)))), "{addresses:?}");
    for address in addresses {
        connect(&subject, &mut listener, &address).await;
    }
}

#[tokio::test]
async fn a_taken_port_is_named_together_with_the_fix() {
    let subject = on_loopback();
    let listener = subject.listen_on(&subject.listen).await.unwrap();
    let address = listener.addresses().remove(0);
    let error = subject.listen_on(&address).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::AddressInUse);
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("another port, or 0"), "{text}");
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_listened_on() {
    let subject = on_loopback();
    let error = subject.listen_on(&"/ip4/203.0.113.77/tcp/0".parse().unwrap()).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::AddressInvalid, "{error}");
    assert!(error.to_string().contains("/ip4/0.0.0.0"), "{error}");
}

#[tokio::test]
async fn a_dial_takes_one_round_trip() {
    let subject = on_loopback();
    let listener = subject.listen_on(&subject.listen).await.unwrap();
    let dialed = subject.dial(&listener.addresses()[0]).await.unwrap();
    assert_eq!(dialed.round_trips, 1);
}

#[tokio::test]
async fn a_reset_reaches_the_peer_as_one() {
    let subject = on_loopback();
    let mut listener = subject.listen_on(&subject.listen).await.unwrap();
    let address = listener.addresses().remove(0);
    let (mut a, mut b, _) = connect(&subject, &mut listener, &address).await;
    a.reset(9);
    assert_eq!(reset_code(&in_time("the reset", b.read_u8()).await.unwrap_err()), Some(0));
    assert_eq!(reset_code(&a.write_u8(1).await.unwrap_err()), Some(9), "our own side remembers its code");
}

#[cfg(unix)]
#[tokio::test]
async fn with_port_reuse_peers_see_the_port_we_listen_on() {
    let ours = subject(TcpConfig { port_reuse: true, ..TcpConfig::default() }, "/ip4/127.0.0.1/tcp/0");
    let theirs = on_loopback();
    let our_listener = ours.listen_on(&ours.listen).await.unwrap();
    let our_address = our_listener.addresses().remove(0);
    let mut listener = theirs.listen_on(&theirs.listen).await.unwrap();
    let address = listener.addresses().remove(0);

    let (_a, _b, first) = connect(&ours, &mut listener, &address).await;
    assert_eq!(first, our_address);
    // A second connection between the same two ports cannot be; it comes from another.
    let (_c, _d, second) = connect(&ours, &mut listener, &address).await;
    assert_ne!(second, our_address);

    drop(our_listener);
    let (_e, _f, third) = connect(&ours, &mut listener, &address).await;
    assert_ne!(third, our_address, "nothing leaves from a port that we no longer listen on");
}

/// Whether this machine has IPv6, said aloud where it has not.
async fn has_ipv6() -> bool {
    let subject = subject(TcpConfig::default(), "/ip6/::1/tcp/0");
    match subject.listen_on(&subject.listen).await {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: this machine has no IPv6 ({error})");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_obeys_the_laws() {
    if has_ipv6().await {
        for (name, law) in LAWS {
            eprintln!("{name}");
            law(subject(TcpConfig::default(), "/ip6/::1/tcp/0")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dual_stack_wildcard_obeys_the_laws() {
    if has_ipv6().await {
        for (name, law) in LAWS {
            eprintln!("{name}");
            law(subject(TcpConfig { dual_stack: true, ..TcpConfig::default() }, "/ip6/::/tcp/0")).await;
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn with_port_reuse_a_dual_stack_listeners_port_is_left_from_by_both_families() {
    if !has_ipv6().await {
        return;
    }
    let ours = subject(TcpConfig { port_reuse: true, dual_stack: true, ..TcpConfig::default() }, "/ip6/::/tcp/0");
    let our_listener = ours.listen_on(&ours.listen).await.unwrap();
    let our_addresses = our_listener.addresses();
    for at in ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"] {
        let theirs = subject(TcpConfig::default(), at);
        let mut listener = theirs.listen_on(&theirs.listen).await.unwrap();
        let address = listener.addresses().remove(0);
        let (_a, _b, remote) = connect(&ours, &mut listener, &address).await;
        assert!(our_addresses.contains(&remote), "{remote}");
    }
}

#[tokio::test]
async fn a_listener_on_a_wildcard_tells_of_other_addresses() {
    let on = async |listen| subject(TcpConfig::default(), listen).listen_on(&listen.parse().unwrap()).await.unwrap();
    let mut any = on("/ip4/0.0.0.0/tcp/0").await;
    // Nothing has changed; what is told where it does is shown by the tests of `stackwire-socket`.
    let mut changes = any.watch().expect("a wildcard's addresses may change");
    assert!(futures::poll!(changes.next()).is_pending());
    assert!(on("/ip4/127.0.0.1/tcp/0").await.watch().is_none(), "one address stays what it is");
}

#[tokio::test]
async fn an_ipv6_wildcard_takes_ipv4_only_if_it_is_told_to() {
    if !has_ipv6().await {
        return;
    }
    let loopback = AddressPart::Ip4(Ipv4Addr::LOCALHOST);
    for dual_stack in [false, true] {
        let subject = subject(TcpConfig { dual_stack, ..TcpConfig::default() }, "/ip6/::/tcp/0");
        let mut listener = subject.listen_on(&subject.listen).await.unwrap();
        let addresses = listener.addresses();
        assert!(addresses.iter().any(|a| matches!(a.iter().next(), Some(AddressPart::Ip6(_)))), "{addresses:?}");
        let ipv4 = addresses.iter().find(|a| a.iter().next() == Some(loopback.clone()));
        assert_eq!(ipv4.is_some(), dual_stack, "{addresses:?}");
        if let Some(ipv4) = ipv4 {
            let (_a, _b, remote) = connect(&subject, &mut listener, ipv4).await;
            assert!(address::ip_of(&remote).is_some_and(|ip| ip.is_ipv4()), "{remote} is shown as what it is");
        }
    }
}
