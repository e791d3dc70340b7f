//! IPv6, where this machine has it, and both families at one socket.

mod support;

use stackwire_conformance::transport::{LAWS, Subject};
use stackwire_core::{Incoming, address};
use stackwire_plugin::{Descriptor, Fixture};
use stackwire_transport_websocket::WebSocketConfig;
use support::*;

/// Whether this machine has IPv6, said aloud where it has not.
fn has_ipv6() -> bool {
    match std::net::TcpListener::bind("[::1]:0") {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: this machine has no IPv6 ({error})");
            false
        }
    }
}

async fn laws(options: &'static str, listen: &'static str) {
    if has_ipv6() {
        for (name, law) in LAWS {
            eprintln!("{name}");
            let fixture = Fixture { label: "ipv6", options, listen };
            law(Subject::of(&Descriptor::of::<WebSocketConfig>("test"), &fixture)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_over_ipv6_obeys_the_laws() {
    laws("", "/ip6/::1/tcp/0/ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wss_over_ipv6_obeys_the_laws() {
    laws("tls.verify = false", "/ip6/::1/tcp/0/tls/ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dual_stack_wildcard_obeys_the_laws() {
    laws("dual_stack = true", "/ip6/::/tcp/0/ws").await;
}

#[tokio::test]
async fn an_ipv6_wildcard_takes_ipv4_only_if_it_is_told_to() {
    if !has_ipv6() {
        return;
    }
    for (options, dual_stack) in [("", false), ("dual_stack = true", true)] {
        let transport = transport(options);
        let mut listener = try_listen(&transport, "/ip6/::/tcp/0/ws").await.unwrap();
        let addresses = listener.addresses();
        let of_ipv4 = |address: &&_| address::ip_of(address).is_some_and(|ip| ip.is_ipv4());
        assert!(!addresses.iter().all(|address| of_ipv4(&address)), "{addresses:?}");
        let ipv4 = addresses.iter().find(of_ipv4);
        assert_eq!(ipv4.is_some(), dual_stack, "{addresses:?}");
        if let Some(ipv4) = ipv4 {
            let open = async {
                let Incoming { remote, local, open } = accept(&mut listener).await;
                (open.await, remote, local)
            };
            let (dialed, (opened, remote, local)) = tokio::join!(dial(&transport, ipv4), open);
            assert!(dialed.is_ok() && opened.is_ok());
            assert_eq!(&local, ipv4);
            assert!(of_ipv4(&&remote), "{remote} is shown as what it is");
        }
    }
}

#[tokio::test]
async fn a_listener_on_a_wildcard_tells_of_other_addresses() {
    let transport = transport("");
    for at in ["/ip4/0.0.0.0/tcp/0/ws", "/ip4/0.0.0.0/tcp/0/tls/ws"] {
        let mut any = try_listen(&transport, at).await.unwrap();
        // Nothing has changed; what is told where it does is shown by the tests of `stackwire-socket`.
        let mut changes = any.watch().expect("a wildcard's addresses may change");
        assert!(futures::poll!(futures::StreamExt::next(&mut changes)).is_pending());
    }
    assert!(try_listen(&transport, WS).await.unwrap().watch().is_none(), "one address stays what it is");
}
