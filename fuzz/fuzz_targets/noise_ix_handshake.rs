//! Noise IX and the proof behind it: bytes as they are, or what a peer seals that has a key of its own, or none.

#![no_main]

use std::{io, sync::LazyLock};

use snow::Error;
use stackwire_core::{BoxPipe, Kind, PublicKey, Role, Security, SecurityContext, address::FixedPath};
use stackwire_fuzz::{How, US, blames_the_peer, noise, run, target};
use stackwire_security_noise::{NoiseIx, NoiseIxConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

static NOISE: LazyLock<NoiseIx> =
    LazyLock::new(|| NoiseIx::new(NoiseIxConfig::default()).expect("the defaults make sense"));
/// The peer's static key.
const STATIC: [u8; 32] = [3; 32];
static PUBLIC: LazyLock<[u8; 32]> = LazyLock::new(|| noise::public(&STATIC));

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let fixed = FixedPath::default();
        let context =
            SecurityContext::new(&US, &env).with_fixed(&fixed);
        let proven = async |pipe| {
            let mut secured = NOISE.handshake(pipe, how.role, context).await?;
            secured.prove().await.map(|()| secured.peer)
        };
        if how.variant & 1 == 0 {
            run(how.facing(bytes, async |pipe| {
                let error = proven(pipe).await.expect_err("bytes alone prove nothing");
                assert_ne!(error.kind(), &Kind::Internal, "{error:?}");
            }));
            return;
        }
        let (ours, theirs) = how.pair();
        let peer = async { peer(theirs, how.role.other(), bytes).await.map_err(|_left| ()) };
        match run(how.with(peer, proven(ours))) {
            Ok(peer) => assert_eq!(peer, PublicKey::X25519(*PUBLIC), "nobody else has proven a key"),
            Err(error) if error.layer().is_some() => blames_the_peer(error),
            Err(error) => assert_eq!(error.kind(), &Kind::Closed, "{error:?}"),
        }
    },
    examples: vec![
        How::input(Role::Listener, 0, &[&[0, 64], &[9; 64][..]].concat()),
        How::input(Role::Dialer, 0, &[&[0, 96], &[9; 96][..]].concat()),
        How::input(Role::Listener, 1, b"content"),
        How::input(Role::Listener, 1, b""),
        How::input(Role::Dialer, 1, b"content"),
    ]
);

/// A peer that keeps to Noise, seals the input behind the handshake, and ends its half.
async fn peer(mut pipe: BoxPipe, role: Role, input: &[u8]) -> io::Result<()> {
    let failed = |e: Error| io::Error::other(e);
    let builder = noise::builder("Noise_IX_25519_AESGCM_SHA256").and_then(|b| b.local_private_key(&STATIC));
    let mut buffer = vec![0; 65535];
    let builder = builder.map_err(failed)?;
    let mut state = match role {
        Role::Dialer => builder.build_initiator(),
        Role::Listener => builder.build_responder(),
    }
    .map_err(failed)?;
    while !state.is_handshake_finished() {
        if state.is_my_turn() {
            let n = state.write_message(&[], &mut buffer).map_err(failed)?;
            pipe.write_all(&[&(n as u16).to_be_bytes(), &buffer[..n]].concat()).await?;
        } else {
            let mut message = vec![0; pipe.read_u16().await?.into()];
            pipe.read_exact(&mut message).await?;
            state.read_message(&message, &mut buffer).map_err(failed)?;
        }
    }
    let mut state = state.into_transport_mode().map_err(failed)?;
    let n = state.write_message(input.get(..60_000).unwrap_or(input), &mut buffer).map_err(failed)?;
    pipe.write_all(&[&(n as u16).to_be_bytes(), &buffer[..n]].concat()).await?;
    pipe.shutdown().await
}
