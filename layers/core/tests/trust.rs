//! Trusted peers of several sources.

use std::pin::pin;

use futures::poll;
use stackwire_core::{
    Keypair, Kind, PublicKey,
    trust::{AccountId, PeerRole, Roles, Trust, TrustedPeer},
};

fn account(byte: u8) -> AccountId {
    AccountId::new(&[byte; 32]).unwrap()
}

fn of(account: AccountId, keys: &[u8]) -> TrustedPeer {
    let keys = keys.iter().map(|byte| [*byte; 32]).collect();
    TrustedPeer { account: Some(account), keys, ..TrustedPeer::default() }
}

fn anonymous(key: u8) -> TrustedPeer {
    TrustedPeer { keys: [[key; 32]].into(), ..TrustedPeer::default() }
}

/// Whether somebody has each of these keys.
fn has(trust: &Trust, keys: [u8; 3]) -> [bool; 3] {
    let peers = trust.current();
    keys.map(|key| peers.holders(&[key; 32]).next().is_some())
}

#[test]
fn entries_of_one_account_are_one_peer_whatever_lists_them() {
    let identity = Keypair::ed25519_from_seed([1; 32]);
    let second = TrustedPeer { peer: Some(identity.peer_id()), role: PeerRole::Validator, ..of(account(1), &[12]) };
    let third = TrustedPeer { role: PeerRole::Downstream, ..of(account(1), &[13]) };
    let trust = Trust::default();
    trust.replace("file", [of(account(1), &[11]), second]).unwrap();
    trust.replace("chain", [third, anonymous(14)]).unwrap();
    let peers = trust.current();
    assert_eq!((peers.len(), peers.iter().count()), (2, 2));
    let found = peers.of_account(&account(1)).unwrap();
    assert_eq!((found.keys.len(), found.role), (3, PeerRole::Validator), "the first role that says something");
    assert_eq!(peers.of_peer(&identity.peer_id()), Some(found));
    assert_eq!(peers.of_identity(identity.public()), Some(found));
    assert_eq!(peers.of_identity(&PublicKey::X25519([13; 32])), Some(found));
    assert_eq!(peers.of_identity(&PublicKey::X25519([14; 32])).unwrap().role, PeerRole::Known);
    assert_eq!(peers.of_account(&account(2)), None);
}

#[test]
fn each_source_replaces_its_own_part() {
    let trust = Trust::default();
    let (clone, nothing) = (trust.clone(), trust.current());
    trust.replace("file", [anonymous(1)]).unwrap();
    trust.replace("chain", [anonymous(2)]).unwrap();
    let before = trust.current();
    trust.replace("chain", [anonymous(3)]).unwrap();
    assert_eq!(has(&clone, [1, 2, 3]), [true, false, true], "every clone sees it");
    assert!(before.holders(&[2; 32]).next().is_some(), "who has a state keeps it");
    trust.replace("file", []).unwrap();
    assert_eq!(has(&clone, [1, 2, 3]), [false, false, true]);
    trust.replace("chain", []).unwrap();
    assert!(clone.current().is_empty() && nothing.is_empty());
}

#[tokio::test]
async fn a_newer_state_can_be_waited_for() {
    let trust = Trust::default();
    let seen = trust.current().revision();
    let mut waiting = pin!(trust.changed(seen));
    assert!(poll!(waiting.as_mut()).is_pending());
    trust.replace("chain", [anonymous(1)]).unwrap();
    trust.replace("chain", [anonymous(2)]).unwrap();
    let newest = waiting.await;
    assert_eq!(newest.revision(), seen + 2);
    assert!(newest.holders(&[2; 32]).next().is_some());
    assert_eq!(trust.changed(seen).await.revision(), seen + 2, "whoever comes late does not wait");
}

#[test]
fn too_much_is_refused_and_changes_nothing() {
    let trust = Trust::default();
    trust.replace("chain", [anonymous(1)]).unwrap();
    let refused = |source: &str, peers: Vec<TrustedPeer>| {
        let error = trust.replace(source, peers).unwrap_err();
        assert!(matches!(error.kind(), Kind::LimitExceeded { .. }), "{error}");
        assert_eq!(has(&trust, [1, 2, 3]), [true, false, false]);
    };
    refused("chain", vec![TrustedPeer::default(); 100_001]);
    refused("file", vec![TrustedPeer::default(); 100_000]);
    refused("chain", vec![of(account(1), &(0..65).collect::<Vec<u8>>())]);
    for source in 0..15 {
        trust.replace(&format!("source {source}"), [anonymous(9)]).unwrap();
    }
    refused("one more", vec![anonymous(2)]);
    trust.replace("source 3", []).unwrap();
    trust.replace("one more", [anonymous(2)]).unwrap();
}

