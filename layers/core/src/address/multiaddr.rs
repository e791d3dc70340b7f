//! [`Multiaddr`]: the field's address, and the path it may fix.

use std::{cmp::Ordering, fmt, str::FromStr};

use multiaddr::Protocol;

use super::FixedPath;

/// An address: the parts a transport or a router reads, and the [`FixedPath`] that stands behind them, if any.
///
/// As text: `/ip4/192.0.2.1/tcp/4001`, `/unix/run/node.sock` (the rest is the path, from the root),
/// `/ip4/192.0.2.1/tcp/6180/noise-ik/0x…/handshake/0/p2p/…`. Parts are those of the multiaddr table; as bytes an
/// address has no fixed path, because nobody else would understand it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Multiaddr {
    parts: multiaddr::Multiaddr,
    fixed: FixedPath,
}

/// By the bytes of its parts, then by what it fixes: an order for tables, without a meaning.
impl Ord for Multiaddr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.as_ref().cmp(other.parts.as_ref()).then_with(|| self.fixed.cmp(&other.fixed))
    }
}

impl PartialOrd for Multiaddr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Multiaddr {
    /// The address of nothing.
    pub fn empty() -> Self {
        Self { parts: multiaddr::Multiaddr::empty(), fixed: FixedPath::default() }
    }

    /// The parts, without the fixed path.
    pub fn iter(&self) -> multiaddr::Iter<'_> {
        self.parts.iter()
    }

    /// Whether there are no parts.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a part. A `/p2p/…` stands behind the fixed path, everything else before it.
    pub fn push(&mut self, part: Protocol<'_>) {
        self.parts.push(part);
    }

    /// Takes the last part off.
    pub fn pop(&mut self) -> Option<Protocol<'static>> {
        self.parts.pop()
    }

    /// With one more part.
    pub fn with(mut self, part: Protocol<'_>) -> Self {
        self.push(part);
        self
    }

    /// Whether its last parts are those of `suffix`.
    pub fn ends_with(&self, suffix: &Multiaddr) -> bool {
        self.parts.ends_with(&suffix.parts)
    }

    /// What the address says about the layers above the transport.
    pub fn fixed(&self) -> &FixedPath {
        &self.fixed
    }

    /// With this fixed path instead of its own.
    pub fn with_fixed(mut self, fixed: FixedPath) -> Self {
        self.fixed = fixed;
        self
    }

    /// The parts alone: what a transport is given.
    pub fn without_fixed(&self) -> Self {
        Self { parts: self.parts.clone(), fixed: FixedPath::default() }
    }

    /// The bytes of the parts; a fixed path has none.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.to_vec()
    }
}

impl TryFrom<Vec<u8>> for Multiaddr {
    type Error = multiaddr::Error;
    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        multiaddr::Multiaddr::try_from(bytes).map(Self::from)
    }
}

impl From<multiaddr::Multiaddr> for Multiaddr {
    fn from(parts: multiaddr::Multiaddr) -> Self {
        Self { parts, fixed: FixedPath::default() }
    }
}

/// The parts alone, for code that speaks of addresses in the crate's own type.
impl From<Multiaddr> for multiaddr::Multiaddr {
    fn from(address: Multiaddr) -> Self {
        address.parts
    }
}

impl From<Protocol<'_>> for Multiaddr {
    fn from(part: Protocol<'_>) -> Self {
        Self::empty().with(part)
    }
}

impl<'a> FromIterator<Protocol<'a>> for Multiaddr {
    fn from_iter<I: IntoIterator<Item = Protocol<'a>>>(parts: I) -> Self {
        multiaddr::Multiaddr::from_iter(parts).into()
    }
}

impl<'a> IntoIterator for &'a Multiaddr {
    type Item = Protocol<'a>;
    type IntoIter = multiaddr::Iter<'a>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromStr for Multiaddr {
    type Err = multiaddr::Error;

    /// Reads the text form. Where a name could begin a fixed path, what stands before it must be an address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let segments: Vec<&str> = text.split('/').collect();
        // The peer comes last, behind the fixed path.
        let end = match segments.len().checked_sub(2) {
            Some(at) if at > 0 && segments[at] == "p2p" => at,
            _ => segments.len(),
        };
        for begin in 1..end {
            if !FixedPath::may_begin_with(segments[begin]) {
                continue;
            }
            let Some(fixed) = FixedPath::parse(&segments[begin..end]) else { continue };
            let rest = [&segments[..begin], &segments[end..]].concat();
            if let Ok(parts) = parse_parts(&rest)
                && !parts.is_empty()
            {
                return Ok(Self { parts, fixed });
            }
        }
        parse_parts(&segments).map(Self::from)
    }
}

/// Reads parts. A path in the file system takes all segments but a last `/p2p/…`.
fn parse_parts(segments: &[&str]) -> Result<multiaddr::Multiaddr, multiaddr::Error> {
    let ["", "unix", path @ ..] = segments else { return segments.join("/").parse() };
    let (path, peer) = match path {
        [path @ .., "p2p", peer] if !path.is_empty() => (path, Some(peer)),
        _ => (path, None),
    };
    if path.is_empty() || path.iter().any(|name| matches!(*name, "" | "." | "..")) {
        return Err(multiaddr::Error::InvalidMultiaddr);
    }
    let address = multiaddr::Multiaddr::empty().with(Protocol::Unix(path.join("/").into()));
    match peer {
        Some(peer) => {
            format!("/p2p/{peer}").parse().map(|peer: multiaddr::Multiaddr| address.iter().chain(&peer).collect())
        }
        None => Ok(address),
    }
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fixed.is_empty() {
            return self.parts.fmt(f);
        }
        let mut parts = self.parts.clone();
        match parts.pop() {
            Some(peer @ Protocol::P2p(_)) => {
                if !parts.is_empty() {
                    parts.fmt(f)?;
                }
                write!(f, "{}{peer}", self.fixed)
            }
            _ => write!(f, "{}{}", self.parts, self.fixed),
        }
    }
}

impl fmt::Debug for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
