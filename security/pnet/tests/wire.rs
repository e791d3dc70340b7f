//! What a private network is, byte by byte: the key file, the fingerprint, and the stream, which is computed here a
//! second time, from the definition of the cipher.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use proptest::prelude::*;
use stackwire_conformance::{in_time, pipes};
use stackwire_core::{Env, ProtectContext, Protector, Role, Runtime};
use stackwire_security_pnet::{Pnet, PreSharedKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The key and nonce of the examples in “Cryptography in NaCl” (D. J. Bernstein, 2009, section 8), whose stream begins
/// with [`STREAM`].
const KEY: &str = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389";
const NONCE: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
const STREAM: &str = "eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880";

fn hex<const N: usize>(text: &str) -> [u8; N] {
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

/// An environment whose only random number is this nonce.
fn env(nonce: [u8; 24]) -> Env {
    struct Fixed([u8; 24]);
    impl Runtime for Fixed {
        fn now(&self) -> Instant {
            unreachable!("nothing asks for the time")
        }
        fn unix_time(&self) -> Duration {
            unreachable!("nothing asks for the time")
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            unreachable!("nothing sleeps")
        }
        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0);
        }
        fn spawn(&self, _: BoxFuture<'static, ()>) {
            unreachable!("nothing is spawned")
        }
    }
    Env::new(Fixed(nonce))
}

/// The double round of Salsa20, ten times.
fn rounds(mut x: [u32; 16]) -> [u32; 16] {
    for _ in 0..10 {
        for [a, b, c, d] in [
            [0, 4, 8, 12],
            [5, 9, 13, 1],
            [10, 14, 2, 6],
            [15, 3, 7, 11], // columns
            [0, 1, 2, 3],
            [5, 6, 7, 4],
            [10, 11, 8, 9],
            [15, 12, 13, 14], // rows
        ] {
            x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
            x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
            x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
            x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
        }
    }
    x
}

fn state(key: &[u8; 32], input: &[u8; 16]) -> [u32; 16] {
    let word = |bytes: &[u8], i: usize| u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap());
    let k = |i| word(key, i);
    let n = |i| word(input, i);
    let c = |i| word(b"expand 32-byte k", i);
    [c(0), k(0), k(1), k(2), k(3), c(1), n(0), n(1), n(2), n(3), c(2), k(4), k(5), k(6), k(7), c(3)]
}

