//! The options.

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, FileOption, Finding, Fixture, Parts, Plugin, Summary};

use crate::{NAME, WebSocket, tls};

/// Options of the `websocket` transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebSocketConfig {
    /// Send small writes at once (TCP_NODELAY) instead of waiting to fill a packet.
    pub nodelay: bool,
    /// Lets a listener on `/ip6/::` take IPv4 connections too, and reports its IPv4 addresses with the others. Default:
    /// false, so that `/ip4/0.0.0.0` and `/ip6/::` can be listened on side by side at one port. A listener that shares
    /// the port of a TCP listener has that one's.
    pub dual_stack: bool,
    /// The longest message accepted from a peer, in bytes, over all its fragments. A peer that announces a longer
    /// one is disconnected. Messages are passed on as they arrive, so this is no measure of memory.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_message_bytes: u64,
    /// TLS, for addresses with `/tls/ws` or `/wss`.
    pub tls: TlsConfig,
}

/// Options of the outer TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Listening: PEM file with the certificate chain, ours first. Checked with the config and when the node
    /// starts; read when listening starts. Without it a listener makes itself a certificate that no authority has
    /// signed: dialers then need `verify = false`.
    pub certificate: Option<PathBuf>,
    /// Listening: PEM file with the certificate's private key.
    pub private_key: Option<PathBuf>,
    /// Dialing: PEM file with further certificate authorities to trust, beside those of the web. Checked with
    /// the config and when the node starts; read at the first dial that needs TLS.
    pub ca: Option<PathBuf>,
    /// Dialing: check the listener's certificate. The security layer inside proves the peer in any case; what
    /// `false` gives up is that an onlooker in between cannot read the names of the inner protocols.
    pub verify: bool,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self { nodelay: true, dual_stack: false, max_message_bytes: 16 * 1024 * 1024, tls: TlsConfig::default() }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { certificate: None, private_key: None, ca: None, verify: true }
    }
}

impl Plugin for WebSocketConfig {
    const SUMMARY: Summary = Summary::new(Layer::Transport, NAME, "WebSocket over TCP, with and without TLS")
        .ids(&["/ws", "/tls/ws", "/wss"])
        .example(concat!(
            "nodelay = true                  # send small writes at once\n",
            "dual_stack = false              # listeners on /ip6/:: take IPv4 too\n",
            "max_message_bytes = 16777216    # the longest message accepted\n",
            "# tls.certificate = \"cert.pem\"  # listening; without, a self-signed one is made\n",
            "# tls.private_key = \"key.pem\"\n",
            "# tls.ca = \"ca.pem\"             # dialing: trust these authorities too\n",
            "tls.verify = true               # dialing: check certificates\n",
        ))
        .capabilities(Capabilities {
            notes: &[
                "half-close holds between Stackwire peers; other implementations answer a close frame at once, \
                 which ends both directions",
                "listeners without `tls.certificate` are self-signed: dialers need `tls.verify = false`",
            ],
            ..Capabilities::DEFAULT
        })
        .fixtures(&[
            Fixture { label: "ws", options: "", listen: "/ip4/127.0.0.1/tcp/0/ws" },
            Fixture { label: "wss", options: "tls.verify = false", listen: "/ip4/127.0.0.1/tcp/0/tls/ws" },
        ]);

    fn build(self) -> Result<Parts> {
        if self.max_message_bytes == 0 {
            return Err(invalid("`max_message_bytes` must be at least 1"));
        }
        match (&self.tls.certificate, &self.tls.private_key) {
            (Some(_), None) => return Err(invalid("`tls.certificate` needs `tls.private_key` beside it")),
            (None, Some(_)) => return Err(invalid("`tls.private_key` needs `tls.certificate` beside it")),
            _ => {}
        }
        Ok(Parts::new().transport(Arc::new(WebSocket::new(self))))
    }

    fn files(&mut self) -> Vec<FileOption<'_>> {
        let tls = &mut self.tls;
        let files = [
            FileOption::of("tls.certificate", &mut tls.certificate),
            FileOption::of("tls.private_key", &mut tls.private_key),
            FileOption::of("tls.ca", &mut tls.ca),
        ];
        files.into_iter().flatten().collect()
    }

    fn inspect(&self) -> Vec<Finding> {
        tls::inspect(&self.tls)
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(Kind::ConfigInvalid, message).at(Layer::Transport, NAME)
}

#[cfg(test)]
mod tests {
    use stackwire_plugin::Descriptor;

    use super::*;

    fn problem(options: &str) -> String {
        match Descriptor::of::<WebSocketConfig>("test").build_from(options) {
            Ok(_) => panic!("{options} was accepted"),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn the_example_and_the_fixtures_build() {
        let descriptor = Descriptor::of::<WebSocketConfig>("test");
        descriptor.build_from(WebSocketConfig::SUMMARY.example).map(drop).unwrap();
        for fixture in WebSocketConfig::SUMMARY.fixtures {
            descriptor.build_from(fixture.options).map(drop).unwrap();
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_fix() {
        assert!(problem("max_message_bytes = 0").contains("`max_message_bytes` is 0; it must be from 1 "));
        assert!(problem("tls.certificate = \"a.pem\"").contains("needs `tls.private_key`"));
        assert!(problem("tls.private_key = \"a.pem\"").contains("needs `tls.certificate`"));
        assert!(problem("nodelai = true").contains("did you mean `nodelay`"));
        assert!(problem("tls.verfy = true").contains("verfy"));
    }
}
