//! The result of a dialer, as each suite wants it.

use std::time::Duration;

use serde_json::json;

use crate::{args::Dialect, output::ms};

/// What a dialer measured.
pub(super) struct Latency {
    /// From the beginning of the dial to the answer of the first ping.
    pub(super) handshake_plus_one_rtt: Duration,
    /// That ping.
    pub(super) ping: Duration,
}

impl Latency {
    /// In milliseconds, in the notation of a suite.
    pub(super) fn in_dialect(&self, dialect: Dialect) -> String {
        let (handshake, ping) = (ms(self.handshake_plus_one_rtt), ms(self.ping));
        match dialect {
            Dialect::UnifiedTesting => {
                format!("latency:\n  handshake_plus_one_rtt: {handshake:.3}\n  ping_rtt: {ping:.3}\n  unit: ms")
            }
            // The three l are the contract's.
            Dialect::TestPlans => json!({ "handshakePlusOneRTTMillis": handshake, "pingRTTMilllis": ping }).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_gets_its_notation() {
        let latency =
            Latency { handshake_plus_one_rtt: Duration::from_micros(12_500), ping: Duration::from_micros(250) };
        assert_eq!(
            latency.in_dialect(Dialect::UnifiedTesting),
            "latency:\n  handshake_plus_one_rtt: 12.500\n  ping_rtt: 0.250\n  unit: ms"
        );
        assert_eq!(
            latency.in_dialect(Dialect::TestPlans),
            r#"{"handshakePlusOneRTTMillis":12.5,"pingRTTMilllis":0.25}"#
        );
    }
}
