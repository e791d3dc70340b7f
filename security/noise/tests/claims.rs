//! What handshakes tell beside keys.

mod ends;

use ends::{End, config, digits, meet, x25519};
use stackwire_core::{
    Claims, Security, Trust,
    address::{Fixed, FixedPath},
    trust::{AccountId, PeerRole, TrustedPeer},
};
use stackwire_security_noise::{Noise, NoiseIk, NoiseIx};

fn noise(options: &str) -> NoiseIk {
    NoiseIk::new(config(options)).unwrap()
}

/// What each side is told of the other: its account, its role by the trusted set, and what the handshake agreed on.
#[tokio::test]
async fn both_sides_learn_account_role_and_protocols() {
    let [a, b] = [1, 2].map(|seed| End::new(seed).fixed([Fixed::Handshake(0)]));
    let account = "0a".repeat(32);
    let list = |account: &str, end: &End, role: &str| {
        let key = digits(&x25519(&end.identity));
        format!("trusted = [{{ peer = \"0x{account}\", keys = [\"{key}\"], role = \"{role}\" }}]")
    };
    let dialing = noise(&format!(
        "account = \"{account}\"\n{}\nhandshake = {{ network = \"vfn\", protocols = [5, 8] }}",
        list(&"0b".repeat(32), &b, "validator"),
    ));
    let listening = noise(&format!(
        "{}\nhandshake = {{ network = \"vfn\", protocols = [3, 8] }}",
        list(&account, &a, "validator-full-node"),
    ));
    let dialer =
        End { fixed: FixedPath::new([Fixed::Handshake(0)].into_iter().chain(listening.address(&b.identity))), ..a };
    let (up, down) = meet((&dialing, &dialer), (&listening, &b)).await;
    let said = Claims::default().with_chain(4, Some("vfn".into())).with_protocols(["/handshake/0/8".into()]);
    let of = |digits: &str, role| said.clone().with_account(digits.parse::<AccountId>().unwrap()).with_role(role);
    assert_eq!(up.unwrap().claims, of(&"0b".repeat(32), PeerRole::Validator));
    assert_eq!(down.unwrap().claims, of(&account, PeerRole::ValidatorFullNode));

    // Nobody in particular, and no application handshake.
    let plain = End::new(1).fixed(noise("").address(&b.identity));
    let (_, down) = meet((&noise(""), &plain), (&noise("peer_id = 32"), &End::new(2))).await;
    let key = x25519(&plain.identity);
    assert_eq!(down.unwrap().claims, Claims::default().with_account(AccountId::of_key(&key, 32)));
}

/// Where there are no accounts the set still says what a peer is, whoever supplies it.
#[tokio::test]
async fn ix_and_xx_learn_the_role() {
    let trust = Trust::default();
    let [a, b] = [1, 2].map(|seed| End::new(seed).trusting(&trust));
    let downstream = TrustedPeer {
        keys: [x25519(&a.identity)].into(),
        peer: Some(a.identity.peer_id()),
        role: PeerRole::Downstream,
        ..TrustedPeer::default()
    };
    trust.replace("chain", [downstream]).unwrap();
    let ix = NoiseIx::new(config("")).unwrap();
    for security in [&Noise::new() as &dyn Security, &ix] {
        let (up, down) = meet((security, &a), (security, &b)).await;
        let name = security.name();
        assert_eq!(up.unwrap().claims, Claims::default(), "{name}: nobody knows the listener");
        assert_eq!(down.unwrap().claims, Claims::default().with_role(PeerRole::Downstream), "{name}");
    }
}
