//! The channel binding "tls-exporter": RFC 9266, by the exporter of RFC 8446, section 7.5.
//!
//! rustls exports nothing from the state machine that we drive, but logs the secret that exports follow from.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{self, Digest},
    hkdf::{Algorithm, HKDF_SHA256, HKDF_SHA384, KeyType, Prk},
};
use parking_lot::Mutex;
use rustls::KeyLog;
use zeroize::Zeroizing;

/// RFC 9266, section 2.
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// The name of the exporter secret in key logs.
const SECRET: &str = "EXPORTER_SECRET";

/// Notes the exporter secret of one connection, and passes what is logged on.
pub(crate) struct Exporter {
    others: Arc<dyn KeyLog>,
    secret: Mutex<Zeroizing<Vec<u8>>>,
}

impl Exporter {
    /// For one connection, whose secrets go to `others`, too.
    pub(crate) fn new(others: Arc<dyn KeyLog>) -> Arc<Self> {
        Arc::new(Self { others, secret: Mutex::default() })
    }

    /// The binding of the connection. `None` before its handshake is complete.
    pub(crate) fn binding(&self) -> Option<[u8; 32]> {
        let secret = self.secret.lock();
        let (hash, hkdf) = match secret.len() {
            32 => (&digest::SHA256, HKDF_SHA256),
            48 => (&digest::SHA384, HKDF_SHA384),
            _ => return None,
        };
        let of_nothing = digest::digest(hash, &[]);
        let mut derived = Zeroizing::new(vec![0; secret.len()]);
        expand_label(hkdf, &secret, LABEL, &of_nothing, &mut derived)?;
        let mut binding = [0; 32];
        expand_label(hkdf, &derived, b"exporter", &of_nothing, &mut binding)?;
        Some(binding)
    }
}

impl KeyLog for Exporter {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if label == SECRET {
            *self.secret.lock() = Zeroizing::new(secret.to_vec());
        }
        if self.others.will_log(label) {
            self.others.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == SECRET || self.others.will_log(label)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label of RFC 8446, section 7.1.
fn expand_label(hkdf: Algorithm, secret: &[u8], label: &[u8], context: &Digest, out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_length = [u8::try_from(context.as_ref().len()).ok()?];
    let info = [&length[..], &label_length, PREFIX, label, &context_length, context.as_ref()];
    Prk::new_less_safe(hkdf, secret).expand(&info, Length(out.len())).ok()?.fill(out).ok()
}
