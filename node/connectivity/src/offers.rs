//! Who vouches for which candidate, and for how long.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use stackwire_core::{
    Multiaddr,
    address::{Origin, Reach},
};

use crate::{Source, Whom};

/// Claims of all sources together.
pub const MAX_OFFERS: usize = 16 * 1024;
/// How many of them may be of addresses that the operator has not named: peers that tell of others leave room for the config.
const MAX_STRANGE: usize = MAX_OFFERS / 4 * 3;
/// Addresses of one peer (go-libp2p: 64 of a peer that is not connected).
const MAX_ADDRESSES: usize = 64;

/// The candidates, by whom they are. A claim is its source's own: what one source says changes nothing of another's.
#[derive(Default)]
pub(crate) struct Offers {
    all: BTreeMap<Whom, Vec<Offered>>,
    /// Which claim ends when. The number keeps those of one moment apart. A claim that was renewed stands here more than once;
    /// only its last time counts.
    ends: BTreeMap<(Instant, u64), (Whom, Multiaddr, Source)>,
    next: u64,
    count: usize,
}

/// An address of a candidate, without `/p2p/…`. Empty: routers know.
pub(crate) struct Offered {
    pub(crate) address: Multiaddr,
    claims: Vec<Claim>,
}

impl Offered {
    /// The freest that has named it. Somebody has; what nobody vouches for leads nowhere near.
    pub(crate) fn origin(&self) -> Origin {
        self.claims.iter().map(|claim| claim.origin).min().unwrap_or(Origin::Peer(Reach::World))
    }
}

struct Claim {
    source: Source,
    origin: Origin,
    until: Option<Instant>,
}

/// An address that nobody vouches for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) whom: Whom,
    pub(crate) address: Multiaddr,
    pub(crate) origin: Origin,
}

impl Offers {
    /// `source` vouches for `whom` at `address` until then; `None`: until it withdraws it. `false` if there is no room.
    pub(crate) fn offer(
        &mut self,
        (whom, address): (&Whom, &Multiaddr),
        source: &Source,
        origin: Origin,
        until: Option<Instant>,
    ) -> bool {
        let claim = Claim { source: source.clone(), origin, until };
        let known = self.all.get_mut(whom);
        let offered = known.and_then(|all| all.iter_mut().find(|it| it.address == *address));
        match offered {
            Some(Offered { claims, .. }) if claims.iter().any(|it| it.source == *source) => {
                claims.retain(|it| it.source != *source);
                claims.push(claim);
            }
            offered => {
                let room = if origin == Origin::Operator { MAX_OFFERS } else { MAX_STRANGE };
                if self.count >= room {
                    return false;
                }
                match offered {
                    Some(offered) => offered.claims.push(claim),
                    None => {
                        let all = self.all.entry(whom.clone()).or_default();
                        if all.len() >= MAX_ADDRESSES {
                            return false;
                        }
                        all.push(Offered { address: address.clone(), claims: vec![claim] });
                    }
                }
                self.count += 1;
            }
        }
        if let Some(until) = until {
            self.next += 1;
            self.ends.insert((until, self.next), (whom.clone(), address.clone(), source.clone()));
            self.forget_old_ends();
        }
        true
    }

    /// `source` no longer vouches for it. Says so if nobody else does.
    pub(crate) fn withdraw(&mut self, whom: &Whom, address: &Multiaddr, source: &Source) -> Option<Gone> {
        let all = self.all.get_mut(whom)?;
        let index = all.iter().position(|offered| offered.address == *address)?;
        let claims = &mut all[index].claims;
        let at = claims.iter().position(|claim| claim.source == *source)?;
        let Claim { origin, .. } = claims.remove(at);
        self.count -= 1;
        if !claims.is_empty() {
            return None;
        }
        all.remove(index);
        if all.is_empty() {
            self.all.remove(whom);
        }
        Some(Gone { whom: whom.clone(), address: address.clone(), origin })
    }

    /// The addresses of `whom`. Empty: nobody vouches for it.
    pub(crate) fn get(&self, whom: &Whom) -> &[Offered] {
        self.all.get(whom).map_or(&[], Vec::as_slice)
    }

    /// Whether anybody vouches for `whom`.
    pub(crate) fn has(&self, whom: &Whom) -> bool {
        self.all.contains_key(whom)
    }

    /// Whether the operator vouches for it.
    pub(crate) fn is_operators(&self, whom: &Whom) -> bool {
        self.get(whom).iter().flat_map(|offered| &offered.claims).any(|claim| claim.origin == Origin::Operator)
    }

    /// The best that `rank` says of those who vouch for it.
    pub(crate) fn best_source(&self, whom: &Whom, rank: impl Fn(&Source) -> usize) -> usize {
        let claims = self.get(whom).iter().flat_map(|offered| &offered.claims);
        claims.map(|claim| rank(&claim.source)).min().unwrap_or(usize::MAX)
    }

    /// The sources that vouch for anything, each once.
    pub(crate) fn sources(&self) -> BTreeSet<Source> {
        let claims = self.all.values().flatten().flat_map(|offered| &offered.claims);
        claims.map(|claim| &claim.source).collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// What `source` vouches for.
    pub(crate) fn of(&self, source: &Source) -> Vec<(Whom, Multiaddr)> {
        let vouches = |offered: &&Offered| offered.claims.iter().any(|claim| claim.source == *source);
        let of_one = |(whom, all): (&Whom, &Vec<Offered>)| -> Vec<(Whom, Multiaddr)> {
            all.iter().filter(vouches).map(|offered| (whom.clone(), offered.address.clone())).collect()
        };
        self.all.iter().flat_map(of_one).collect()
    }

    /// Ends the claims whose time is over. Gives what nobody vouches for any more.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some(first) = self.ends.first_entry()
            && first.key().0 <= now
        {
            let (whom, address, source) = first.remove();
            let over = |claim: &Claim| claim.source == source && claim.until.is_some_and(|until| until <= now);
            if self.get(&whom).iter().any(|it| it.address == address && it.claims.iter().any(over)) {
                gone.extend(self.withdraw(&whom, &address, &source));
            }
        }
        gone
    }

    /// When the next claim may end.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first_key_value().map(|((at, _), _)| *at)
    }

    /// Claims that are renewed again and again leave old times behind. They must not become many more than the claims.
    fn forget_old_ends(&mut self) {
        if self.ends.len() <= 2 * MAX_OFFERS {
            return;
        }
        let all = &self.all;
        self.ends.retain(|(at, _), (whom, address, source)| {
            let offered = all.get(whom).into_iter().flatten().filter(|offered| offered.address == *address);
            offered.flat_map(|offered| &offered.claims).any(|it| it.source == *source && it.until == Some(*at))
        });
    }
}

#[cfg(test)]
mod tests;
