//! Who chooses, and what comes of preferences that differ.

use stackwire_conformance::{in_time, pipes};
use stackwire_core::{Chosen, Kind, Layer, Role, Stage};
use stackwire_upgrade::Upgrader;
use tokio::io::AsyncWriteExt;

use crate::stacks::{
    Both, arrived, chosen, chosen_by, error, negotiators, security, stack, start, upgrade, upgrade_over,
};

fn with(names: &[&str], stack: Upgrader) -> Upgrader {
    Upgrader { negotiators: negotiators(names), ..stack }
}

/// A listener with several negotiators tells by the first bytes which one a dialer speaks, however they are cut up, and
/// whichever it wants most itself.
#[tokio::test(start_paused = true)]
async fn a_listener_tells_negotiators_apart() {
    for order in [["multistream", "libra"], ["libra", "multistream"]] {
        for spoken in ["multistream", "libra"] {
            // One offer, which is not waited for, and several, which are.
            for (securities, muxers) in
                [(&["plaintext"][..], &["yamux-ref"][..]), (&["tls", "plaintext"], &["mplex", "yamux-ref"])]
            {
                for chunk in [None, Some(1)] {
                    let dialer = with(&[spoken], stack(1, securities, muxers));
                    let listener = with(&order, stack(2, &["plaintext"], &["yamux-ref"]));
                    let pipes = chunk.map_or_else(pipes::pair, pipes::pair_in_chunks);
                    for side in arrived(upgrade_over(pipes, "/memory/1", &dialer, &listener).await) {
                        assert_eq!(side.path.to_string(), "memory / plaintext / yamux-ref");
                        assert_eq!(chosen_by(&side.path, Layer::Security), spoken);
                        assert_eq!(chosen_by(&side.path, Layer::Muxer), spoken, "one negotiator a connection");
                        assert_eq!(
                            side.negotiators.names().next().expect("there is one"),
                            spoken,
                            "streams are chosen by the same"
                        );
                    }
                }
            }
        }
    }
}

/// A dialer uses its most wanted negotiator, also where it has others.
#[tokio::test(start_paused = true)]
async fn the_dialers_most_wanted_negotiator_is_used() {
    let dialer = with(&["libra", "multistream"], stack(1, &["noise"], &["mplex"]));
    let listener = with(&["multistream", "libra"], stack(2, &["noise"], &["mplex"]));
    for side in arrived(upgrade(&dialer, &listener).await) {
        assert_eq!(chosen_by(&side.path, Layer::Security), "libra");
        assert!(matches!(chosen(&side.path, Layer::Muxer), Chosen::InHandshake { .. }));
    }
}

