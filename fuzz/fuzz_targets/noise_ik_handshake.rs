//! Noise IK with Diem's application handshake: bytes as they are, or what a peer says that has a key of its own.

#![no_main]

use std::{io, sync::LazyLock};

use snow::Error;
use stackwire_core::{
    BoxPipe, PublicKey, Role, Security, SecurityContext,
    address::{Fixed, FixedPath},
};
use stackwire_fuzz::{How, US, blames_the_peer, noise, run, target};
use stackwire_security_noise::{NoiseIk, NoiseIkConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

static NOISE: LazyLock<NoiseIk> =
    LazyLock::new(|| NoiseIk::new(NoiseIkConfig::default()).expect("the defaults make sense"));
/// The peer's static key.
const STATIC: [u8; 32] = [3; 32];
/// The message of a peer that agrees with us.
const AGREES: &[u8] = b"\0\x06\x01\0\x01\xfe\x04\x01";

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let fixed = FixedPath::new([Fixed::NoiseIk(Some(public())), Fixed::Handshake(0)]);
        let context =
            SecurityContext::new(&US, &env).with_fixed(&fixed);
        if how.variant & 1 == 0 {
            run(how.facing(bytes, async |pipe| {
                let error = NOISE.handshake(pipe, how.role, context).await.err();
                blames_the_peer(error.expect("bytes alone prove nothing"));
            }));
            return;
        }
        let (ours, theirs) = how.pair();
        let peer = async { peer(theirs, how.role.other(), bytes).await.map_err(|_left| ()) };
        match run(how.with(peer, NOISE.handshake(ours, how.role, context))) {
            Ok(secured) => assert_eq!(secured.peer, PublicKey::X25519(public()), "nobody else has proven a key"),
            Err(error) => blames_the_peer(error),
        }
    },
    examples: {
        let honest = [&[0; 8], public().as_slice(), AGREES].concat();
        let stranger = [&[0; 8], [9; 32].as_slice(), AGREES].concat();
        vec![
            How::input(Role::Listener, 0, &[7; 168]),
            How::input(Role::Dialer, 0, &[7; 48]),
            How::input(Role::Listener, 1, &honest),
            How::input(Role::Listener, 1, &stranger),
            How::input(Role::Dialer, 1, AGREES),
        ]
    }
);

fn public() -> [u8; 32] {
    static PUBLIC: LazyLock<[u8; 32]> = LazyLock::new(|| noise::public(&STATIC));
    *PUBLIC
}

/// A peer that keeps to Noise. A dialer takes its timestamp and its peer id off the input; the rest is sealed behind the
/// handshake.
async fn peer(mut pipe: BoxPipe, role: Role, input: &[u8]) -> io::Result<()> {
    let failed = |e: Error| io::Error::other(e);
    let us = US.public().x25519().expect("an Ed25519 identity has one");
    let builder = noise::builder("Noise_IK_25519_AESGCM_SHA256").map_err(failed)?;
    let builder = builder.local_private_key(&STATIC).map_err(failed)?;
    let mut buffer = vec![0; 65535];
    let (state, rest) = match role {
        Role::Dialer => {
            let Some((timestamp, rest)) = input.split_at_checked(8) else { return Ok(()) };
            let Some((id, rest)) = rest.split_at_checked(32) else { return Ok(()) };
            let prologue = [id, us.as_slice()].concat();
            let builder = builder.remote_public_key(&us).and_then(|b| b.prologue(&prologue)).map_err(failed)?;
            let mut state = builder.build_initiator().map_err(failed)?;
            let n = state.write_message(timestamp, &mut buffer).map_err(failed)?;
            pipe.write_all(&[prologue.as_slice(), &buffer[..n]].concat()).await?;
            let mut answer = [0; 48];
            pipe.read_exact(&mut answer).await?;
            state.read_message(&answer, &mut buffer).map_err(failed)?;
            (state, rest)
        }
        Role::Listener => {
            let mut message = [0; 168];
            pipe.read_exact(&mut message).await?;
            let (prologue, message) = message.split_at(64);
            let mut state = builder.prologue(prologue).and_then(|b| b.build_responder()).map_err(failed)?;
            state.read_message(message, &mut buffer).map_err(failed)?;
            let n = state.write_message(&[], &mut buffer).map_err(failed)?;
            pipe.write_all(&buffer[..n]).await?;
            (state, input)
        }
    };
    let mut state = state.into_transport_mode().map_err(failed)?;
    for part in rest.chunks(60_000) {
        let n = state.write_message(part, &mut buffer).map_err(failed)?;
        pipe.write_all(&[&(n as u16).to_be_bytes(), &buffer[..n]].concat()).await?;
    }
    pipe.shutdown().await
}
