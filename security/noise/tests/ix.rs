//! `noise-ix`: Libra's bytes as far as they are known, and whom it lets in.

mod ends;

use ends::{End, identity, meet, refusal, x25519};
use futures::future::join;
use snow::{Builder, HandshakeState};
use stackwire_core::{Buffered, Kind, PublicKey, Role, address::Fixed, trust::TrustedPeer};
use stackwire_security_noise::{NoiseIx, NoiseIxConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn noise(options: &str) -> NoiseIx {
    NoiseIx::new(ends::config(options)).unwrap()
}

/// A peer of plain `snow` with its own primitives, which frames messages by hand.
struct Plain {
    pipe: DuplexStream,
    state: HandshakeState,
}

impl Plain {
    fn new(pipe: DuplexStream, role: Role, private: &[u8; 32]) -> Self {
        let builder = Builder::new("Noise_IX_25519_AESGCM_SHA256".parse().unwrap()).local_private_key(private).unwrap();
        let state = match role {
            Role::Dialer => builder.build_initiator().unwrap(),
            Role::Listener => builder.build_responder().unwrap(),
        };
        Self { pipe, state }
    }

    async fn send(&mut self, length: u16) {
        let mut message = [0; 1000];
        let n = self.state.write_message(&[], &mut message).unwrap();
        assert_eq!(n, usize::from(length));
        self.pipe.write_u16(length).await.unwrap();
        self.pipe.write_all(&message[..n]).await.unwrap();
    }

    async fn receive(&mut self, length: u16) {
        assert_eq!(self.pipe.read_u16().await.unwrap(), length);
        let mut message = vec![0; length.into()];
        self.pipe.read_exact(&mut message).await.unwrap();
        assert_eq!(self.state.read_message(&message, &mut [0; 1000]).unwrap(), 0, "no payload");
    }

    /// The handshake, then a frame each way.
    async fn run(mut self) {
        if self.state.is_initiator() {
            self.send(64).await;
            self.receive(96).await;
        } else {
            self.receive(64).await;
            self.send(96).await;
        }
        let mut transport = self.state.into_transport_mode().unwrap();
        let (mut frame, mut text) = ([0; 100], [0; 100]);
        let n = transport.write_message(b"from snow", &mut frame).unwrap();
        self.pipe.write_u16(n as u16).await.unwrap();
        self.pipe.write_all(&frame[..n]).await.unwrap();
        let n = self.pipe.read_u16().await.unwrap().into();
        self.pipe.read_exact(&mut frame[..n]).await.unwrap();
        let n = transport.read_message(&frame[..n], &mut text).unwrap();
        assert_eq!(&text[..n], b"to snow");
    }
}

#[tokio::test]
async fn meets_a_peer_with_other_primitives_in_either_role() {
    let them = identity(2);
    for role in [Role::Dialer, Role::Listener] {
        let (ours, theirs) = tokio::io::duplex(4096);
        let plain = Plain::new(theirs, role.other(), &them.x25519_secret().unwrap()).run();
        let us = async {
            let end = End::new(1).expecting(them.peer_id());
            let mut secured = end.handshake(&noise(""), Box::new(Buffered::new(ours)), role).await.unwrap();
            assert_eq!((&secured.peer, &secured.muxer), (them.public(), &None));
            assert_eq!(secured.round_trips, u8::from(role == Role::Dialer));
            secured.pipe.write_all(b"to snow").await.unwrap();
            secured.pipe.flush().await.unwrap();
            let mut data = [0; 9];
            secured.pipe.read_exact(&mut data).await.unwrap();
            assert_eq!(&data, b"from snow");
        };
        join(us, plain).await;
    }
}

#[tokio::test]
async fn mutual_means_that_both_are_trusted() {
    let (a, b) = (End::new(1), End::new(2));
    let [of_a, of_b] = [&a, &b].map(|end| format!("trusted = [{{ peer = \"{}\" }}]", end.identity.peer_id()));
    let mutual = |trusted: &str| noise(&format!("authentication = \"mutual\"\n{trusted}"));
    let (reached, reached_by) = meet((&mutual(&of_b), &a), (&mutual(&of_a), &b)).await;
    assert_eq!(&reached.unwrap().peer, b.identity.public(), "named by the set, without being expected");
    assert_eq!(&reached_by.unwrap().peer, a.identity.public());

    let (_, reached_by) = meet((&noise(""), &a), (&mutual(&of_b), &b)).await;
    assert_eq!(reached_by.err().unwrap().kind(), &Kind::AuthenticationFailed);
    let (reached, _) = meet((&mutual(&of_a), &a), (&noise(""), &b)).await;
    assert_eq!(reached.err().unwrap().kind(), &Kind::AuthenticationFailed);

    let listening = noise("");
    listening
        .trusted()
        .replace("code", [TrustedPeer { keys: [x25519(&b.identity)].into(), ..TrustedPeer::default() }])
        .unwrap();
    let (_, reached_by) = meet((&noise(""), &a), (&listening, &b)).await;
    assert_eq!(reached_by.unwrap().peer, PublicKey::X25519(x25519(&a.identity)), "anyone may dial");
}

#[tokio::test]
async fn we_do_not_talk_to_ourselves() {
    let (dialer, listener) = meet((&noise(""), &End::new(1)), (&noise(""), &End::new(1))).await;
    assert_eq!(listener.err().unwrap().kind(), &Kind::AuthenticationFailed);
    assert!(dialer.is_err());
}

/// Somebody who tells another's key, and does not have it.
async fn impostor(mut pipe: DuplexStream, victim: [u8; 32], then: &[u8]) {
    let mut plain = Builder::new("Noise_NN_25519_AESGCM_SHA256".parse().unwrap()).build_initiator().unwrap();
    let mut e = [0; 100];
    let n = plain.write_message(&[], &mut e).unwrap();
    let message = [&64u16.to_be_bytes(), &e[..n], &victim, then].concat();
    pipe.write_all(&message).await.unwrap();
    pipe.shutdown().await.unwrap();
    let mut answer = Vec::new();
    pipe.read_to_end(&mut answer).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_only_told_is_never_heard_from() {
    let victim = x25519(&identity(3));
    let forged = [&20u16.to_be_bytes()[..], &[9; 20]].concat();
    for then in [&[], forged.as_slice()] {
        let (ours, theirs) = tokio::io::duplex(4096);
        let listen = async {
            let end = End::new(2);
            let mut secured = end.handshake(&noise(""), Box::new(Buffered::new(ours)), Role::Listener).await.unwrap();
            let error = secured.prove().await.unwrap_err();
            let wanted = if then.is_empty() { Kind::Closed } else { Kind::AuthenticationFailed };
            assert_eq!(error.kind(), &wanted);
            let mut data = Vec::new();
            let _end = secured.pipe.read_to_end(&mut data).await;
            assert!(data.is_empty());
        };
        join(listen, impostor(theirs, victim, then)).await;
    }
}

#[tokio::test]
async fn an_address_cannot_ask_for_diems_handshake() {
    let (pipe, _theirs) = stackwire_conformance::pipes::pair();
    let end = End::new(1).fixed([Fixed::Handshake(0)]);
    let error = end.handshake(&noise(""), pipe, Role::Dialer).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::AddressInvalid);
}

#[test]
fn options_that_make_no_sense_name_the_fix() {
    assert!(refusal::<NoiseIxConfig>("authentication = \"mutual\"").contains("`trusted_file`"));
    assert!(refusal::<NoiseIxConfig>("peer_id = 16").contains("unknown key"));
}
