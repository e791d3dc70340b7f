//! Addresses as paths.

use stackwire_core::{AddressPart, Error, Kind, Layer, Multiaddr, Result};

use crate::NAME;

/// What stands behind `/unix/`, of an address that is exactly that: names with a slash between them.
///
/// A name that means another folder (`..`), or none at all, is no name: addresses come from strangers too, and one
/// socket has one address.
pub(crate) fn name_of(address: &Multiaddr) -> Option<String> {
    let mut parts = address.iter();
    let (Some(AddressPart::Unix(name)), None) = (parts.next(), parts.next()) else { return None };
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    name.split('/').all(plain).then(|| name.into_owned())
}

/// `/unix/<name>`.
pub(crate) fn address_of(name: &str) -> Multiaddr {
    Multiaddr::empty().with(AddressPart::Unix(name.into()))
}

/// [`name_of`], or the error that says what an address of ours looks like.
pub(crate) fn require(address: &Multiaddr, done: &str) -> Result<String> {
    name_of(address).ok_or_else(|| {
        let during = format!("{address} cannot be {done} here: such an address is /unix/<path from the root>");
        Error::new(Kind::AddressInvalid, during).at(Layer::Transport, NAME)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_paths_are_ours() {
        let with = |name: &'static str| Multiaddr::empty().with(AddressPart::Unix(name.into()));
        assert_eq!(name_of(&"/unix/run/a/b.sock".parse().unwrap()), Some("run/a/b.sock".into()));
        for other in ["", "/run/a", "a/", "a//b", "../a", "a/./b", "a/..", "a\0b"] {
            assert_eq!(name_of(&with(other)), None, "{other:?}");
        }
        assert_eq!(name_of(&with("a").with(AddressPart::Tcp(1))), None);
        assert_eq!(name_of(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_asked_about(bytes: Vec<u8>) {
            let bytes = [&[0x90, 3], &bytes[..]].concat();
            if let Ok(address) = Multiaddr::try_from(bytes)
                && let Some(name) = name_of(&address)
            {
                prop_assert_eq!(name_of(&address_of(&name)), Some(name));
            }
        }
    }
}
