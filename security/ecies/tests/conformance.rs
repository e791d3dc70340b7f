//! `ecies` keeps the laws of the security layer: by its default options, and with either cipher and a key that changes
//! all the time.

use std::sync::Arc;

use stackwire_conformance::{security::Subject, security_laws};
use stackwire_plugin::Plugin;
use stackwire_security_ecies::{Cipher, Ecies, EciesConfig};

fn rekeying(cipher: Cipher) -> Subject {
    Subject { security: Arc::new(Ecies::new(cipher, 100)), capabilities: EciesConfig::SUMMARY.capabilities }
}

mod by_default {
    use super::*;

    security_laws!(Subject::of_plugin::<EciesConfig>);
}

mod rekeying_aes {
    use super::*;

    security_laws!(|| rekeying(Cipher::Aes256Gcm));
}

mod rekeying_chacha {
    use super::*;

    security_laws!(|| rekeying(Cipher::ChaCha20Poly1305));
}
