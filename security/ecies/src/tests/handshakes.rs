//! Handshakes with honest peers, with peers that break the protocol, and with somebody in between.

use futures::future::join;
use stackwire_conformance::{env_seeded, pipes};
use stackwire_core::{
    BoxPipe, Error, Keypair, Kind, ProtocolId, Result, Role, SecuredPipe, Security, SecurityContext, Violation,
    address::{Fixed, FixedPath},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Cipher, Ecies,
    aead::TAG,
    ephemeral::Ephemeral,
    introduction::{MAX_INTRODUCTION, encode_claims, encode_introduction, introduce},
    schedule::Schedule,
    suite::Suite,
    terms::{MAX_ENTRIES, Terms},
};

const TLS: &str = "/tls/1.0.0";

/// One side.
struct Side {
    ecies: Ecies,
    identity: Keypair,
    offers: Vec<ProtocolId>,
    muxers: Vec<ProtocolId>,
    fixed: FixedPath,
}

impl Side {
    fn new(seed: u8) -> Self {
        Self {
            ecies: Ecies::new(Cipher::Auto, 1 << 30),
            identity: Keypair::ed25519_from_seed([seed; 32]),
            offers: vec![Ecies::ID.into()],
            muxers: Vec::new(),
            fixed: FixedPath::default(),
        }
    }

    fn offering(mut self, offers: &[&'static str]) -> Self {
        self.offers = offers.iter().copied().map(ProtocolId::new).collect();
        self
    }

    fn wanting(mut self, cipher: Cipher) -> Self {
        self.ecies = Ecies::new(cipher, 1 << 30);
        self
    }

    async fn handshake(&self, pipe: BoxPipe, role: Role) -> Result<SecuredPipe> {
        let env = env_seeded(role as u64);
        let context = SecurityContext::new(&self.identity, &env)
            .with_muxers(&self.muxers)
            .with_offers(&self.offers)
            .with_fixed(&self.fixed);
        self.ecies.handshake(pipe, role, context).await
    }
}

async fn both(dialer: &Side, listener: &Side) -> (Result<SecuredPipe>, Result<SecuredPipe>) {
    let (a, b) = pipes::pair();
    join(dialer.handshake(a, Role::Dialer), listener.handshake(b, Role::Listener)).await
}

/// A peer that knows the protocol and keeps to it as far as a test wants.
struct Peer {
    pipe: BoxPipe,
    role: Role,
    schedule: Schedule,
    identity: Keypair,
}

impl Peer {
    /// Exchanges hellos, as a listener that answers with `suite`.
    async fn hello(mut pipe: BoxPipe, role: Role, suite: Suite) -> Self {
        let key = Ephemeral::of_scalar(&[9; 32]).unwrap();
        let ours = [&[suite as u8], &key.public()[..]].concat();
        let mut theirs = [0; 34];
        if role == Role::Dialer {
            pipe.write_all(&ours).await.unwrap();
        }
        pipe.read_exact(&mut theirs).await.unwrap();
        if role == Role::Listener {
            pipe.write_all(&ours).await.unwrap();
        }
        let shared = key.agree(theirs[1..].try_into().unwrap()).unwrap();
        let schedule = match role {
            Role::Dialer => Schedule::new(Suite::of_wire(theirs[0]).unwrap(), &ours, &theirs, &shared),
            Role::Listener => Schedule::new(suite, &theirs, &ours, &shared),
        };
        Self { pipe, role, schedule, identity: Keypair::ed25519_from_seed([8; 32]) }
    }

    async fn receive(&mut self) {
        let length = self.pipe.read_u16().await.unwrap();
        let mut sealed = vec![0; length.into()];
        self.pipe.read_exact(&mut sealed).await.unwrap();
        self.schedule.open(self.role.other(), sealed, |_, _| Ok(())).unwrap();
    }

    async fn send(&mut self, introduction: &[u8]) {
        let sealed = self.schedule.seal(self.role, introduction);
        self.pipe.write_u16(sealed.len() as u16).await.unwrap();
        self.pipe.write_all(&sealed).await.unwrap();
    }

