//! Which of a peer's connections are spare. Pure: no clock, no sockets, no tasks.
//!
//! A node keeps so many connections with a peer over each kind of path (`max_connections_per_path`, 1 unless the config says
//! otherwise). More come about where a peer dials again, because it has lost what we still hold, or where a foreign stack
//! dials while we do. A relayed connection is spare once there is a direct one. What is spare takes no new streams of ours, and
//! closes when its streams have ended.
//!
//! Of connections in both directions those go that the greater peer id has dialed: both sides see that alike. Of several in
//! one direction the oldest go: the newest is the one that the peer knows of for sure. Connections that we dialed beside
//! others on purpose do not count.

use stackwire_core::{ConnectionId, Role};

/// A connection with a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) id: ConnectionId,
    pub(crate) role: Role,
    pub(crate) relayed: bool,
}

/// The spare ones of `all`, which are in the order in which they came about. `we_give_way`: our peer id is the greater one.
pub(crate) fn spares(all: &[Seen], we_give_way: bool, max: usize) -> Vec<ConnectionId> {
    let (relayed, mut direct): (Vec<Seen>, Vec<Seen>) = all.iter().partition(|one| one.relayed);
    if !direct.is_empty() {
        let spare = too_many(&mut direct, we_give_way, max);
        return spare.chain(relayed.into_iter().map(|one| one.id)).collect();
    }
    let mut relayed = relayed;
    too_many(&mut relayed, we_give_way, max).collect()
}

fn too_many(of_kind: &mut Vec<Seen>, we_give_way: bool, max: usize) -> impl Iterator<Item = ConnectionId> {
    let extra = of_kind.len().saturating_sub(max);
    let both = of_kind.iter().any(|one| one.role != of_kind[0].role);
    let gives_way = if we_give_way { Role::Dialer } else { Role::Listener };
    // Stable: the oldest first within each.
    of_kind.sort_by_key(|one| both && one.role != gives_way);
    of_kind.drain(..extra).map(|one| one.id).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(all: &[(u64, Role, bool)]) -> Vec<Seen> {
        all.iter().map(|&(id, role, relayed)| Seen { id: ConnectionId(id), role, relayed }).collect()
    }

    fn spare(all: &[(u64, Role, bool)], we_give_way: bool, max: usize) -> Vec<u64> {
        spares(&seen(all), we_give_way, max).into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn one_of_each_kind_stays() {
        use Role::{Dialer, Listener};
        assert!(spare(&[(1, Dialer, false)], true, 1).is_empty());
        assert_eq!(spare(&[(1, Listener, false), (2, Listener, false)], true, 1), [1], "the newest stays");
        assert_eq!(spare(&[(1, Dialer, false), (2, Listener, false)], true, 1), [1]);
        assert_eq!(spare(&[(1, Dialer, false), (2, Listener, false)], false, 1), [2]);
        assert!(spare(&[(1, Dialer, false), (2, Listener, false)], false, 2).is_empty());
        assert_eq!(
            spare(&[(1, Dialer, true), (2, Listener, false)], false, 1),
            [1],
            "a direct one beats a relayed one"
        );
        assert_eq!(spare(&[(1, Dialer, true), (2, Listener, true)], false, 1), [2]);
    }

    proptest! {
        #[test]
        fn some_stay_and_both_sides_agree(
            all in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..8),
            we_give_way in any::<bool>(),
            max in 1_usize..4,
        ) {
            let side = |ours: bool| -> Vec<Seen> {
                let role = |dialed: bool| if dialed == ours { Role::Dialer } else { Role::Listener };
                let one = |(id, (dialed, relayed)): (u64, &(bool, bool))| Seen { id: ConnectionId(id), role: role(*dialed), relayed: *relayed };
                (0..).zip(&all).map(one).collect()
            };
            let (ours, theirs) = (spares(&side(true), we_give_way, max), spares(&side(false), !we_give_way, max));
            prop_assert_eq!(&ours, &theirs);
            let direct = all.iter().filter(|(_, relayed)| !relayed).count();
            let kept = all.len() - ours.len();
            prop_assert_eq!(kept, max.min(if direct > 0 { direct } else { all.len() }));
        }
    }
}
