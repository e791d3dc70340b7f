//! The laws of the security layer.

use stackwire_conformance::{security::Subject, security_laws};
use stackwire_security_tls::TlsConfig;

security_laws!(Subject::of_plugin::<TlsConfig>);