/// The first `length` bytes of the XSalsa20 stream, by the definition in “Extending the Salsa20 nonce”.
fn stream(key: &[u8; 32], nonce: &[u8; 24], length: usize) -> Vec<u8> {
    let z = rounds(state(key, nonce[..16].try_into().unwrap()));
    let mut subkey = [0; 32];
    for (part, i) in subkey.chunks_exact_mut(4).zip([0, 5, 10, 15, 6, 7, 8, 9]) {
        part.copy_from_slice(&z[i].to_le_bytes());
    }
    let mut stream = Vec::new();
    for block in 0u64.. {
        if stream.len() >= length {
            break;
        }
        let mut input = [0; 16];
        input[..8].copy_from_slice(&nonce[16..]);
        input[8..].copy_from_slice(&block.to_le_bytes());
        let start = state(&subkey, &input);
        for (word, of) in rounds(start).iter().zip(start) {
            stream.extend_from_slice(&word.wrapping_add(of).to_le_bytes());
        }
    }
    stream.truncate(length);
    stream
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[test]
fn our_second_computation_is_right() {
    assert_eq!(stream(&hex(KEY), &hex(NONCE), 32), hex::<32>(STREAM));
}

#[tokio::test]
async fn a_side_sends_its_nonce_then_what_it_says_xored_with_the_stream() {
    let said: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let expected = [&hex::<24>(NONCE)[..], &xor(&said, &stream(&hex(KEY), &hex(NONCE), said.len()))].concat();
    for role in [Role::Dialer, Role::Listener] {
        let (a, mut b) = pipes::pair();
        let pnet = Pnet::new(PreSharedKey::new(hex(KEY)));
        let mut a = pnet.protect(a, ProtectContext::new(role, &env(hex(NONCE)))).await.unwrap();
        let say = async {
            // In pieces of all sizes: where the stream is cut does not matter.
            let mut rest = &said[..];
            for size in (1..).step_by(977) {
                let (part, behind) = rest.split_at(rest.len().min(size));
                a.write_all(part).await.unwrap();
                if size % 2 == 0 {
                    a.flush().await.unwrap();
                }
                rest = behind;
                if rest.is_empty() {
                    return a.shutdown().await.unwrap();
                }
            }
        };
        let mut sent = Vec::new();
        let (_, heard) = in_time("the wire", async { tokio::join!(say, b.read_to_end(&mut sent)) }).await;
        heard.unwrap();
        assert!(sent == expected);
    }
}

#[tokio::test]
async fn a_side_takes_the_others_nonce_and_understands() {
    let theirs: [u8; 24] = std::array::from_fn(|i| i as u8);
    let said = b"what the other side says".repeat(1000);
    let sent = [&theirs[..], &xor(&said, &stream(&hex(KEY), &theirs, said.len()))].concat();
    let (a, mut b) = pipes::pair();
    let pnet = Pnet::new(PreSharedKey::new(hex(KEY)));
    let mut a = pnet.protect(a, ProtectContext::new(Role::Listener, &env(hex(NONCE)))).await.unwrap();
    b.write_all(&sent).await.unwrap();
    b.shutdown().await.unwrap();
    let mut heard = Vec::new();
    in_time("the wire", a.read_to_end(&mut heard)).await.unwrap();
    assert!(heard == said);
    // The other side may have waited for our nonce, which therefore was sent, although we said nothing.
    let mut nonce = [0; 24];
    in_time("our nonce", b.read_exact(&mut nonce)).await.unwrap();
    assert_eq!(nonce, hex(NONCE));
}

/// The dialer's nonce is not a packet of its own.
#[tokio::test]
async fn the_nonce_travels_with_the_first_bytes() {
    use tokio::io::AsyncBufReadExt;
    let (a, mut b) = pipes::pair();
    let pnet = Pnet::new(PreSharedKey::new(hex(KEY)));
    let mut a = pnet.protect(a, ProtectContext::new(Role::Dialer, &env(hex(NONCE)))).await.unwrap();
    assert!(futures::poll!(Box::pin(b.fill_buf())).is_pending(), "nothing is sent before there is something to say");
    a.write_all(b"first").await.unwrap();
    a.flush().await.unwrap();
    assert_eq!(b.fill_buf().await.unwrap().len(), 24 + 5);
}

/// The vector that go-libp2p and rust-libp2p agree on.
#[test]
fn the_fingerprint_is_that_of_others() {
    let key = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683";
    let fingerprint = PreSharedKey::from_hex(key).unwrap().fingerprint();
    assert_eq!(fingerprint.to_string(), "45fc986bbc9388a11d939df26f730f0c");
}

fn file(encoding: &str, key: &[u8], newline: &str) -> Vec<u8> {
    [format!("/key/swarm/psk/1.0.0/{newline}{encoding}{newline}").as_bytes(), key].concat()
}

/// The cases of go-libp2p's codec, with the line ends of both worlds.
#[test]
fn key_files_are_read_as_others_read_them() {
    let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
    let base64 = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let ff = b"FF".repeat(32);
    for newline in ["\n", "\r\n"] {
        for (encoding, text, key) in
            [("/base16/", &ff[..], [0xff; 32]), ("/base64/", base64, counting), ("/bin/", &counting, counting)]
        {
            for end in ["", newline, "\n\nwhat follows is ignored\n"] {
                let file = [&file(encoding, text, newline)[..], end.as_bytes()].concat();
                assert_eq!(PreSharedKey::from_swarm_key(&file), Ok(PreSharedKey::new(key)), "{encoding} {end:?}");
            }
        }
        assert!(PreSharedKey::from_swarm_key(&file("/verybadbase/", b"Have fun decoding that key", newline)).is_err());
    }
}

#[test]
fn files_that_hold_no_key_say_what_is_wrong() {
    let ff = b"ff".repeat(32);
    for (file, problem) in [
        (Vec::new(), "first line"),
        (b"/key/swarm/psk/1.0.0/".to_vec(), "second line"),
        (b"/key/swarm/psk/2.0.0/\n/base16/\n".to_vec(), "first line"),
        (file("/base16/", b"", "\n"), "64 hex digits"),
        (file("/base16/", &ff[1..], "\n"), "64 hex digits"),
        (file("/base16/", &[b"g", &ff[1..]].concat(), "\n"), "64 hex digits"),
        (file("/base16/", "ä".repeat(32).as_bytes(), "\n"), "64 hex digits"),
        (file("/base64/", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "\n"), "base64"),
        (file("/base64/", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", "\n"), "base64"),
        (file("/base64/", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-=", "\n"), "base64"),
        (file("/bin/", &[0; 31], "\n"), "less than 32"),
    ] {
        let told = PreSharedKey::from_swarm_key(&file).expect_err(problem);
        assert!(told.contains(problem), "{told}: {:?}", String::from_utf8_lossy(&file));
    }
}

proptest! {
    #[test]
    fn arbitrary_files_never_panic(
        encoding in prop::sample::select(vec!["/base16/", "/base64/", "/bin/", "/other/"]),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = PreSharedKey::from_swarm_key(&bytes);
        let _ = PreSharedKey::from_swarm_key(&file(encoding, &bytes, "\n"));
    }

    #[test]
    fn what_is_written_is_read(key: [u8; 32]) {
        let key = PreSharedKey::new(key);
        prop_assert_eq!(PreSharedKey::from_swarm_key(key.to_swarm_key().as_bytes()), Ok(key));
    }

    /// Arbitrary bytes from the peer are data, or an end within a nonce; never a panic or a hang.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (a, mut b) = pipes::pair();
            let pnet = Pnet::new(PreSharedKey::new([7; 32]));
            let mut a = pnet.protect(a, ProtectContext::new(Role::Listener, &env([0; 24]))).await.unwrap();
            b.write_all(&bytes).await.unwrap();
            b.shutdown().await.unwrap();
            let mut heard = Vec::new();
            let end = in_time("the end", a.read_to_end(&mut heard)).await;
            assert_eq!(end.is_err(), (1..24).contains(&bytes.len()));
            assert_eq!(heard.len(), bytes.len().saturating_sub(24));
        });
    }
}
