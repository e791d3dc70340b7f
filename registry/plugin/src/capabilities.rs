//! What an implementation can and cannot do, declared so that tests and people can know it before they run it.

use serde::Serialize;

/// What a plug-in can do. The default is that of a full citizen of its layer; a plug-in declares where it differs,
/// and the conformance suite then checks the declared behaviour instead of the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Transport: how high it reaches.
    pub reaches: Reach,
    /// Transport or muxer: streams have datagrams beside them.
    pub datagrams: bool,
    /// Transport: reaches only this process.
    pub in_process: bool,
    /// Security: proves or hides nothing an attacker could not forge or read; its config must say `insecure = true`.
    pub insecure: bool,
    /// Security: can agree on a muxer inside its handshake.
    pub muxer_in_handshake: bool,
    /// Security: proves an X25519 key, by which peers are known unless a trusted set names them otherwise or they were
    /// expected. Identities without such a form are refused.
    pub x25519_identity: bool,
    /// Muxer: a reader that stops reading stops only its own sender. Without: it resets that stream when its
    /// buffer is full, or holds up the connection.
    pub flow_control: bool,
    /// Muxer: the code of a reset reaches the peer. Without: the peer sees code 0.
    pub reset_codes: bool,
    /// Muxer: a reset is told from an end of stream also after we half-closed.
    pub reset_after_half_close: bool,
    /// Muxer: opening waits while too many of our streams are unacknowledged.
    pub ack_backlog: bool,
    /// Muxer: tells the peer when the connection closes on purpose.
    pub go_away: bool,
    /// Muxer: honours stream priorities.
    pub priorities: bool,
    /// Muxer: charges the memory that it holds to its connection's budget, and gives up the stream that holds most where
    /// that is over its limit. Without: only the windows of its options bound it.
    pub budget: bool,
    /// Anything else that a user should know, in words.
    pub notes: &'static [&'static str],
}

impl Capabilities {
    /// A full citizen, without what only some implementations have.
    pub const DEFAULT: Self = Self {
        reaches: Reach::Raw,
        datagrams: false,
        in_process: false,
        insecure: false,
        muxer_in_handshake: false,
        x25519_identity: false,
        flow_control: true,
        reset_codes: false,
        reset_after_half_close: true,
        ack_backlog: true,
        go_away: true,
        priorities: false,
        budget: true,
        notes: &[],
    };
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which rung of a connection a transport reaches by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// A byte channel: security and muxer are the stack's.
    #[default]
    Raw,
    /// A channel with a proven peer: the muxer is the stack's.
    Secured,
    /// Streams with a proven peer: nothing is left to choose.
    Multiplexed,
}

/// How a test makes a working instance: options, and for transports an address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fixture {
    /// What reports call it, such as `wss`.
    pub label: &'static str,
    /// Options as TOML.
    pub options: &'static str,
    /// Transports: where to listen. `{tmp}` stands for a fresh folder.
    pub listen: &'static str,
}
