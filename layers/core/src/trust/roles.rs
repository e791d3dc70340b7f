//! The roles that peers of a network may have.

use super::{OwnRole, PeerRole};
use crate::{Error, Kind, Result};

/// Roles that one network may have of its own.
const MAX_OWN: usize = 32;

/// The roles that peers of a network may have: those of Diem and Aptos ([`PeerRole::ALL`]), and those of its own among them.
///
/// ```
/// use stackwire_core::trust::{PeerRole, Roles};
///
/// let roles = Roles::new(["validator", "sequencer", "upstream"]).unwrap();
/// let sequencer = roles.get("sequencer").unwrap();
/// assert!(PeerRole::Validator < sequencer && sequencer < PeerRole::PreferredUpstream);
/// assert!(sequencer < roles.get("upstream").unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<OwnRole>);

impl Roles {
    /// Reads an order, the most wanted first: names of own roles, with those of Diem and Aptos between them where that says
    /// where they stand. An own role stands behind the one of those that is named before it, and before all where there is
    /// none.
    ///
    /// Fails with `ConfigInvalid`, naming the fix, where a name is none, comes twice, or moves a role of Diem and Aptos, whose
    /// order is the same everywhere; with `LimitExceeded` beyond 32 own roles, or 256 names in the life of a process.
    pub fn new<'a>(order: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let wrong = |why: String| Err(Error::new(Kind::ConfigInvalid, why));
        let mut own: Vec<OwnRole> = Vec::new();
        let mut last: Option<PeerRole> = None;
        for name in order {
            match PeerRole::named(name) {
                Some(role) if !role.is_specific() => {
                    return wrong(format!("`{role}` always comes last: leave it out of the order of roles"));
                }
                Some(role) => match last {
                    Some(before) if role <= before => {
                        return wrong(format!(
                            "`{role}` is always more wanted than `{before}`: name it first, or leave it out"
                        ));
                    }
                    _ => last = Some(role),
                },
                None if own.iter().any(|other| other.name() == name) => {
                    return wrong(format!("the role `{name}` is named twice"));
                }
                None if own.len() >= MAX_OWN => {
                    let kind = Kind::LimitExceeded { limit: "roles of one network's own", max: MAX_OWN as u64 };
                    return Err(Error::new(kind, "reading the order of roles"));
                }
                None => {
                    let behind = last.and_then(|role| PeerRole::ALL.iter().position(|other| *other == role));
                    // There are seven, and 32 at most.
                    let behind = behind.map_or(0, |index| index as u8 + 1);
                    own.push(OwnRole::new(name, behind, own.len() as u8 + 1)?);
                }
            }
        }
        Ok(Self(own))
    }

    /// The role of this name.
    pub fn get(&self, name: &str) -> Option<PeerRole> {
        let own = || self.0.iter().find(|own| own.name() == name).map(|own| PeerRole::Own(*own));
        PeerRole::named(name).or_else(own)
    }

    /// All that a peer may have, the most wanted first.
    pub fn names(&self) -> Vec<&'static str> {
        let mut all: Vec<PeerRole> =
            PeerRole::ALL.into_iter().chain(self.0.iter().map(|own| PeerRole::Own(*own))).collect();
        all.sort();
        all.into_iter().map(PeerRole::name).collect()
    }
}
