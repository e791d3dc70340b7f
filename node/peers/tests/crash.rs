//! A process that is killed in the middle of writing its book down. The book opens each time, and nothing that was confirmed is
//! lost: neither a ban nor anything else that was known before a save that has ended.

#![allow(clippy::disallowed_methods, reason = "it is about processes, in real time")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use stackwire_conformance::env;
use stackwire_core::{Keypair, Multiaddr, Note, PeerId, Tag, address::Origin};
use stackwire_peers::{Bounds, NAMESPACE, PeerBook, read};
use stackwire_store::Storage;

/// Tells the child where to write.
const FOLDER: &str = "STACKWIRE_PEERS_CRASH_FOLDER";
/// Peers that change all the time.
const PEERS: u64 = 100;
const NOW: Duration = Duration::from_secs(1_000_000);

/// The peers that change, and behind them those that are banned, one a round.
fn peer(n: u64) -> PeerId {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    Keypair::ed25519_from_seed(seed).peer_id()
}

fn address(n: u64) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{}", n % 50_000).parse().expect("an address")
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("a number"))
}

/// Not a test of its own: what the others run and kill.
#[tokio::test]
#[ignore = "writes until it is killed"]
async fn child() {
    let folder = std::env::var_os(FOLDER).expect("the parent says where");
    let (storage, _) = Storage::open(folder.as_ref(), &env()).expect("it opens");
    let store = storage.namespace(NAMESPACE, Bounds::default().of_store()).expect("a good name");
    let (book, skipped) = PeerBook::open(&*store, Bounds::default(), NOW).expect("it reads");
    assert!(skipped.is_none(), "{skipped}");
    let known = book.snapshot();
    let begin = known.get(&peer(0)).map_or(0, |peer| number(&peer.metadata["round"]));
    for round in begin + 1.. {
        for n in 0..PEERS {
            let note = |note| book.note(&peer(n), note, NOW).expect("it is within the bounds");
            note(Note::Metadata("round".into(), Some(round.to_be_bytes().to_vec().into())));
            note(Note::Tag("round".into(), Tag::lasting(i32::try_from(round % 1000).expect("a small number"))));
            book.add_addresses(peer(n), &[address(round)], Origin::Operator, NOW);
        }
        // Some leave the book.
        book.note(&peer(PEERS + round), Note::Ban { term: None, why: "a test".into() }, NOW).expect("there is room");
        if round > 10 {
            book.note(&peer(PEERS + round - 10), Note::Unban, NOW).expect("it is banned");
        }
        book.save(&*store).await.expect("it writes");
        println!("confirmed {round}");
    }
}

/// The round that the book in `folder` is in: everything of it, and perhaps a part of the next.
async fn round_in(folder: &Path, confirmed: u64) -> u64 {
    let (storage, aside) = Storage::open(folder, &env()).expect("it opens");
    assert!(aside.is_none(), "it was damaged: {aside:?}");
    let store = storage.namespace(NAMESPACE, Bounds::default().of_store()).expect("a good name");
    let (peers, skipped) = read(&*store, NOW).expect("it reads");
    assert!(skipped.is_none(), "{skipped}");
    let mut newest = 0;
    for n in 0..PEERS {
        let known = peers.get(&peer(n)).unwrap_or_else(|| panic!("peer {n} is lost, {confirmed} was confirmed"));
        let round = number(&known.metadata["round"]);
        assert!(round >= confirmed, "peer {n} is of round {round}, {confirmed} was confirmed");
        assert_eq!(known.worth(NOW), i64::try_from(round % 1000).expect("a small number"));
        assert!(known.addresses.iter().any(|known| known.address == address(round)), "{known:?}");
        newest = newest.max(round);
    }
    let banned = |round: u64| peers.get(&peer(PEERS + round)).is_some_and(|peer| peer.ban.is_some());
    // The next round may have been written already, and lifted the oldest.
    assert!((confirmed.saturating_sub(7).max(1)..=confirmed).all(banned), "a ban of round {confirmed} is lost");
    assert!((1..=confirmed.saturating_sub(10)).all(|round| !banned(round)), "a ban that was lifted is back");
    storage.close().await;
    newest
}

async fn kill(times: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for time in 0..times {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let mut confirmed = lines.filter_map(|line| line.rsplit_once("confirmed ")?.1.parse::<u64>().ok());
        let seen = confirmed.nth(usize::try_from(time % 5).expect("a small number")).expect("the child writes");
        // It goes on meanwhile, so that the kill falls anywhere within a round.
        std::thread::sleep(Duration::from_micros(time.wrapping_mul(7919) % 9000));
        child.kill().expect("it can be killed");
        let said = confirmed.last().unwrap_or(seen);
        child.wait().expect("it ends");
        let round = round_in(folder.path(), said).await;
        assert!(round > last, "{round} is there, {last} was there before");
        last = round;
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_confirmed() {
    kill(10).await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo test -p stackwire-peers --test crash -- --ignored two_hundred"]
async fn two_hundred_kills_lose_nothing_that_was_confirmed() {
    kill(200).await;
}
