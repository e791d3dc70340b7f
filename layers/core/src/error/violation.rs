//! What a peer did wrong.

use std::fmt;

use serde::Serialize;

/// The kind of rule that a peer broke, for those who count and score misbehaviour. The error's text says which rule it was.
///
/// What a handshake can't prove is [`Kind::AuthenticationFailed`](super::Kind), since somebody in between may have
/// altered it, and what only one side knows is `Unsupported` or `NoCommonProtocol`: none of these is a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Violation {
    /// What arrived can't be read: a form, type, flag or value that the protocol does not have.
    Malformed,
    /// The bytes ended within a message. A peer that crashes does this too.
    Truncated,
    /// A message, list or number is larger than the protocol or the config allows.
    TooLarge,
    /// A message or frame that is not allowed in this state, such as data after the end or an answer without a question.
    OutOfOrder,
    /// An answer that is not one to the question, such as other bytes in an echo or a choice that was not offered.
    WrongAnswer,
    /// More data, streams or credit than the window allows.
    FlowControl,
    /// Too many of something that costs us work and carries nothing, such as empty frames.
    Flood,
    /// A proof, or a key that a proof is about, does not fit the peer: somebody else's record, a wrong hash.
    BadProof,
    /// Another rule, or one that the library which found it does not name.
    Other,
}

impl Violation {
    /// The violation's stable name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Violation::Malformed => "malformed",
            Violation::Truncated => "truncated",
            Violation::TooLarge => "too_large",
            Violation::OutOfOrder => "out_of_order",
            Violation::WrongAnswer => "wrong_answer",
            Violation::FlowControl => "flow_control",
            Violation::Flood => "flood",
            Violation::BadProof => "bad_proof",
            Violation::Other => "other",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
