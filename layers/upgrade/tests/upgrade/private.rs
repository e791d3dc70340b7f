//! Private networks: the rung below all others.

use stackwire_core::{Chosen, Kind, Layer};
use stackwire_upgrade::Upgrader;

use crate::stacks::{arrived, chosen, error, negotiators, network, stack, upgrade, upgrade_at};

fn within(networks: &[u8], stack: Upgrader) -> Upgrader {
    Upgrader { protectors: networks.iter().map(|number| network(*number)).collect(), ..stack }
}

#[tokio::test(start_paused = true)]
async fn a_private_network_is_part_of_the_path() {
    let dialer = within(&[1], stack(1, &["noise"], &["mplex"]));
    let listener = within(&[1], stack(2, &["noise"], &["mplex"]));
    for side in arrived(upgrade(&dialer, &listener).await) {
        assert_eq!(side.path.to_string(), "memory / pnet / noise / mplex");
        assert_eq!(chosen(&side.path, Layer::Protector), &Chosen::Config);
        assert_eq!(side.path.rung(Layer::Protector).unwrap().round_trips, 0);
    }
}

/// Whatever is chosen above, and however: a network in a network, several negotiators, a fixed path.
#[tokio::test(start_paused = true)]
async fn everything_above_works_in_a_private_network() {
    let member = |seed| Upgrader {
        negotiators: negotiators(&["libra", "multistream", "fixed"]),
        ..within(&[1, 2], stack(seed, &["tls", "noise", "plaintext"], &["mplex", "yamux-ref"]))
    };
    for (address, path) in [
        ("/memory/1", "memory / pnet / pnet / tls / mplex"),
        ("/memory/1/negotiator/multistream", "memory / pnet / pnet / tls / mplex"),
        ("/memory/1/security/plaintext/muxer/yamux-ref", "memory / pnet / pnet / plaintext / yamux-ref"),
    ] {
        for side in arrived(upgrade_at(address, &member(1), &member(2)).await) {
            assert_eq!(side.path.to_string(), path);
        }
    }
}

/// Two networks, or a member and an outsider: both upgrades fail, within their time.
#[tokio::test(start_paused = true)]
async fn who_is_not_in_the_network_gets_nowhere() {
    let cases: [(&[u8], &[u8]); 4] = [(&[1], &[2]), (&[1], &[]), (&[], &[1]), (&[1, 2], &[2, 1])];
    for (ours, theirs) in cases {
        for names in [&["multistream"][..], &["libra", "multistream"], &["fixed", "multistream"]] {
            for securities in [&["noise"][..], &["tls", "noise"]] {
                let outside = |seed, networks| Upgrader {
                    negotiators: negotiators(names),
                    ..within(networks, stack(seed, securities, &["mplex"]))
                };
                let (a, b) = upgrade(&outside(1, ours), &outside(2, theirs)).await;
                for error in [error(a), error(b)] {
                    let fits = matches!(
                        error.kind(),
                        Kind::PeerMisbehaved(_)
                            | Kind::AuthenticationFailed
                            | Kind::Closed
                            | Kind::Reset { .. }
                            | Kind::Timeout { .. }
                    );
                    assert!(fits, "{ours:?} {theirs:?} {names:?}: {error:?}");
                }
            }
        }
    }
}
