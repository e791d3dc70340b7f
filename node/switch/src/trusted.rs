//! Whom a network has connections with, by whom it trusts.
//!
//! Pure decisions: [`may_dial`] before a dial, [`may_have`] for a connection whose peer is proven, by whichever security
//! protocol.

use stackwire_config::Authentication;
use stackwire_core::{
    Claims, Multiaddr, PeerId, PublicKey, Reason, Refusal, Role,
    trust::{TrustedPeer, TrustedPeers},
};

/// Whether `address` may be dialed. `peer` is who should answer, if that is known; else the key that the address fixes
/// counts, if it does. Who is not known before is looked at when it is proven.
pub(crate) fn may_dial(
    authentication: Authentication,
    trusted: &TrustedPeers,
    peer: Option<&PeerId>,
    address: Option<&Multiaddr>,
) -> Result<(), Refusal> {
    if authentication == Authentication::Open {
        return Ok(());
    }
    let key = address.and_then(|address| address.fixed().noise_ik());
    let is_known = match (peer, key) {
        (Some(peer), key) => {
            let known = match PublicKey::of_peer(peer) {
                Some(identity) => trusted.of_identity(&identity),
                None => trusted.of_peer(peer),
            };
            // The key belongs to whoever the trusted set says, whatever the address calls it.
            known.is_some() || key.is_some_and(|key| trusted.holders(&key).next().is_some())
        }
        (None, Some(key)) => trusted.holders(&key).next().is_some(),
        (None, None) => return Ok(()),
    };
    if is_known {
        return Ok(());
    }
    let whom = peer.map_or_else(|| "the holder of this key".to_string(), |peer| format!("peer {peer}"));
    Err(Refusal::new(
        Reason::Untrusted,
        format!("{whom} is not trusted, and this network dials trusted peers only: add it to `trusted`"),
    ))
}

/// Whether there may be a connection with the peer that was proven as `key`, in which we have this role.
pub(crate) fn may_have(
    authentication: Authentication,
    trusted: &TrustedPeers,
    role: Role,
    key: &PublicKey,
    claims: &Claims,
) -> Result<(), Refusal> {
    let needed = match authentication {
        Authentication::Open => false,
        Authentication::ServerOnly => role == Role::Dialer,
        Authentication::Mutual => true,
    };
    if !needed || known(trusted, key, claims).is_some() {
        return Ok(());
    }
    let why =
        format!("peer {} is not trusted, and this network has trusted peers only: add it to `trusted`", key.peer_id());
    Err(Refusal::new(Reason::Untrusted, why))
}

fn known<'a>(trusted: &'a TrustedPeers, key: &PublicKey, claims: &Claims) -> Option<&'a TrustedPeer> {
    trusted.of_proven(key, claims.account.as_ref())
}

/// What a handshake has told, with the role that the trusted set gives to the peer that was proven as `key`. Where the
/// handshake has asked a set of its own, the more wanted role counts.
pub(crate) fn with_role(trusted: &TrustedPeers, key: &PublicKey, claims: Claims) -> Claims {
    let role = known(trusted, key, &claims).map_or(claims.role, |peer| claims.role.min(peer.role));
    claims.with_role(role)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stackwire_core::{Keypair, Trust, trust::PeerRole};

    use super::*;
    use Authentication::{Mutual, Open, ServerOnly};

    fn trusting(peers: impl IntoIterator<Item = TrustedPeer>) -> Arc<TrustedPeers> {
        let trust = Trust::default();
        trust.replace("tests", peers).unwrap();
        trust.current()
    }

    #[test]
    fn each_mode_has_whom_it_says() {
        let [friend, stranger] = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
        let trusted = trusting([TrustedPeer { peer: Some(friend.peer_id()), ..TrustedPeer::default() }]);
        for (mode, role, with_stranger) in [
            (Open, Role::Dialer, true),
            (Open, Role::Listener, true),
            (ServerOnly, Role::Dialer, false),
            (ServerOnly, Role::Listener, true),
            (Mutual, Role::Dialer, false),
            (Mutual, Role::Listener, false),
        ] {
            let may = |who: &Keypair| may_have(mode, &trusted, role, who.public(), &Claims::default());
            assert!(may(&friend).is_ok(), "{mode:?} {role:?}");
            assert_eq!(may(&stranger).is_ok(), with_stranger, "{mode:?} {role:?}");
            if let Err(refusal) = may(&stranger) {
                assert_eq!(refusal.reason, Reason::Untrusted);
            }
        }
        for (mode, strangers) in [(Open, true), (ServerOnly, false), (Mutual, false)] {
            let dial = |peer: Option<PeerId>| may_dial(mode, &trusted, peer.as_ref(), None).is_ok();
            assert!(dial(Some(friend.peer_id())) && dial(None), "{mode:?}");
            assert_eq!(dial(Some(stranger.peer_id())), strangers, "{mode:?}");
        }
    }

    #[test]
    fn a_key_in_an_address_counts_where_the_peer_is_not_known() {
        let friend = Keypair::ed25519_from_seed([1; 32]);
        let key = friend.public().x25519().unwrap();
        let trusted = trusting([TrustedPeer { keys: [key].into(), ..TrustedPeer::default() }]);
        let digits = |key: [u8; 32]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let at = |key| format!("/ip4/192.0.2.1/tcp/1/noise-ik/0x{}", digits(key)).parse::<Multiaddr>().unwrap();
        assert!(may_dial(Mutual, &trusted, None, Some(&at(key))).is_ok());
        assert!(may_dial(Mutual, &trusted, None, Some(&at([7; 32]))).is_err());
        assert!(may_dial(Mutual, &trusted, Some(&friend.peer_id()), None).is_ok(), "by the X25519 form of its key");
    }

    #[test]
    fn a_role_is_the_more_wanted_of_both() {
        let friend = Keypair::ed25519_from_seed([1; 32]);
        let of = |role| trusting([TrustedPeer { peer: Some(friend.peer_id()), role, ..TrustedPeer::default() }]);
        let told =
            |set: Arc<TrustedPeers>, said| with_role(&set, friend.public(), Claims::default().with_role(said)).role;
        assert_eq!(told(of(PeerRole::Validator), PeerRole::Unknown), PeerRole::Validator);
        assert_eq!(told(of(PeerRole::Known), PeerRole::Upstream), PeerRole::Upstream);
        assert_eq!(told(Arc::default(), PeerRole::Unknown), PeerRole::Unknown);
    }
}
