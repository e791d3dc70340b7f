//! The text form of seeds.

use std::collections::HashSet;

use stackwire_core::{Error, Kind, Multiaddr, PeerId, Result, address};

/// One seed: who, where that is said, and where, without `/p2p/…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seed {
    pub(crate) peer: Option<PeerId>,
    pub(crate) address: Multiaddr,
}

/// Reads one address.
pub(crate) fn parse(text: &str) -> Result<Seed> {
    let (rest, peer) = address::split_peer(&address::parse(text)?);
    if rest.is_empty() {
        return Err(Error::new(Kind::AddressInvalid, format!("“{text}” has no address before its /p2p/<peer>")));
    }
    Ok(Seed { peer, address: rest })
}

/// Reads a file's lines, each address once; gives the seeds, and the lines that do not parse by number from 1.
pub(crate) fn parse_lines(text: &str) -> (Vec<Seed>, Vec<(usize, Error)>) {
    let (mut seeds, mut wrong, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match parse(line) {
            Ok(seed) if seen.contains(&seed) => {}
            Ok(seed) => {
                seen.insert(seed.clone());
                seeds.push(seed);
            }
            Err(error) => wrong.push((index + 1, error)),
        }
    }
    (seeds, wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_core::Keypair;

    use super::*;

    #[test]
    fn comments_blank_lines_and_repeats_are_nothing() {
        let peer = Keypair::ed25519_from_seed([1; 32]).peer_id();
        let text = format!(
            "# ours\n\n  /ip4/192.0.2.1/tcp/1/p2p/{peer}  # the first\r\n/ip4/192.0.2.2/tcp/2\nwrong\n\
             /ip4/192.0.2.2/tcp/2\n/p2p/{peer}\n"
        );
        let (seeds, wrong) = parse_lines(&text);
        assert_eq!(
            seeds,
            [
                Seed { peer: Some(peer), address: "/ip4/192.0.2.1/tcp/1".parse().unwrap() },
                Seed { peer: None, address: "/ip4/192.0.2.2/tcp/2".parse().unwrap() },
            ]
        );
        assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [5, 7]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(.|\n){0,400}") {
            parse_lines(&text);
        }

        #[test]
        fn what_is_written_is_read_back(ports in proptest::collection::hash_set(1_u16.., 0..20)) {
            let text: String = ports.iter().map(|port| format!("/ip6/2001:db8::1/tcp/{port}\n")).collect();
            let (seeds, wrong) = parse_lines(&text);
            prop_assert!(wrong.is_empty());
            prop_assert_eq!(seeds.len(), ports.len());
        }
    }
}
