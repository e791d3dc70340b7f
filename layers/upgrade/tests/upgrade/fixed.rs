//! Addresses that fix layers: nothing is negotiated that they name.

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_conformance::{in_time, pipes};
use stackwire_core::{
    BoxPipe, Chosen, Kind, Layer, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext, Stage,
};
use stackwire_upgrade::Upgrader;
use tokio::io::AsyncReadExt;

use crate::stacks::{arrived, chosen, chosen_by, error, negotiators, security, stack, start_at, upgrade, upgrade_at};

/// Security and muxer are what the address says, whatever either side prefers.
#[tokio::test(start_paused = true)]
async fn what_the_address_names_is_used() {
    let dialer = stack(1, &["tls", "plaintext", "noise"], &["yamux-ref", "mplex"]);
    let listener = stack(2, &["plaintext", "noise", "tls"], &["yamux-ref", "mplex"]);
    for security in ["noise", "tls", "plaintext"] {
        let address = format!("/memory/1/security/{security}/muxer/mplex");
        for side in arrived(upgrade_at(&address, &dialer, &listener).await) {
            assert_eq!(side.path.to_string(), format!("memory / {security} / mplex"));
            assert_eq!(chosen(&side.path, Layer::Security), &Chosen::Address);
            assert_eq!(chosen(&side.path, Layer::Muxer), &Chosen::Address);
            assert_eq!(side.path.rung(Layer::Muxer).unwrap().round_trips, 0);
            assert_eq!(side.path.remote.to_string(), address);
            assert_eq!(side.negotiators.names().next().expect("there is one"), "multistream", "streams still need one");
        }
    }
}

/// Nothing is on the wire before the handshake itself: the first bytes are the length of Noise's first message.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_about_what_the_address_names() {
    let stack = stack(1, &["tls", "noise"], &["mplex"]);
    let (a, mut b) = pipes::pair();
    let upgrading = stack.upgrade(start_at("/memory/1/security/noise", &stack, Stage::Raw(a), Role::Dialer));
    let seen = async {
        let mut first = [0; 2];
        b.read_exact(&mut first).await.unwrap();
        drop(b);
        first
    };
    let (upgraded, first) = in_time("an upgrade", async { tokio::join!(upgrading, seen) }).await;
    assert_eq!(first, [0, 32]);
    assert!(upgraded.is_err());
}

/// What the address leaves open is negotiated.
#[tokio::test(start_paused = true)]
async fn what_the_address_leaves_open_is_negotiated() {
    let (dialer, listener) = (
        stack(1, &["noise", "plaintext"], &["mplex", "yamux-ref"]),
        stack(2, &["noise", "plaintext"], &["yamux-ref", "mplex"]),
    );
    for side in arrived(upgrade_at("/memory/1/security/plaintext", &dialer, &listener).await) {
        assert_eq!(side.path.to_string(), "memory / plaintext / mplex");
        assert_eq!(chosen_by(&side.path, Layer::Muxer), "multistream");
    }
    for side in arrived(upgrade_at("/memory/1/muxer/yamux-ref", &dialer, &listener).await) {
        assert_eq!(side.path.to_string(), "memory / noise / yamux-ref");
        assert_eq!(chosen_by(&side.path, Layer::Security), "multistream");
        assert_eq!(chosen(&side.path, Layer::Muxer), &Chosen::Address);
    }
}

#[tokio::test(start_paused = true)]
async fn the_address_may_name_the_negotiator() {
    let two = |stack| Upgrader { negotiators: negotiators(&["multistream", "libra"]), ..stack };
    let dialer = two(stack(1, &["plaintext"], &["mplex"]));
    let listener = two(stack(2, &["plaintext"], &["mplex"]));
    for side in arrived(upgrade_at("/memory/1/negotiator/libra", &dialer, &listener).await) {
        assert_eq!(chosen_by(&side.path, Layer::Security), "libra");
        assert_eq!(chosen_by(&side.path, Layer::Muxer), "libra");
        assert_eq!(side.negotiators.names().next().expect("there is one"), "libra");
    }
}

/// A name that the stack does not have is told, with what it has; neither side waits for the other.
#[tokio::test(start_paused = true)]
async fn names_that_are_not_there_are_told() {
    let full = stack(2, &["noise", "tls"], &["mplex", "yamux-ref"]);
    for (address, unknown, have) in [
        ("/memory/1/security/nosuch", "security `nosuch`", "noise, tls"),
        ("/memory/1/security/noise/muxer/nosuch", "muxer `nosuch`", "mplex, yamux-ref"),
        ("/memory/1/negotiator/nosuch", "negotiator `nosuch`", "multistream"),
        ("/memory/1/noise-ik/handshake/0", "security `noise-ik`", "noise, tls"),
    ] {
        let (a, b) = upgrade_at(address, &full, &full).await;
        for error in [error(a), error(b)] {
            assert_eq!(error.kind(), &Kind::Unsupported, "{address}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(unknown) && text.contains(have), "{address}: {text}");
        }
    }
}

/// A protocol that can't be one of several offers.
struct OnlyByAddress(Arc<dyn Security>);

#[async_trait]
impl Security for OnlyByAddress {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn id(&self) -> ProtocolId {
        self.0.id()
    }
    fn negotiable(&self) -> bool {
        false
    }
    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        self.0.handshake(pipe, role, context).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_negotiated_is_used_where_the_address_names_it() {
    let only = |seed, others: &[&str]| {
        let mut stack = stack(seed, others, &["mplex"]);
        stack.securities.insert(0, Arc::new(OnlyByAddress(security("noise"))));
        stack
    };
    for side in arrived(upgrade_at("/memory/1/security/noise", &only(1, &["tls"]), &only(2, &["tls"])).await) {
        assert_eq!(side.path.to_string(), "memory / noise / mplex");
    }
    for side in arrived(upgrade(&only(1, &["tls"]), &only(2, &["tls"])).await) {
        assert_eq!(side.path.to_string(), "memory / tls / mplex");
        match chosen(&side.path, Layer::Security) {
            Chosen::Negotiated { offered, .. } => assert_eq!(**offered, [security("tls").id()]),
            other => panic!("{other}"),
        }
    }
    let (a, b) = upgrade(&only(1, &[]), &only(2, &[])).await;
    for error in [error(a), error(b)] {
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains("into the address"), "{error}");
    }
}
