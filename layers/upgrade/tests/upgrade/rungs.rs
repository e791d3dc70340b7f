//! One rung after the other: what is recorded, and how each fails.

use std::time::Duration;

use stackwire_conformance::{env_seeded, in_time, pipes};
use stackwire_core::{Chosen, Kind, Layer, Multiplexed, MuxerContext, Role, SessionExt, Stage};
use stackwire_upgrade::{Start, Upgrader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stacks::{LIMIT, arrived, error, key, muxer, stack, start, upgrade};

#[tokio::test(start_paused = true)]
async fn both_sides_record_the_same_path() {
    let (a, b) = upgrade(&stack(1, &["noise"], &["yamux-ref"]), &stack(2, &["noise"], &["yamux-ref"])).await;
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.peer.peer_id(), b.peer.peer_id()), (key(2).peer_id(), key(1).peer_id()));
    for upgraded in [&a, &b] {
        assert_eq!(upgraded.path.to_string(), "memory / noise / yamux-ref");
        let muxer = upgraded.path.rung(Layer::Muxer).unwrap();
        assert!(matches!(muxer.chosen, Chosen::InHandshake { .. }), "{muxer:?}");
        assert_eq!(muxer.round_trips, 0);
    }
    let drivers = tokio::spawn(async move { tokio::join!(a.driver, b.driver) });
    let mut ours = a.session.open().await.unwrap();
    ours.write_all(b"up").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut theirs = b.session.accept().await.unwrap();
    let mut text = String::new();
    theirs.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "up");
    drivers.abort();
}

/// TCP's simultaneous open: one of them goes on as the dialer at every rung, and the paths say which.
#[tokio::test(start_paused = true)]
async fn two_dialers_that_meet_make_one_connection() {
    for (security, muxers) in
        [("noise", ["yamux-ref", "mplex"]), ("tls", ["mplex", "yamux-ref"]), ("plaintext", ["mplex", "yamux-ref"])]
    {
        let mut stacks = [stack(1, &[security], &muxers), stack(2, &[security], &muxers)];
        // Two machines throw different dice.
        stacks[1].env = env_seeded(2);
        let (a, b) = pipes::pair();
        let upgrade = async |stack: &Upgrader, pipe| {
            let start = Start { may_meet: true, ..start(stack, Stage::Raw(pipe), Role::Dialer) };
            let mut upgraded = stack.upgrade(start).await?;
            let driver = tokio::spawn(upgraded.driver);
            upgraded.driver = Box::pin(async { driver.await.expect("a driver does not panic") });
            Ok(upgraded)
        };
        let [one, other] = arrived(
            in_time("two upgrades", async { tokio::join!(upgrade(&stacks[0], a), upgrade(&stacks[1], b)) }).await,
        );
        assert_eq!((one.peer.peer_id(), other.peer.peer_id()), (key(2).peer_id(), key(1).peer_id()));
        assert_ne!(one.path.role, other.path.role);
        for (from, to) in [(&one, &other), (&other, &one)] {
            let mut ours = from.session.open().await.unwrap();
            ours.write_all(b"up").await.unwrap();
            ours.shutdown().await.unwrap();
            let mut theirs = to.session.accept().await.unwrap();
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "up", "{security}");
        }
    }
}

