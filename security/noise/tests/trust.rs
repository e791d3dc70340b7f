//! `noise` with a trusted set.

mod ends;

use std::fs;

use ends::{End, config, digits, meet, refusal, x25519};
use stackwire_core::{Kind, Trust, trust::TrustedPeer};
use stackwire_plugin::{Descriptor, Plugin};
use stackwire_security_noise::{Noise, NoiseConfig, NoiseIkConfig, NoiseIxConfig};

fn noise(options: &str) -> Noise {
    Noise::with_config(config(options)).unwrap()
}

/// Whether the dialer and the listener are content.
async fn content((dialing, a): (&Noise, &End), (listening, b): (&Noise, &End)) -> [bool; 2] {
    let (dialer, listener) = meet((dialing, a), (listening, b)).await;
    if let (Err(error), _) | (Ok(_), Err(error)) = (&dialer, &listener) {
        assert!(matches!(error.kind(), Kind::AuthenticationFailed | Kind::Closed), "{error}");
    }
    [dialer.is_ok(), listener.is_ok()]
}

#[tokio::test]
async fn a_trusted_set_leaves_everyone_else_out() {
    let [a, b, c] = [1, 2, 3].map(End::new);
    let trusting = |end: &End| format!("trusted = [{{ peer = \"{}\" }}]", end.identity.peer_id());
    let open = Noise::new();
    assert!(open.trusted().is_none());
    let trusts_a = noise(&trusting(&a));
    assert_eq!(content((&open, &a), (&trusts_a, &b)).await, [true, true]);
    assert!(!content((&open, &c), (&trusts_a, &b)).await[1]);
    assert_eq!(content((&trusts_a, &b), (&open, &a)).await, [true, true]);
    assert_eq!(content((&trusts_a, &b), (&open, &c)).await, [false, false]);

    let server_only = noise(&format!("authentication = \"server-only\"\n{}", trusting(&a)));
    assert_eq!(content((&open, &c), (&server_only, &b)).await, [true, true], "anyone may dial");
    assert_eq!(content((&server_only, &b), (&open, &c)).await, [false, false], "not everyone is dialed");

    // The same peer by the X25519 form of its key, which is what the sets of the other two hold.
    let by_key = noise("trusted = []");
    assert!(!content((&open, &a), (&by_key, &b)).await[1], "an empty set is nobody");
    let key = TrustedPeer { keys: [x25519(&a.identity)].into(), ..TrustedPeer::default() };
    by_key.trusted().unwrap().replace("code", [key]).unwrap();
    assert_eq!(content((&open, &a), (&by_key, &b)).await, [true, true]);
}

/// What the node trusts counts beside what the options say, and restricts nobody who has no trusted set.
#[tokio::test]
async fn the_nodes_trusted_peers_count_too() {
    let [a, c] = [1, 3].map(End::new);
    let trust = Trust::default();
    let b = End::new(2).trusting(&trust);
    let [open, careful] = [Noise::new(), noise("trusted = []")];
    assert_eq!(content((&open, &a), (&open, &b)).await, [true, true]);
    assert!(!content((&open, &a), (&careful, &b)).await[1]);
    let peer = TrustedPeer { peer: Some(a.identity.peer_id()), ..TrustedPeer::default() };
    trust.replace("chain", [peer]).unwrap();
    assert_eq!(content((&open, &a), (&careful, &b)).await, [true, true]);
    assert!(!content((&open, &c), (&careful, &b)).await[1]);
    assert_eq!(content((&careful, &b), (&open, &a)).await, [true, true]);
    trust.replace("chain", []).unwrap();
    assert!(!content((&open, &a), (&careful, &b)).await[1]);
}

#[tokio::test(start_paused = true)]
async fn a_trusted_file_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.toml");
    let [a, b] = [1, 2].map(End::new);
    let (open, careful) = (Noise::new(), noise(&format!("trusted_file = {:?}", path.to_str().unwrap())));
    let (_, refused) = meet((&open, &a), (&careful, &b)).await;
    assert_eq!(refused.err().unwrap().kind(), &Kind::ConfigInvalid, "as long as there is no set, nobody is let in");

    let key = digits(&x25519(&a.identity));
    for (text, fine) in [
        (format!("[[trusted]]\npeer = \"{}\"\n", a.identity.peer_id()), true),
        ("# nobody\n".to_owned(), false),
        (format!("[[trusted]]\npeer = \"{}\"\nkeys = [\"{key}\"]\n", "0a".repeat(32)), true),
        ("[[trusted]".to_owned(), true),
    ] {
        fs::write(&path, &text).unwrap();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(content((&open, &a), (&careful, &b)).await[1], fine, "{text}");
    }
}

#[test]
fn options_that_make_no_sense_name_the_fix() {
    assert!(refusal::<NoiseConfig>("authentication = \"mutual\"").contains("`trusted`"));
    assert!(refusal::<NoiseConfig>("trusted = [{ peer = \"0x00000000000000000000000000000001\" }]").contains("`keys`"));
    assert!(refusal::<NoiseConfig>("key = \"1\"").contains("unknown key"));
}

#[test]
fn the_examples_are_configs() {
    fn check<P: Plugin>() {
        // As it is, and with every option that it shows.
        let shown: String =
            P::SUMMARY.example.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let options: String =
            shown.lines().filter(|line| line.contains(" = ")).map(|line| format!("{line}\n")).collect();
        for example in [P::SUMMARY.example, &options] {
            let built = Descriptor::of::<P>("tests").build_from(example);
            assert!(built.is_ok(), "{example}: {:?}", built.err());
        }
    }
    check::<NoiseConfig>();
    check::<NoiseIxConfig>();
    check::<NoiseIkConfig>();
}
