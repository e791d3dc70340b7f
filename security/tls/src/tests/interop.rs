//! Our records with those of plain rustls.

use std::io::Write;

use futures::future::join;
use rustls::{
    AlertDescription, Connection, Error as TlsError, SupportedCipherSuite,
    crypto::aws_lc_rs::cipher_suite::{
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    },
};
use stackwire_certificate::{Settings, making, provider};
use stackwire_conformance::{in_time, pipes};
use stackwire_core::{BoxPipe, Error, Kind, Role};
use stackwire_records::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{honest, identity, plain::Plain, settings_of};
use crate::{handshake, records::Records};

const SUITES: [SupportedCipherSuite; 3] =
    [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

/// A side that has only this suite.
fn only(suite: SupportedCipherSuite) -> Settings {
    let mut only = provider();
    only.cipher_suites = vec![suite];
    settings_of(only, making::make(&identity(2), &provider()).unwrap(), None)
}

/// A channel of ours in `role`, and a rustls peer with which it has shaken hands.
async fn connect(role: Role, suite: SupportedCipherSuite, pipes: (BoxPipe, BoxPipe)) -> (Records, BoxPipe, Plain) {
    let us = honest(1);
    let mut plain = Plain::new(pipes.1, role.other(), &only(suite));
    let ours = async {
        match role {
            Role::Dialer => handshake::dial(pipes.0, &us).await,
            Role::Listener => handshake::listen(pipes.0, &us).await,
        }
    };
    let (done, ours) = in_time("the handshake", join(plain.handshake(), ours)).await;
    done.unwrap();
    let (pipe, side) = ours.unwrap();
    assert_eq!(side.state().negotiated_cipher_suite(), Some(suite));
    (side.into_records().unwrap(), pipe, plain)
}

async fn connected(role: Role, suite: SupportedCipherSuite) -> (Channel<Records>, Plain) {
    let (records, pipe, plain) = connect(role, suite, pipes::pair()).await;
    (Channel::new(pipe, records), plain)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 7) as u8).collect()
}

/// Sends `up` and reads `down`, while the peer does the opposite.
async fn trade(ours: &mut Channel<Records>, theirs: &mut Plain, up: &[u8], down: &[u8]) {
    let we = async {
        ours.write_all(up).await.unwrap();
        ours.flush().await.unwrap();
        let mut read = vec![0; down.len()];
        ours.read_exact(&mut read).await.unwrap();
        assert!(read == down);
    };
    let they = async {
        assert!(theirs.receive(up.len()).await.unwrap() == up);
        theirs.send(down).await.unwrap();
    };
    in_time("data", join(we, they)).await;
}

#[tokio::test]
async fn data_goes_both_ways_with_every_suite_in_either_role() {
    for suite in SUITES {
        for role in ROLES {
            let (mut ours, mut theirs) = connected(role, suite).await;
            for length in [1, 2, 16 * 1024, 16 * 1024 + 1, 300_000] {
                trade(&mut ours, &mut theirs, &bytes(length), &bytes(length + 3)).await;
            }
        }
    }
}

#[tokio::test]
async fn the_binding_is_what_rustls_exports() {
    for suite in SUITES {
        for role in ROLES {
            let (ours, theirs) = pipes::pair();
            let mut plain = Plain::new(theirs, role.other(), &only(suite));
            let us = honest(1);
            let shaking = async {
                match role {
                    Role::Dialer => handshake::dial(ours, &us).await,
                    Role::Listener => handshake::listen(ours, &us).await,
                }
            };
            let (done, ours) = in_time("the handshake", join(plain.handshake(), shaking)).await;
            done.unwrap();
            let exported = match &plain.tls {
                Connection::Client(tls) => tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None),
                Connection::Server(tls) => tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None),
            };
            assert_eq!(ours.unwrap().1.binding(), Some(exported.unwrap()), "{suite:?} as {role:?}");
        }
    }
}

#[tokio::test]
async fn records_may_be_split_anywhere() {
    for chunk in [1, 3, 7] {
        for role in ROLES {
            let (records, pipe, mut theirs) = connect(role, SUITES[0], pipes::pair_in_chunks(chunk)).await;
            trade(&mut Channel::new(pipe, records), &mut theirs, &bytes(3000), &bytes(2000)).await;
        }
    }
}

#[tokio::test]
async fn data_right_behind_the_handshake_is_kept() {
    let (a, b) = pipes::pair();
    let mut plain = Plain::new(a, Role::Dialer, &only(SUITES[0]));
    // Sent in one write with the last message of the handshake.
    plain.tls.writer().write_all(b"early").unwrap();
    let us = honest(1);
    let (done, ours) = in_time("the handshake", join(plain.handshake(), handshake::listen(b, &us))).await;
    done.unwrap();
    let mut data = [0; 5];
    in_time("data", super::channel(ours.unwrap()).read_exact(&mut data)).await.unwrap();
    assert_eq!(&data, b"early");
}

#[tokio::test]
async fn the_peer_may_change_its_keys_and_have_us_change_ours() {
    for suite in SUITES {
        for role in ROLES {
            let (mut ours, mut theirs) = connected(role, suite).await;
            for round in 1..5 {
                for _ in 0..round {
                    theirs.tls.refresh_traffic_keys().unwrap();
                    theirs.push().await.unwrap();
                }
                trade(&mut ours, &mut theirs, &bytes(40_000), &bytes(50_000)).await;
            }
        }
    }
}

#[tokio::test]
async fn we_change_our_keys_in_time() {
    for suite in SUITES {
        for role in ROLES {
            let (mut records, pipe, mut theirs) = connect(role, suite, pipes::pair()).await;
            records.renew_after(5);
            let mut ours = Channel::new(pipe, records);
            for _ in 0..3 {
                trade(&mut ours, &mut theirs, &bytes(60_000), &bytes(10)).await;
            }
        }
    }
}

#[tokio::test]
async fn either_side_may_end_and_read_on() {
    for role in ROLES {
        let (mut ours, mut theirs) = connected(role, SUITES[0]).await;
        ours.write_all(b"question").await.unwrap();
        ours.shutdown().await.unwrap();
        assert_eq!(theirs.receive(8).await.unwrap(), b"question");
        theirs.send(b"answer").await.unwrap();
        theirs.tls.send_close_notify();
        theirs.push().await.unwrap();
        let mut answer = Vec::new();
        in_time("the end", ours.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, b"answer");
    }
}

#[tokio::test]
async fn the_peer_learns_that_a_record_was_altered() {
    for role in ROLES {
        let (mut ours, mut theirs) = connected(role, SUITES[0]).await;
        theirs.send(b"good").await.unwrap();
        theirs.pipe.write_all(&[&[23, 3, 3, 0, 20][..], &[7; 20]].concat()).await.unwrap();
        let mut data = Vec::new();
        let error = in_time("the end", ours.read_to_end(&mut data)).await.unwrap_err();
        assert_eq!((&data[..], Error::from(error).kind()), (&b"good"[..], &Kind::AuthenticationFailed));
        let told = in_time("the alert", theirs.receive(1)).await.unwrap_err();
        let told = told.into_inner().unwrap().downcast::<TlsError>().unwrap();
        assert_eq!(*told, TlsError::AlertReceived(AlertDescription::BadRecordMac));
    }
}