#[test]
fn roles_have_an_order_and_names() {
    assert!(PeerRole::ALL.is_sorted());
    for role in PeerRole::ALL {
        assert_eq!(role.name().parse::<PeerRole>().unwrap(), role);
        assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        assert_eq!(role.is_specific(), !matches!(role, PeerRole::Known | PeerRole::Unknown));
    }
    let error = "king".parse::<PeerRole>().unwrap_err();
    assert_eq!(error.kind(), &Kind::ConfigInvalid);
    assert!(error.to_string().contains("validator-full-node"), "{error}");
}

#[test]
fn account_ids_are_read_and_shown_as_digits() {
    let id: AccountId = "0x00abFF".parse().unwrap();
    assert_eq!((id.as_bytes(), id.to_string()), (&[0, 0xab, 0xff][..], "0x00abff".to_owned()));
    assert_eq!("00abff".parse::<AccountId>().unwrap(), id);
    assert_eq!(AccountId::of_key(&[7; 32], 16).as_bytes(), [7; 16]);
    for wrong in ["", "0x", "abc", "0xzz", "é", &"00".repeat(65)] {
        assert_eq!(wrong.parse::<AccountId>().unwrap_err().kind(), &Kind::ConfigInvalid, "{wrong}");
    }
    assert!(AccountId::new(&[]).is_err() && AccountId::new(&[0; 64]).is_ok() && AccountId::new(&[0; 65]).is_err());
}

#[test]
fn own_roles_have_a_place_among_the_others() {
    let roles = Roles::new(["boss", "validator", "sequencer", "prover", "upstream", "archive"]).unwrap();
    assert_eq!(
        roles.names(),
        [
            "boss",
            "validator",
            "sequencer",
            "prover",
            "preferred-upstream",
            "upstream",
            "archive",
            "validator-full-node",
            "downstream",
            "known",
            "unknown"
        ]
    );
    let role = |name| roles.get(name).unwrap();
    assert!(role("archive").is_specific() && role("sequencer").to_string() == "sequencer");
    assert_eq!((roles.get("seqencer"), role("validator")), (None, PeerRole::Validator));
    let again = Roles::new(["validator", "sequencer"]).unwrap();
    assert_ne!(again.get("sequencer"), roles.get("sequencer"), "another place is another role");
    for (order, wrong) in [
        (vec!["upstream", "validator"], "`validator` is always more wanted than `upstream`"),
        (vec!["a", "a"], "named twice"),
        (vec!["known"], "always comes last"),
        (vec!["Sequencer"], "is no name of a role"),
        (vec![""], "is no name of a role"),
    ] {
        let error = Roles::new(order).unwrap_err();
        assert!(error.kind() == &Kind::ConfigInvalid && error.to_string().contains(wrong), "{error}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("r{n}")).collect();
    let error = Roles::new(many.iter().map(String::as_str)).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { .. }));
}

#[test]
fn who_names_an_account_must_have_its_key() {
    let [ours, other] = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
    let key = |identity: &Keypair| identity.public().x25519().unwrap();
    let trust = Trust::default();
    let with_account = TrustedPeer { account: Some(account(1)), keys: [key(&ours)].into(), ..TrustedPeer::default() };
    let without = TrustedPeer { peer: Some(other.peer_id()), ..TrustedPeer::default() };
    trust.replace("tests", [with_account, without]).unwrap();
    let peers = trust.current();
    let trusts =
        |identity: &Keypair, account: Option<AccountId>| peers.of_proven(identity.public(), account.as_ref()).is_some();
    assert!(trusts(&ours, Some(account(1))) && trusts(&ours, None));
    assert!(!trusts(&other, Some(account(1))), "the account of somebody else");
    assert!(!trusts(&ours, Some(account(2))), "its key belongs to an account, and it names another");
    assert!(trusts(&other, Some(account(2))) && trusts(&other, None), "it is trusted under no account");
}
