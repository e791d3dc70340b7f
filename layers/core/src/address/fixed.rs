//! What an address may say about the layers above the transport.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Serialize, Serializer};

/// One step of a [`FixedPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fixed {
    /// `/noise-ik/0x<64 hex digits>`: Noise IK with this static key of the listener. Diem spells it `/ln-noise-ik`.
    /// In a listen address the key is left out: it is the listener's own.
    NoiseIk(Option<[u8; 32]>),
    /// `/handshake/<n>`: Diem's application handshake of this version. Diem spells it `/ln-handshake`.
    Handshake(u8),
    /// `/security/<name>`: this security plug-in, by its config name.
    Security(String),
    /// `/muxer/<name>`: this muxer, by its config name.
    Muxer(String),
    /// `/negotiator/<name>`: choices that the address leaves open are negotiated by this plug-in.
    Negotiator(String),
}

/// The plug-ins an address fixes: what it names costs no negotiation and nothing on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FixedPath {
    steps: Vec<Fixed>,
}

impl FixedPath {
    /// A path that fixes nothing.
    pub const EMPTY: Self = Self { steps: Vec::new() };

    /// A path of these steps.
    pub fn new(steps: impl IntoIterator<Item = Fixed>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// Whether it fixes nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Fixed] {
        &self.steps
    }

    /// With `step`, in the place of the one that settles the same.
    pub fn with(&self, step: Fixed) -> Self {
        let mut steps = self.steps.clone();
        match steps.iter_mut().find(|earlier| slot(earlier) == slot(&step)) {
            Some(earlier) => *earlier = step,
            None => steps.push(step),
        }
        Self { steps }
    }

    /// The security plug-in it names.
    pub fn security(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Fixed::NoiseIk(_) => Some("noise-ik"),
            Fixed::Security(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The muxer it names.
    pub fn muxer(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Fixed::Muxer(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The negotiator it names.
    pub fn negotiator(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Fixed::Negotiator(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The listener's static key, where the path names it.
    pub fn noise_ik(&self) -> Option<[u8; 32]> {
        self.steps.iter().find_map(|step| match step {
            Fixed::NoiseIk(key) => *key,
            _ => None,
        })
    }

    /// The version of Diem's handshake, where the path asks for one.
    pub fn handshake(&self) -> Option<u8> {
        self.steps.iter().find_map(|step| match step {
            Fixed::Handshake(version) => Some(*version),
            _ => None,
        })
    }

    pub(super) fn may_begin_with(segment: &str) -> bool {
        matches!(
            segment,
            "noise-ik" | "ln-noise-ik" | "handshake" | "ln-handshake" | "security" | "muxer" | "negotiator"
        )
    }

    /// The path that takes all of these segments, each layer at most once.
    pub(super) fn parse(mut segments: &[&str]) -> Option<Self> {
        let mut path = Self::default();
        loop {
            let (step, rest) = match segments {
                [] => return Some(path),
                ["noise-ik" | "ln-noise-ik", rest @ ..] => match rest {
                    [key, rest @ ..] if key_of(key).is_some() => (Fixed::NoiseIk(key_of(key)), rest),
                    _ => (Fixed::NoiseIk(None), rest),
                },
                ["handshake" | "ln-handshake", version, rest @ ..] => (Fixed::Handshake(version.parse().ok()?), rest),
                ["security", name, rest @ ..] if is_name(name) => (Fixed::Security(name.to_string()), rest),
                ["muxer", name, rest @ ..] if is_name(name) => (Fixed::Muxer(name.to_string()), rest),
                ["negotiator", name, rest @ ..] if is_name(name) => (Fixed::Negotiator(name.to_string()), rest),
                _ => return None,
            };
            if path.steps.iter().any(|earlier| slot(earlier) == slot(&step)) {
                return None;
            }
            path.steps.push(step);
            segments = rest;
        }
    }
}

/// What a step settles; a path settles each but once.
fn slot(step: &Fixed) -> u8 {
    match step {
        Fixed::NoiseIk(_) | Fixed::Security(_) => 0,
        Fixed::Handshake(_) => 1,
        Fixed::Muxer(_) => 2,
        Fixed::Negotiator(_) => 3,
    }
}

/// What a plug-in may be called.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn key_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let mut key = [0; 32];
    if digits.len() != 2 * key.len() {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode_mut(digits, &mut key).ok().map(|_| key)
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fixed::NoiseIk(None) => f.write_str("/noise-ik"),
            Fixed::NoiseIk(Some(key)) => {
                write!(f, "/noise-ik/0x{}", HEXLOWER_PERMISSIVE.encode_display(key))
            }
            Fixed::Handshake(version) => write!(f, "/handshake/{version}"),
            Fixed::Security(name) => write!(f, "/security/{name}"),
            Fixed::Muxer(name) => write!(f, "/muxer/{name}"),
            Fixed::Negotiator(name) => write!(f, "/negotiator/{name}"),
        }
    }
}

impl fmt::Display for FixedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| step.fmt(f))
    }
}

impl Serialize for FixedPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::address::{parse, split_peer};

    const KEY: &str = "22222222222222222222222222222222222222222222222222222222222222aa";

    #[test]
    fn fixed_paths_are_read_and_written() {
        let text = format!("/ip4/10.0.0.16/tcp/6180/noise-ik/0x{KEY}/handshake/0");
        let address = parse(&text).unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(address.fixed().security(), Some("noise-ik"));
        assert_eq!(address.fixed().handshake(), Some(0));
        assert_eq!(address.without_fixed().to_string(), "/ip4/10.0.0.16/tcp/6180");
        let diem = parse(&format!("/ip4/10.0.0.16/tcp/6180/ln-noise-ik/{KEY}/ln-handshake/0")).unwrap();
        assert_eq!(diem, address);
        let peer = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
        let full = parse(&format!("{text}/p2p/{peer}")).unwrap();
        assert_eq!(full.to_string(), format!("{text}/p2p/{peer}"));
        assert_eq!(split_peer(&full).0, address);
    }

    #[test]
    fn names_fix_any_layer_and_listeners_leave_the_key_out() {
        for text in [
            "/ip4/127.0.0.1/tcp/1/security/noise-ix/muxer/yamux",
            "/memory/7/negotiator/libra",
            "/ip4/0.0.0.0/tcp/6180/noise-ik/handshake/0",
            "/unix/run/node.sock/muxer/priority",
            "/dns/muxer/tcp/1/muxer/mplex",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert!(parse("/dns/muxer/tcp/1").unwrap().fixed().is_empty());
        for wrong in [
            "/memory/1/muxer/a/muxer/b",
            "/memory/1/handshake/x",
            "/memory/1/muxer/UPPER",
            "/memory/1/noise-ik/ab",
            "/muxer/yamux",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
