//! The text form of seeds.

use std::{collections::HashSet, fmt};

use stackwire_core::{Error, Kind, Multiaddr, PeerId, Result, address};

/// Far above any address.
const MAX_LINE: usize = 1024;

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

/// The lines of a file that do not parse.
#[derive(Default)]
pub(crate) struct Wrong {
    pub(crate) count: usize,
    /// The number of the first one, from 1, and what is wrong with it.
    pub(crate) first: Option<(usize, Error)>,
}

/// All that can be said about them in one sentence.
impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((line, error)) = &self.first else { return f.write_str("every line is an address") };
        write!(f, "line {line}: {error}")?;
        match self.count {
            1 => Ok(()),
            count => write!(f, "; and {} more lines are no addresses", count - 1),
        }
    }
}

/// Reads a file's lines, each address once; gives the seeds, and what there is to say of lines that do not parse.
pub(crate) fn parse_lines(text: &str) -> (Vec<Seed>, Wrong) {
    let (mut seeds, mut wrong, mut seen) = (Vec::new(), Wrong::default(), HashSet::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let parsed = match line.len() {
            // Whoever reads the warning gets no more than a line of it.
            0..=MAX_LINE => parse(line),
            _ => Err(Error::new(Kind::AddressInvalid, format!("it has more than {MAX_LINE} bytes"))),
        };
        match parsed {
            Ok(seed) if seen.contains(&seed) => {}
            Ok(seed) => {
                seen.insert(seed.clone());
                seeds.push(seed);
            }
            Err(error) => {
                wrong.count += 1;
                wrong.first.get_or_insert((index + 1, error));
            }
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
        assert_eq!((wrong.count, wrong.first.as_ref().map(|(line, _)| *line)), (2, Some(5)));
        assert!(wrong.to_string().ends_with("and 1 more lines are no addresses"), "{wrong}");
    }

    #[test]
    fn many_wrong_lines_are_summed_up_and_long_ones_are_not_shown() {
        let (seeds, wrong) = parse_lines(&"no address\n".repeat(50_000));
        assert!(seeds.is_empty());
        let told = wrong.to_string();
        assert!(told.starts_with("line 1: ") && told.contains("49999 more") && told.len() < 300, "{told}");
        let (_, wrong) = parse_lines(&"x".repeat(1 << 20));
        assert!(wrong.to_string().len() < 100, "{wrong}");
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
            prop_assert_eq!(wrong.count, 0);
            prop_assert_eq!(seeds.len(), ports.len());
        }
    }
}
