//! The laws of protectors, and the plug-in's registration.

use stackwire_conformance::{protector::Subject, protector_laws};
use stackwire_core::Layer;
use stackwire_plugin::Catalogue;
use stackwire_security_pnet::PnetConfig;

protector_laws!(Subject::of_plugin::<PnetConfig>);

#[test]
fn it_registers() {
    assert!(Catalogue::linked().unwrap().get(Layer::Protector, "pnet").is_ok());
}
