//! What both sides of a meeting are made of.

use std::fmt;

/// How bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// WebSocket over TCP.
    Ws,
    /// QUIC, which brings its own security and muxer along.
    Quic,
}

/// How identities are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Noise XX.
    Noise,
    /// TLS 1.3.
    Tls,
    /// Not at all.
    Plaintext,
    /// The transport's own.
    BuiltIn,
}

/// How streams share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muxer {
    /// Yamux.
    Yamux,
    /// Mplex.
    Mplex,
    /// The transport's own.
    BuiltIn,
}

/// One choice of every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The transport.
    pub transport: Transport,
    /// The security protocol.
    pub security: Security,
    /// The muxer.
    pub muxer: Muxer,
}

impl Stack {
    /// Where to listen.
    pub fn listen(&self) -> &'static str {
        match self.transport {
            Transport::Tcp => "/ip4/127.0.0.1/tcp/0",
            Transport::Ws => "/ip4/127.0.0.1/tcp/0/ws",
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        }
    }

    /// The config of a node of ours that is made of it.
    pub fn config(&self) -> String {
        let [transport, security, muxer] = self.names();
        let listen = self.listen();
        let security = match self.security {
            Security::BuiltIn => String::new(),
            Security::Plaintext => format!("[[security]]\nuse = \"{security}\"\ninsecure = true\n"),
            Security::Noise | Security::Tls => format!("[[security]]\nuse = \"{security}\"\n"),
        };
        let muxer = match self.muxer {
            Muxer::BuiltIn => String::new(),
            Muxer::Yamux | Muxer::Mplex => format!("[[muxer]]\nuse = \"{muxer}\"\n"),
        };
        // No pings of the node's own: rust-libp2p keeps one inbound ping stream, and a second resets the first.
        let ping = "[[protocol]]\nuse = \"ping\"\ninterval_secs = 0\n";
        let protocols = ["identify", "perf", "echo"].map(|name| format!("[[protocol]]\nuse = \"{name}\"\n"));
        let protocols = protocols.concat();
        format!(
            "[node]\nlisten = [\"{listen}\"]\n[[transport]]\nuse = \"{transport}\"\n{security}{muxer}{protocols}{ping}"
        )
    }

    fn names(&self) -> [&'static str; 3] {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Ws => "websocket",
            Transport::Quic => "quic",
        };
        let security = match self.security {
            Security::Noise => "noise",
            Security::Tls => "tls",
            Security::Plaintext => "plaintext",
            Security::BuiltIn => transport,
        };
        let muxer = match self.muxer {
            Muxer::Yamux => "yamux",
            Muxer::Mplex => "mplex",
            Muxer::BuiltIn => transport,
        };
        [transport, security, muxer]
    }
}

/// `tcp / noise / yamux`, as a path of ours reads.
impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" / "))
    }
}
