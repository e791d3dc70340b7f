//! `noise` keeps the laws of the security layer.

use stackwire_conformance::{security::Subject, security_laws};
use stackwire_security_noise::NoiseConfig;

security_laws!(Subject::of_plugin::<NoiseConfig>);
