//! Keys, signed records, names: what two implementations must understand alike before they talk.

use libp2p::{
    core::{PeerRecord as TheirRecord, SignedEnvelope},
    identity::Keypair as TheirKeypair,
};
use stackwire_interop::{Muxer, Ours, Peer, Security, Stack, Theirs, Transport, in_time};
use stackwire_node::{
    Env, Keypair, Multiaddr, TokioRuntime, address,
    identity::{Envelope, KeyType, PeerRecord, RecordDomain},
};

/// Made for this test; it opens nothing.
const RSA: &[u8] = include_bytes!("rsa-2048.pk8");

fn stack(security: Security) -> Stack {
    Stack { transport: Transport::Tcp, security, muxer: Muxer::Yamux }
}

/// Of every type that we make.
fn our_keys() -> [Keypair; 3] {
    let env = Env::new(TokioRuntime::new());
    let make = |key_type| Keypair::generate(key_type, &env).expect("a key is made");
    [KeyType::Ed25519, KeyType::Secp256k1, KeyType::Ecdsa].map(make)
}

/// Of every type that they have.
fn their_keys() -> [TheirKeypair; 4] {
    let rsa = TheirKeypair::rsa_from_pkcs8(&mut RSA.to_vec()).expect("a key");
    [TheirKeypair::generate_ed25519(), TheirKeypair::generate_secp256k1(), TheirKeypair::generate_ecdsa(), rsa]
}

/// They connect, and each knows who the other is.
async fn recognize(dialer: &impl Peer, listener: &impl Peer) {
    let address = address::with_peer(&listener.address(), listener.id());
    in_time("connecting", dialer.connect(address)).await;
    in_time("being connected", listener.connected(dialer.id())).await;
    assert_eq!(in_time("asking", dialer.told(listener.id())).await.peer, listener.id());
    assert_eq!(in_time("asking back", listener.told(dialer.id())).await.peer, dialer.id());
}

async fn every_type_of_key(security: Security, ours: &[Keypair], theirs: &[TheirKeypair]) {
    let stack = stack(security);
    for (our, their) in ours.iter().cycle().zip(theirs) {
        let ours = || Ours::with_identity(stack, our.clone());
        let theirs = || in_time("starting", Theirs::with_identity(stack, their.clone()));
        recognize(&ours().await, &theirs().await).await;
        recognize(&theirs().await, &ours().await).await;
    }
}

#[tokio::test]
async fn noise_proves_every_type_of_key() {
    every_type_of_key(Security::Noise, &our_keys(), &their_keys()).await;
}

#[tokio::test]
async fn tls_proves_every_type_of_key() {
    every_type_of_key(Security::Tls, &our_keys(), &their_keys()).await;
}

#[tokio::test]
async fn plaintext_tells_short_keys() {
    // Their plaintext takes messages of up to 100 bytes: those of ECDSA and RSA keys are longer, also between them.
    every_type_of_key(Security::Plaintext, &our_keys()[..2], &their_keys()[..2]).await;
}

#[test]
fn keys_are_stored_alike() {
    for key in our_keys() {
        let theirs = TheirKeypair::from_protobuf_encoding(&key.encode()).expect("they read our key");
        assert_eq!(theirs.public().to_peer_id(), key.peer_id());
        assert_eq!(theirs.public().encode_protobuf(), key.public().encode());
        assert!(theirs.public().verify(b"hello", &key.sign(b"hello")));
    }
    // They can't write RSA keys, we can't sign with them.
    for key in &their_keys()[..3] {
        let ours = Keypair::decode(&key.to_protobuf_encoding().expect("an encoding")).expect("we read their key");
        assert_eq!(ours.peer_id(), key.public().to_peer_id());
    }
    for key in their_keys() {
        let public = stackwire_node::PublicKey::decode(&key.public().encode_protobuf()).expect("we read their key");
        assert_eq!(public.peer_id(), key.public().to_peer_id());
        assert!(public.verify(b"hello", &key.sign(b"hello").expect("a signature")));
        assert!(!public.verify(b"hallo", &key.sign(b"hello").expect("a signature")));
    }
}

#[test]
fn they_verify_our_peer_records() {
    let addresses: Vec<Multiaddr> = vec!["/ip4/192.0.2.1/tcp/4001".parse().expect("an address")];
    for key in our_keys() {
        let record = PeerRecord::seal(&key, 7, &addresses).encode();
        let envelope = SignedEnvelope::from_protobuf_encoding(&record).expect("an envelope");
        let read = TheirRecord::from_signed_envelope_interop(envelope).expect("a record");
        let read_addresses: Vec<Multiaddr> = read.addresses().iter().cloned().map(Into::into).collect();
        assert_eq!((read.peer_id(), read.seq(), &read_addresses), (key.peer_id(), 7, &addresses));
    }
}

#[test]
fn we_verify_their_peer_records_of_both_domains() {
    let addresses: Vec<Multiaddr> = vec!["/ip4/192.0.2.1/tcp/4001".parse().expect("an address")];
    let theirs: Vec<libp2p::Multiaddr> = addresses.iter().cloned().map(Into::into).collect();
    for key in their_keys() {
        let legacy = TheirRecord::new(&key, theirs.clone()).expect("a record");
        let standard = TheirRecord::new_interop(&key, theirs.clone()).expect("a record");
        for (record, expected) in [(legacy, RecordDomain::Legacy), (standard, RecordDomain::PeerRecord)] {
            let envelope = Envelope::decode(&record.into_signed_envelope().into_protobuf_encoding());
            let (read, domain) = PeerRecord::open(&envelope.expect("an envelope")).expect("a record");
            assert_eq!((read.peer, read.addresses, domain), (key.public().to_peer_id(), addresses.clone(), expected));
        }
    }
}

#[tokio::test]
async fn a_peer_is_dialed_by_name() {
    for transport in [Transport::Tcp, Transport::Ws] {
        let stack = Stack { transport, ..stack(Security::Noise) };
        let (ours, theirs) = (Ours::start(stack).await, in_time("starting", Theirs::start(stack)).await);
        let named = address::with_peer(&theirs.address(), theirs.id()).to_string();
        let named = named.replace("/ip4/127.0.0.1/", "/dns4/localhost/").parse().expect("an address");
        in_time("connecting", ours.connect(named)).await;
        let other = Ours::start(stack).await;
        let named = address::with_peer(&other.address(), other.id()).to_string();
        let named = named.replace("/ip4/127.0.0.1/", "/dns4/localhost/").parse().expect("an address");
        in_time("connecting", theirs.connect(named)).await;
    }
}

#[tokio::test]
async fn they_refuse_to_be_taken_for_somebody_else() {
    for security in [Security::Noise, Security::Tls, Security::Plaintext] {
        let stack = stack(security);
        let (ours, theirs) = (Ours::start(stack).await, in_time("starting", Theirs::start(stack)).await);
        let somebody = TheirKeypair::generate_ed25519().public().to_peer_id();
        let wrong = address::with_peer(&theirs.address(), somebody);
        let error = in_time("connecting", ours.try_connect(wrong)).await.expect_err("another peer answers");
        assert!(error.contains(&theirs.id().to_string()) && error.contains(&somebody.to_string()), "{error}");
    }
}
