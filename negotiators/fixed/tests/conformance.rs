//! The laws of negotiators, for one that chooses nothing.

use std::sync::Arc;

use stackwire_conformance::{negotiator::NegotiatorUnderTest, negotiator_laws, pipes};
use stackwire_core::{Kind, Layer, Negotiator, ProtocolId, Role, SelectContext, Wait};
use stackwire_negotiator_fixed::{Fixed, FixedConfig};
use stackwire_plugin::{Catalogue, Plugin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn make() -> NegotiatorUnderTest {
    Arc::new(Fixed)
}

negotiator_laws!(make);

#[tokio::test]
async fn the_first_offer_is_taken_without_a_byte() {
    let offers = ["/noise", "/tls/1.0.0"].map(ProtocolId::new);
    for role in [Role::Dialer, Role::Listener] {
        for wait in [Wait::Agreed, Wait::Lazy] {
            let (a, mut b) = pipes::pair();
            let mut chosen = Fixed.select(a, SelectContext::new(role, &offers).waiting(wait)).await.unwrap();
            assert_eq!((chosen.index, chosen.round_trips), (0, 0));
            chosen.pipe.write_all(b"mine").await.unwrap();
            chosen.pipe.shutdown().await.unwrap();
            let mut sent = Vec::new();
            b.read_to_end(&mut sent).await.unwrap();
            assert_eq!(sent, b"mine");
        }
    }
}

#[tokio::test]
async fn nothing_can_be_taken_of_no_offers() {
    let (a, _b) = pipes::pair();
    let error = Fixed.select(a, SelectContext::new(Role::Dialer, &[])).await.map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");
    assert_eq!(error.layer(), Some(Layer::Negotiator));
}

#[test]
fn it_registers() {
    assert_eq!(FixedConfig::default().build().expect("it builds").negotiators.len(), 1);
    let catalogue = Catalogue::linked().unwrap();
    assert!(catalogue.get(Layer::Negotiator, "fixed").unwrap().summary.ids.is_empty());
}