    fn honest(&self) -> Vec<u8> {
        introduce(&self.schedule, self.role, &self.identity, &Terms::default())
    }
}

/// What a side says to a peer that introduces itself by `introduction`.
async fn told(role: Role, introduction: impl Fn(&Peer) -> Vec<u8>) -> Result<SecuredPipe> {
    let (ours, theirs) = pipes::pair();
    let peer = async {
        let mut peer = Peer::hello(theirs, role.other(), Suite::ChaCha20Poly1305).await;
        if role == Role::Listener {
            peer.receive().await;
        }
        let introduction = introduction(&peer);
        peer.send(&introduction).await;
        peer
    };
    let side = Side::new(1);
    let (result, _peer) = join(side.handshake(ours, role), peer).await;
    result
}

fn kind(result: Result<SecuredPipe>) -> Kind {
    let error = result.err().expect("the handshake fails");
    assert_eq!(error.plugin(), Some("ecies"));
    error.kind().clone()
}

const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

#[tokio::test]
async fn an_honest_peer_is_known_by_its_key() {
    for role in ROLES {
        let secured = told(role, Peer::honest).await.unwrap();
        assert_eq!(secured.peer, *Keypair::ed25519_from_seed([8; 32]).public());
        assert_eq!(secured.round_trips, 1);
    }
}

#[tokio::test]
async fn the_proof_of_somebody_else_is_none() {
    for role in ROLES {
        // The key of one, the signature of another.
        let stolen = |peer: &Peer| {
            let claims = encode_claims(Keypair::ed25519_from_seed([5; 32]).public(), &Terms::default());
            let signature = peer.identity.sign(&peer.schedule.signed_text(peer.role, &claims));
            encode_introduction(claims, signature)
        };
        assert_eq!(kind(told(role, stolen).await), Kind::AuthenticationFailed);

        // A proof of the other role.
        let turned = |peer: &Peer| introduce(&peer.schedule, peer.role.other(), &peer.identity, &Terms::default());
        assert_eq!(kind(told(role, turned).await), Kind::AuthenticationFailed);

        // A proof from another handshake.
        let old = |peer: &Peer| {
            let schedule = Schedule::new(Suite::ChaCha20Poly1305, &[1; 34], &[2; 34], &[3; 32]);
            introduce(&schedule, peer.role, &peer.identity, &Terms::default())
        };
        assert_eq!(kind(told(role, old).await), Kind::AuthenticationFailed);
    }
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_blamed() {
    for role in ROLES {
        let long = |peer: &Peer| {
            let terms = Terms { muxers: vec!["/m".into(); MAX_ENTRIES + 1], offers: Vec::new() };
            introduce(&peer.schedule, peer.role, &peer.identity, &terms)
        };
        assert_eq!(kind(told(role, long).await), Kind::PeerMisbehaved(Violation::TooLarge));
        assert_eq!(kind(told(role, |_| vec![0xff; 10]).await), Kind::PeerMisbehaved(Violation::Malformed));
        assert_eq!(
            kind(told(role, |_| vec![0; MAX_INTRODUCTION + 1]).await),
            Kind::PeerMisbehaved(Violation::TooLarge)
        );
    }
}

#[tokio::test]
async fn hellos_that_are_none_are_refused_at_once() {
    let point = Ephemeral::of_scalar(&[9; 32]).unwrap().public();
    let unknown_cipher = [&[3], &point[..]].concat();
    let uncompressed = [&[1, 4], &point[1..]].concat();
    // No point has the x-coordinate 5.
    let off_curve = [&[1, 2][..], &[0; 31], &[5]].concat();
    for role in ROLES {
        for hello in [&[0; 34][..], &unknown_cipher, &uncompressed, &off_curve] {
            let (ours, mut theirs) = pipes::pair();
            theirs.write_all(hello).await.unwrap();
            // The peer neither says more nor leaves.
            assert_eq!(
                kind(Side::new(1).handshake(ours, role).await),
                Kind::PeerMisbehaved(Violation::Malformed),
                "{role:?} {hello:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_length_alone_is_not_believed() {
    for length in [0, TAG - 1, MAX_INTRODUCTION + TAG + 1, u16::MAX.into()] {
        let (ours, theirs) = pipes::pair();
        let peer = async {
            let mut peer = Peer::hello(theirs, Role::Listener, Suite::ChaCha20Poly1305).await;
            peer.pipe.write_u16(length as u16).await.unwrap();
            peer
        };
        let side = Side::new(1);
        let (result, _peer) = join(side.handshake(ours, Role::Dialer), peer).await;
        let violation = if length < TAG { Violation::Malformed } else { Violation::TooLarge };
        assert_eq!(kind(result), Kind::PeerMisbehaved(violation), "{length}");
    }
}

#[tokio::test]
async fn a_listener_that_forces_aes_on_us_is_blamed() {
    let (ours, theirs) = pipes::pair();
    let peer = Peer::hello(theirs, Role::Listener, Suite::Aes256Gcm);
    let side = Side::new(1).wanting(Cipher::ChaCha20Poly1305);
    let (result, _peer) = join(side.handshake(ours, Role::Dialer), peer).await;
    assert_eq!(kind(result), Kind::PeerMisbehaved(Violation::WrongAnswer));
}

#[tokio::test]
async fn sides_that_want_different_ciphers_understand_each_other() {
    let ciphers = [Cipher::Auto, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
    for (a, b) in ciphers.iter().flat_map(|a| ciphers.map(|b| (*a, b))) {
        let (at_dialer, at_listener) = both(&Side::new(1).wanting(a), &Side::new(2).wanting(b)).await;
        let (mut dialer, mut listener) = (at_dialer.unwrap().pipe, at_listener.unwrap().pipe);
        dialer.write_all(b"hello").await.unwrap();
        dialer.shutdown().await.unwrap();
        let mut data = Vec::new();
        listener.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"hello");
    }
}

/// Somebody in between struck TLS from what the dialer offered and from what the listener answered, and both took what
/// was left.
#[tokio::test]
async fn who_strips_the_better_offers_is_found_out_by_both_sides() {
    let (dialer, listener) = (Side::new(1).offering(&[TLS, Ecies::ID]), Side::new(2).offering(&[Ecies::ID, TLS]));
    let (at_dialer, at_listener) = both(&dialer, &listener).await;
    for result in [at_dialer, at_listener] {
        let error = result.err().expect("a downgrade is no handshake");
        assert_eq!(error.kind(), &Kind::AuthenticationFailed);
        assert!(error.to_string().contains("downgrade was detected"), "{error}");
        assert!(error.to_string().contains(TLS), "what was stripped is named: {error}");
    }
}

#[tokio::test]
async fn negotiations_that_nobody_tampered_with_pass() {
    let honest: [(&[&'static str], &[&'static str]); 4] = [
        (&[Ecies::ID, TLS], &[TLS, Ecies::ID]),
        (&[TLS, Ecies::ID], &["/noise", Ecies::ID]),
        (&[], &[TLS, Ecies::ID]),
        (&[], &[]),
    ];
    for (ours, theirs) in honest {
        let (at_dialer, at_listener) = both(&Side::new(1).offering(ours), &Side::new(2).offering(theirs)).await;
        assert!(at_dialer.is_ok() && at_listener.is_ok(), "{ours:?} {theirs:?}");
    }
}

/// Whose address names the protocol chose it, whatever else it would offer elsewhere.
#[tokio::test]
async fn an_address_that_fixes_the_protocol_is_no_downgrade() {
    let mut dialer = Side::new(1).offering(&[TLS, Ecies::ID]);
    dialer.fixed = FixedPath::new([Fixed::Security("ecies".into())]);
    let (at_dialer, at_listener) = both(&dialer, &Side::new(2).offering(&[TLS, Ecies::ID])).await;
    assert!(at_dialer.is_ok() && at_listener.is_ok());
}

#[tokio::test]
async fn more_than_the_handshake_carries_is_our_own_fault() {
    let mut side = Side::new(1);
    side.muxers = vec!["/m".into(); MAX_ENTRIES + 1];
    let result = side.handshake(pipes::pair().0, Role::Dialer).await;
    assert_eq!(kind(result), Kind::LimitExceeded { limit: "muxers", max: MAX_ENTRIES as u64 });
}

/// A passive observer sees neither identity: no part of either is on the wire.
#[tokio::test]
async fn identities_are_not_on_the_wire() {
    let (dialer, listener) = (Side::new(1), Side::new(2));
    let (a, middle_a) = tokio::io::duplex(1 << 16);
    let (middle_b, b) = tokio::io::duplex(1 << 16);
    let (ours, theirs) = (stackwire_core::Buffered::new(a), stackwire_core::Buffered::new(b));
    let (mut from_a, mut to_a) = tokio::io::split(middle_a);
    let (mut from_b, mut to_b) = tokio::io::split(middle_b);
    let (up, down) = (&mut Vec::new(), &mut Vec::new());
    let handshakes = async {
        let (a, b) =
            join(dialer.handshake(Box::new(ours), Role::Dialer), listener.handshake(Box::new(theirs), Role::Listener))
                .await;
        // Both leave, so that the middle ends.
        assert!(a.is_ok() && b.is_ok());
    };
    let carry = async |from: &mut (dyn tokio::io::AsyncRead + Unpin + Send),
                       to: &mut (dyn tokio::io::AsyncWrite + Unpin + Send),
                       seen: &mut Vec<u8>| {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            seen.extend_from_slice(&chunk[..n]);
            if to.write_all(&chunk[..n]).await.is_err() {
                break;
            }
        }
    };
    join(handshakes, join(carry(&mut from_a, &mut to_b, up), carry(&mut from_b, &mut to_a, down))).await;
    assert!(up.len() > 100 && down.len() > 100);
    for side in [&dialer, &listener] {
        let stackwire_core::PublicKey::Ed25519(key) = side.identity.public() else { unreachable!() };
        for bytes in [&up, &down] {
            assert!(!bytes.windows(8).any(|window| key.windows(8).any(|part| part == window)));
        }
    }
}

/// The channel outlives many changes of its key, in both directions, and memory stays with the buffers.
#[tokio::test]
async fn the_key_changes_under_a_running_channel() {
    let mut sides = [Side::new(1), Side::new(2)];
    // The two sides need not agree on when.
    sides[0].ecies = Ecies::new(Cipher::Aes256Gcm, 1);
    sides[1].ecies = Ecies::new(Cipher::Aes256Gcm, 1000);
    let (at_dialer, at_listener) = both(&sides[0], &sides[1]).await;
    let (mut a, mut b) = (at_dialer.unwrap().pipe, at_listener.unwrap().pipe);
    for round in 0..100u32 {
        // So much that it pays for a change.
        let message = round.to_be_bytes().repeat(8 * 1024 + round as usize % 50);
        let mut read = vec![0; message.len()];
        a.write_all(&message).await.unwrap();
        a.flush().await.unwrap();
        b.read_exact(&mut read).await.unwrap();
        assert_eq!(read, message);
        b.write_all(&message).await.unwrap();
        b.flush().await.unwrap();
        a.read_exact(&mut read).await.unwrap();
        assert_eq!(read, message);
    }
}

#[tokio::test]
async fn a_reset_is_told_to_who_uses_the_channel() {
    let (at_dialer, _at_listener) = both(&Side::new(1), &Side::new(2)).await;
    let mut pipe = at_dialer.unwrap().pipe;
    pipe.reset(7);
    let read = Error::io("reading", pipe.read(&mut [0; 1]).await.unwrap_err());
    let write = Error::io("writing", pipe.write(&[0; 1]).await.unwrap_err());
    assert_eq!([read.kind(), write.kind()], [&Kind::Reset { code: 7 }; 2]);
}
