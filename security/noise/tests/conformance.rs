//! `noise`, `noise-ix` and `noise-ik` keep the laws of the security layer.

use stackwire_conformance::{security::Subject, security_laws};
use stackwire_security_noise::{NoiseConfig, NoiseIkConfig, NoiseIxConfig};

security_laws!(Subject::of_plugin::<NoiseConfig>);

mod ix {
    use super::*;
    security_laws!(Subject::of_plugin::<NoiseIxConfig>);
}

mod ik {
    use super::*;
    security_laws!(Subject::of_plugin::<NoiseIkConfig>);
}
