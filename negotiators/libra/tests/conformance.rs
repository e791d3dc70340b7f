//! The laws of negotiators, and the plug-in's registration.

use std::sync::Arc;

use stackwire_conformance::{negotiator::NegotiatorUnderTest, negotiator_laws};
use stackwire_core::Layer;
use stackwire_negotiator_libra::{Libra, LibraConfig};
use stackwire_plugin::{Catalogue, Plugin};

fn make() -> NegotiatorUnderTest {
    Arc::new(Libra)
}

negotiator_laws!(make);

#[test]
fn it_registers() {
    assert_eq!(LibraConfig::default().build().expect("it builds").negotiators.len(), 1);
    let catalogue = Catalogue::linked().unwrap();
    let summary = &catalogue.get(Layer::Negotiator, "libra").unwrap().summary;
    assert_eq!(summary.ids, ["/libra/protocol-interactive/1.0.0", "/libra/protocol-select/1.0.0"]);
}
