//! Scores, strikes, bans.

use stackwire_core::{Conduct, Note, Violation};

use super::*;
use crate::{
    Bounds, Fact, PeerBook,
    conduct::{FORGIVES, STRIKES},
};

const BROKE: Conduct = Conduct::Broke(Violation::Malformed);

#[test]
fn who_breaks_protocols_again_and_again_is_banned_for_a_while() {
    let (book, peer, now) = (PeerBook::default(), peer(1), secs(1000));
    assert!((0..STRIKES).all(|_| book.report(&peer, BROKE, now)));
    assert!(book.report(&peer, Conduct::Useful, now) && book.report(&super::peer(2), BROKE, now));
    assert!(book.take_facts().is_empty());
    assert!(!book.report(&peer, BROKE, now));
    let facts = book.take_facts();
    let [Fact::Banned { peer: who, ban, struck: true }] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((who, ban.until), (&peer, Some(secs(1000 + 3600))));
    assert!(!book.report(&peer, BROKE, now) && book.take_facts().is_empty(), "it is banned once");
    assert_eq!(book.ban(&peer, secs(4599)).as_ref(), Some(ban));
    assert!(book.ban(&peer, secs(4600)).is_none());
    book.tick(secs(4600));
    assert_eq!(book.take_facts(), [Fact::Unbanned { peer }]);
    assert!(book.report(&peer, BROKE, secs(4600)), "its strikes are forgiven");
    book.pages.lock().check();
}

#[test]
fn whom_somebody_holds_on_to_is_not_banned_for_strikes() {
    let (book, peer, now) = (PeerBook::default(), peer(1), secs(1000));
    book.note(&peer, Note::Protect("mesh".into()), now).unwrap();
    assert!((0..STRIKES).all(|_| book.report(&peer, BROKE, now)));
    assert!(!book.report(&peer, BROKE, now), "its connections are closed");
    assert!(book.take_facts().is_empty() && book.ban(&peer, now).is_none());
    book.note(&peer, Note::Unprotect("mesh".into()), now).unwrap();
    assert!(!book.report(&peer, BROKE, now) && book.ban(&peer, now).is_some());
}

#[test]
fn strikes_are_forgiven_one_by_one() {
    let book = PeerBook::new(Bounds { bans: 0, ..Bounds::default() });
    let (peer, now) = (peer(1), secs(1000));
    assert!((0..STRIKES).all(|_| book.report(&peer, BROKE, now)));
    assert!(!book.report(&peer, BROKE, now) && book.take_facts().is_empty(), "there is no room for bans");
    assert!(book.report(&peer, BROKE, now + FORGIVES), "one is forgiven");
    assert!(!book.report(&peer, BROKE, now + FORGIVES));
    // A clock that is set back forgives nothing, and takes nothing back.
    assert!(!book.report(&peer, BROKE, secs(10)));
    assert!(book.report(&peer, BROKE, secs(10) + FORGIVES));
}

#[test]
fn a_score_moves_back_to_nothing() {
    let (book, peer) = (PeerBook::default(), peer(1));
    let score = || book.snapshot().get(&peer).map(|peer| peer.score);
    (0..200).for_each(|_| assert!(book.report(&peer, Conduct::Useful, secs(0))));
    assert_eq!(score(), Some(100.0));
    book.tick(secs(3600));
    assert!(score().is_some_and(|score| (score - 50.0).abs() < 0.1), "{:?}", score());
    book.report(&peer, BROKE, secs(3600));
    assert!(score().is_some_and(|score| (score - 40.0).abs() < 0.1));
    book.tick(secs(100 * 3600));
    assert_eq!(score(), None, "nothing is left to know");
}

#[test]
fn of_too_many_bans_the_one_that_ends_first_goes() {
    let book = PeerBook::new(Bounds { bans: 2, ..Bounds::default() });
    let ban = |n, term: Option<u64>| {
        book.note(&peer(n), Note::Ban { term: term.map(secs), why: "x".repeat(1000).into() }, secs(0))
    };
    ban(1, Some(100)).unwrap();
    ban(2, None).unwrap();
    assert!(ban(3, Some(50)).is_err(), "it would be the first to go");
    book.take_facts();
    ban(3, Some(200)).unwrap();
    let facts = book.take_facts();
    assert!(facts.contains(&Fact::Unbanned { peer: peer(1) }) && facts.len() == 2, "{facts:?}");
    assert!(book.ban(&peer(1), secs(1)).is_none() && book.ban(&peer(2), secs(1_000_000)).is_some());
    assert!(book.snapshot().get(&peer(3)).unwrap().ban.as_ref().unwrap().why.len() <= 256);
    book.note(&peer(2), Note::Unban, secs(1)).unwrap();
    assert_eq!(book.take_facts(), [Fact::Unbanned { peer: peer(2) }]);
    book.note(&peer(9), Note::Unban, secs(1)).unwrap();
    assert!(book.take_facts().is_empty() && book.snapshot().get(&peer(9)).is_none());
    book.pages.lock().check();
}
