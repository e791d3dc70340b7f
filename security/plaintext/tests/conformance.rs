//! `plaintext` keeps the laws of the security layer that a protocol without security can keep.

use stackwire_conformance::{security::Subject, security_laws};
use stackwire_core::Layer;
use stackwire_plugin::Catalogue;
use stackwire_security_plaintext::PlaintextConfig;

security_laws!(Subject::of_plugin::<PlaintextConfig>);

#[test]
fn a_config_must_say_that_it_is_insecure() {
    let catalogue = Catalogue::linked().unwrap();
    let plaintext = catalogue.get(Layer::Security, "plaintext").unwrap();
    let refused = plaintext.build_from("").err().unwrap().to_string();
    assert!(refused.contains("`insecure = true`"), "names the fix: {refused}");
    assert!(plaintext.build_from("insecure = false").is_err());
    assert!(plaintext.build_from(plaintext.summary.example).is_ok(), "the example works");
}