/// Law 50, for both ways of choosing a muxer.
#[tokio::test(start_paused = true)]
async fn the_dialers_order_wins() {
    for security in ["noise", "tls", "plaintext"] {
        let dialer = stack(1, &[security], &["mplex", "yamux-ref"]);
        let listener = stack(2, &["tls", "noise", "plaintext"], &["yamux-ref", "mplex"]);
        let (a, b) = upgrade(&dialer, &listener).await;
        let expected = format!("memory / {security} / mplex");
        assert_eq!((a.unwrap().path.to_string(), b.unwrap().path.to_string()), (expected.clone(), expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_muxer_is_negotiated_on_the_pipe_where_the_handshake_has_no_place_for_it() {
    let (a, _) = upgrade(&stack(1, &["plaintext"], &["yamux-ref"]), &stack(2, &["plaintext"], &["yamux-ref"])).await;
    let path = a.unwrap().path;
    let muxer = path.rung(Layer::Muxer).unwrap();
    assert!(matches!(&muxer.chosen, Chosen::Negotiated { by, .. } if *by == "multistream"), "{muxer:?}");
}

/// Law 49.
#[tokio::test(start_paused = true)]
async fn nothing_in_common_is_told_by_rung() {
    let (a, b) = upgrade(&stack(1, &["noise"], &["yamux-ref"]), &stack(2, &["tls"], &["yamux-ref"])).await;
    for error in [error(a), error(b)] {
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered == &["/noise"]), "{error:?}");
        assert!(error.to_string().contains("choosing a security protocol"), "{error}");
    }
}

/// Law 49. With one offer the dialer does not wait for the answer: its driver is told.
#[tokio::test(start_paused = true)]
async fn no_muxer_in_common_is_told_to_both() {
    let (dialer, listener) = (stack(1, &["plaintext"], &["yamux-ref"]), stack(2, &["plaintext"], &["mplex"]));
    let (a, b) = pipes::pair();
    let up = async {
        let upgraded = dialer.upgrade(start(&dialer, Stage::Raw(a), Role::Dialer)).await.expect("it does not wait");
        upgraded.driver.await.expect_err("the muxer was refused")
    };
    let down = listener.upgrade(start(&listener, Stage::Raw(b), Role::Listener));
    let (up, down) = in_time("an upgrade", async { tokio::join!(up, down) }).await;
    let down = error(down);
    assert!(down.to_string().contains("choosing a muxer"), "{down}");
    for error in [up, down] {
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");
    }

    let dialer = stack(1, &["plaintext"], &["yamux-ref", "mplex"]);
    let listener = Upgrader { muxers: Vec::new(), ..listener };
    let (a, b) = upgrade(&dialer, &listener).await;
    for error in [error(a), error(b)] {
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_costs_the_time_limit_and_the_error_names_the_step() {
    let stack = stack(1, &["noise", "tls"], &["yamux-ref"]);
    for (role, step) in
        [(Role::Dialer, "choosing a security protocol"), (Role::Listener, "choosing a security protocol")]
    {
        let (a, _b) = pipes::pair();
        let error = error(in_time("an upgrade", stack.upgrade(start(&stack, Stage::Raw(a), role))).await);
        assert_eq!(error.kind(), &Kind::Timeout { limit: LIMIT });
        assert!(error.to_string().contains(step), "{error}");
    }
}

/// Law 54.
#[tokio::test(start_paused = true)]
async fn the_wrong_peer_is_refused() {
    let (dialer, listener) = (stack(1, &["noise"], &["yamux-ref"]), stack(2, &["noise"], &["yamux-ref"]));
    let (a, b) = pipes::pair();
    let mut from = start(&dialer, Stage::Raw(a), Role::Dialer);
    from.expected = Some(key(3).peer_id());
    let up = dialer.upgrade(from);
    let down = listener.upgrade(start(&listener, Stage::Raw(b), Role::Listener));
    let (a, b) = in_time("an upgrade", async { tokio::join!(up, down) }).await;
    let expected = Kind::PeerMismatch { expected: key(3).peer_id(), actual: key(2).peer_id() };
    assert_eq!(error(a).kind(), &expected);
    drop(b);
}

/// A transport that brings security and streams along is checked as any other.
#[tokio::test(start_paused = true)]
async fn a_stage_at_the_top_is_checked_and_recorded() {
    let stack = stack(1, &["noise"], &["yamux-ref"]);
    for (expected, fits) in [(key(2), true), (key(3), false)] {
        let (pipe, _other) = pipes::pair();
        let (session, driver) = muxer("yamux-ref").start(pipe, MuxerContext::new(Role::Dialer, &stack.env));
        let top = Multiplexed::new(key(2).public().clone(), session, driver);
        let mut from = start(&stack, Stage::Multiplexed(top), Role::Dialer);
        from.expected = Some(expected.peer_id());
        let upgraded = stack.upgrade(from).await;
        assert_eq!(upgraded.is_ok(), fits);
        if let Ok(upgraded) = upgraded {
            assert_eq!(upgraded.path.rung(Layer::Muxer).unwrap().chosen, Chosen::Transport);
        }
    }
}

/// Law 47.
#[tokio::test(start_paused = true)]
async fn a_cancelled_upgrade_frees_the_pipe() {
    let stack = stack(1, &["noise"], &["yamux-ref"]);
    let (a, mut b) = pipes::pair();
    {
        let mut upgrading = std::pin::pin!(stack.upgrade(start(&stack, Stage::Raw(a), Role::Dialer)));
        let waited = tokio::time::timeout(Duration::from_millis(1), upgrading.as_mut()).await;
        assert!(waited.is_err());
    }
    in_time("the peer's end", b.read_to_end(&mut Vec::new())).await.unwrap();
}