/// `fixed`, listed last, takes what nobody else recognizes: a security handshake that begins right away. Streams are
/// chosen by one that can choose.
#[tokio::test(start_paused = true)]
async fn what_nobody_recognizes_is_for_fixed() {
    for security in ["noise", "tls", "plaintext"] {
        let dialer = with(&["fixed", "multistream"], stack(1, &[security], &["yamux-ref"]));
        let listener = with(&["multistream", "libra", "fixed"], stack(2, &[security], &["yamux-ref"]));
        for side in arrived(upgrade(&dialer, &listener).await) {
            assert_eq!(chosen_by(&side.path, Layer::Security), "fixed", "{security}");
            assert_eq!(side.negotiators.names().next().expect("there is one"), "multistream");
        }
        // The same listener serves those who negotiate.
        let dialer = with(&["libra"], stack(1, &["noise", security], &["yamux-ref"]));
        for side in arrived(upgrade(&dialer, &listener).await) {
            assert_eq!(chosen_by(&side.path, Layer::Security), "libra", "{security}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_begins_with_nothing_known_is_refused() {
    let listener = with(&["multistream", "libra"], stack(2, &["noise"], &["yamux-ref"]));
    for first in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x13/multistream/2.0.0\n", b"\x00\x22"] {
        let (mut a, b) = pipes::pair();
        a.write_all(first).await.unwrap();
        let upgrading = listener.upgrade(start(&listener, Stage::Raw(b), Role::Listener));
        let error = error(in_time("an upgrade", upgrading).await);
        assert!(error.violation().is_some(), "{first:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_cannot_choose_says_so() {
    let (a, _b) = pipes::pair();
    let nobody = with(&[], stack(1, &["noise"], &["yamux-ref"]));
    let error_of_nobody = error(nobody.upgrade(start(&nobody, Stage::Raw(a), Role::Dialer)).await);
    assert_eq!(error_of_nobody.kind(), &Kind::ConfigInvalid);

    let (dialer, listener) = (stack(1, &["noise"], &["mplex"]), stack(2, &["noise"], &["mplex"]));
    let (a, _) = upgrade(&with(&["fixed"], dialer), &with(&["fixed"], listener)).await;
    let error = error(a);
    assert_eq!(error.kind(), &Kind::ConfigInvalid);
    assert!(error.to_string().contains("the protocols of streams"), "{error}");
}

const NEGOTIATORS: [&str; 2] = ["multistream", "libra"];

/// Law 50. Lists that overlap, in orders that differ: the dialer's order decides, for every layer and way of choosing.
#[tokio::test(start_paused = true)]
async fn the_dialers_order_decides() {
    let cases: [(&[&str], &[&str], &str); 4] = [
        (&["tls", "noise", "plaintext"], &["plaintext", "noise"], "noise"),
        (&["plaintext", "noise"], &["tls", "noise", "plaintext"], "plaintext"),
        (&["noise", "tls"], &["tls", "noise"], "noise"),
        (&["tls", "noise"], &["noise", "tls"], "tls"),
    ];
    for negotiator in NEGOTIATORS {
        for (ours, theirs, expected) in cases {
            let dialer = with(&[negotiator], stack(1, ours, &["mplex", "yamux-ref"]));
            let listener = with(&[negotiator], stack(2, theirs, &["yamux-ref", "mplex"]));
            for side in arrived(upgrade(&dialer, &listener).await) {
                assert_eq!(side.path.to_string(), format!("memory / {expected} / mplex"), "{negotiator}");
            }
        }
    }
}

/// Both sides record what they themselves offered.
#[tokio::test(start_paused = true)]
async fn each_side_records_its_own_offers() {
    let dialer = stack(1, &["tls", "noise"], &["mplex"]);
    let listener = stack(2, &["noise", "plaintext"], &["mplex"]);
    let sides = arrived(upgrade(&dialer, &listener).await);
    for (side, names) in sides.iter().zip([["tls", "noise"], ["noise", "plaintext"]]) {
        let expected: Vec<_> = names.iter().map(|name| security(name).id()).collect();
        match chosen(&side.path, Layer::Security) {
            Chosen::Negotiated { offered, .. } => assert_eq!(**offered, *expected),
            other => panic!("{other}"),
        }
    }
}

/// Law 49. Lists without anything in common: both sides learn that, and of which layer.
#[tokio::test(start_paused = true)]
async fn disjoint_lists_are_told_to_both() {
    for negotiator in NEGOTIATORS {
        let dialer = with(&[negotiator], stack(1, &["noise", "plaintext"], &["mplex"]));
        let listener = with(&[negotiator], stack(2, &["tls"], &["mplex"]));
        let offered = ["noise", "plaintext"].map(|name| security(name).id().to_string());
        let (a, b): Both = upgrade(&dialer, &listener).await;
        for error in [error(a), error(b)] {
            assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered: o, .. } if *o == offered), "{error:?}");
            assert_eq!((error.layer(), error.plugin()), (Some(Layer::Negotiator), Some(negotiator)));
            assert!(error.to_string().contains("choosing a security protocol"), "{error}");
        }
    }
}

/// What Libra's protocol-select has no way to say: with one offer that is refused, only the listener knows why.
#[tokio::test(start_paused = true)]
async fn a_selection_refused_by_libra_is_a_closed_connection() {
    let dialer = with(&["libra"], stack(1, &["noise"], &["mplex"]));
    let listener = with(&["libra"], stack(2, &["tls"], &["mplex"]));
    let (a, b) = upgrade(&dialer, &listener).await;
    assert!(matches!(error(b).kind(), Kind::NoCommonProtocol { .. }));
    let error = error(a);
    assert!(matches!(error.kind(), Kind::Closed | Kind::Reset { .. }), "{error:?}");
}
