//! Dialers that have not proven who they are when the handshake is done: no connection of theirs leaves the upgrade.

use std::sync::Arc;

use stackwire_conformance::{in_time, pipes};
use stackwire_core::{Kind, Layer, PublicKey, Role, Stage, trust::TrustedPeer};
use stackwire_security_noise::{Authentication, NoiseIx, NoiseIxConfig};
use stackwire_upgrade::Upgrader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stacks::{arrived, error, key, negotiators, stack, start_at, upgrade_at, upgrade_over};

/// Addresses and negotiators by which a muxer is chosen, with a byte on the wire and without.
fn ways(security: &str) -> Vec<(String, &'static [&'static str])> {
    let mut ways = Vec::new();
    for names in [&["multistream"][..], &["libra"], &["fixed"], &["multistream", "fixed"]] {
        for muxer in ["", "/muxer/mplex"] {
            ways.push((format!("/memory/1{security}{muxer}"), names));
        }
    }
    ways
}

fn with(stack: Upgrader, names: &[&str]) -> Upgrader {
    // A negotiator that chooses nothing goes with one that chooses the protocols of streams.
    let names = if names == ["fixed"] { &["fixed", "multistream"] } else { names };
    Upgrader { negotiators: negotiators(names), ..stack }
}

/// Neither side opens a stream, and nothing but what the upgrade itself needs goes over the pipe.
#[tokio::test(start_paused = true)]
async fn honest_dialers_are_proven_whatever_chooses_the_muxer() {
    for (security, fixed) in [("noise-ix", ""), ("noise-ik", "/noise-ik"), ("noise-ix", "/security/noise-ix")] {
        for muxer in ["mplex", "yamux-ref"] {
            for (address, names) in ways(fixed) {
                let address = address.replace("mplex", muxer);
                let [listening, dialing] = [2, 1].map(|seed| with(stack(seed, &[security], &[muxer]), names));
                let dialed = match security {
                    "noise-ik" => {
                        let key = hex(&key(2).public().x25519().expect("an Ed25519 key has that form"));
                        address.replace("/noise-ik", &format!("/noise-ik/0x{key}"))
                    }
                    _ => address.clone(),
                };
                let [a, b] = arrived(upgrade_at(&dialed, &dialing, &listening).await);
                let x25519 = |seed| PublicKey::X25519(key(seed).public().x25519().expect("it has one"));
                assert_eq!((a.peer, b.peer), (x25519(2), x25519(1)), "{address} by {names:?}");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody tells the key of a peer that the config trusts, and then says nothing, nonsense, or good-bye.
#[tokio::test(start_paused = true)]
async fn nobody_is_connected_who_only_named_a_key() {
    let victim = key(9).public().x25519().expect("an Ed25519 key has that form");
    // e ‖ s, both public: no secret is known to who sends this.
    let message = [&[0, 64][..], &[9; 32], &victim].concat();
    let nonsense = [&message[..], &[0, 20], &[9; 20]].concat();
    for (address, names) in ways("").into_iter().chain(ways("/security/noise-ix")) {
        let negotiated = !address.contains("/security/");
        if negotiated && names[0] != "fixed" {
            // The same from here on, behind a negotiation of the security protocol that anybody can do.
            continue;
        }
        for (said, ends, wanted) in [
            (&message, false, Kind::Timeout { limit: crate::stacks::LIMIT }),
            (&message, true, Kind::Closed),
            (&nonsense, false, Kind::AuthenticationFailed),
        ] {
            let config = NoiseIxConfig { authentication: Authentication::Mutual, ..NoiseIxConfig::default() };
            let security = NoiseIx::new(config).expect("the config is fine");
            security
                .trusted()
                .replace("code", [TrustedPeer { keys: [victim].into(), ..TrustedPeer::default() }])
                .unwrap();
            let mut listener = with(stack(2, &[], &["mplex"]), names);
            listener.securities = vec![Arc::new(security)];
            let (ours, mut attacker) = pipes::pair();
            let attack = async {
                attacker.write_all(said).await.unwrap();
                attacker.flush().await.unwrap();
                if ends {
                    attacker.shutdown().await.unwrap();
                }
                let _until_they_give_up = attacker.read_to_end(&mut Vec::new()).await;
            };
            let upgrade = listener.upgrade(start_at(&address, &listener, Stage::Raw(ours), Role::Listener));
            let (upgraded, ()) = in_time("an attack", async { tokio::join!(upgrade, attack) }).await;
            let error = error(upgraded);
            assert_eq!(error.kind(), &wanted, "{address} by {names:?}: {error:?}");
            assert_eq!((error.layer(), error.plugin()), (Some(Layer::Security), Some("noise-ix")), "{error:?}");
        }
    }
}

/// All that a dialer of `noise-ik` ever said to a listener is said to it again.
#[tokio::test(start_paused = true)]
async fn nobody_is_connected_who_repeats_a_recording() {
    let public = hex(&key(2).public().x25519().expect("an Ed25519 key has that form"));
    for (names, muxer) in [(&["multistream"][..], ""), (&["fixed"], ""), (&["multistream"], "/muxer/mplex")] {
        let [dialing, listening] = [1, 2].map(|seed| with(stack(seed, &["noise-ik"], &["mplex"]), names));
        let address = format!("/memory/1/noise-ik/0x{public}{muxer}");
        let (a, mut from_a) = pipes::pair();
        let (mut to_b, b) = pipes::pair();
        let wire = tokio::spawn(async move {
            let (mut recorded, mut bytes) = (Vec::new(), vec![0; 4096]);
            let (mut down, mut up) = tokio::io::split(&mut to_b);
            let (mut of_dialer, mut to_dialer) = tokio::io::split(&mut from_a);
            let back = async { tokio::io::copy(&mut down, &mut to_dialer).await };
            let forth = async {
                while let Ok(n @ 1..) = of_dialer.read(&mut bytes).await {
                    recorded.extend_from_slice(&bytes[..n]);
                    if up.write_all(&bytes[..n]).await.is_err() || up.flush().await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! { _ = back => {}, () = forth => {} }
            recorded
        });
        drop(arrived(upgrade_over((a, b), &address, &dialing, &listening).await));
        let recorded = in_time("the end of the recording", wire).await.expect("the wire does not panic");
        assert!(recorded.len() > 168, "message 1, and what follows it");

        // The same node, whose next ephemeral key is another.
        let listening = Upgrader { env: stackwire_conformance::env_seeded(77), ..listening };
        let (ours, mut attacker) = pipes::pair();
        attacker.write_all(&recorded).await.unwrap();
        attacker.shutdown().await.unwrap();
        let upgrade = listening.upgrade(start_at(&address, &listening, Stage::Raw(ours), Role::Listener));
        let error = error(in_time("a replay", upgrade).await);
        assert_eq!(error.kind(), &Kind::AuthenticationFailed, "{address} by {names:?}: {error:?}");
    }
}
