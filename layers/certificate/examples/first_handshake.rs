//! What the handshakes of a fresh process cost: both sides, in memory, in milliseconds of this thread's CPU time.
//!
//! ```sh
//! cargo run --release -p stackwire-certificate --example first_handshake            # ours
//! cargo run --release -p stackwire-certificate --example first_handshake -- aws-lc  # randomness by aws-lc
//! ```
//!
//! The clock is Linux's.

use std::{error::Error, fs, sync::Arc};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{ClientConnection, ServerConnection, crypto::aws_lc_rs::default_provider, pki_types::ServerName};
use stackwire_certificate::{Settings, Verifier, making, provider};
use stackwire_core::Keypair;

fn main() -> Result<(), Box<dyn Error>> {
    let by_aws_lc = std::env::args().any(|argument| argument == "aws-lc");
    let start = cpu()?;
    let provider = Arc::new(if by_aws_lc { default_provider() } else { provider() });
    let identities = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
    let mut certificates = Vec::new();
    for identity in &identities {
        certificates.push(Arc::new(match by_aws_lc {
            true => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                making::certify(making::params(vec![making::extension(identity, &key)]), &key, &provider)?
            }
            false => making::make(identity, &provider)?,
        }));
    }
    let mut last = cpu()?;
    println!("certificates: {:.2} ms", (last - start) / 1e6);
    for number in 1..=5 {
        let settings = |side: usize| Settings {
            provider: provider.clone(),
            certificate: certificates[side].clone(),
            verifier: Arc::new(Verifier::new(provider.signature_verification_algorithms, None)),
            alpn: vec![b"libp2p".to_vec()],
            env: stackwire_conformance::env(),
        };
        let name = ServerName::try_from("localhost")?;
        let mut client = ClientConnection::new(Arc::new(settings(0).client()?), name)?;
        let mut server = ServerConnection::new(Arc::new(settings(1).server()?))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes)?;
            server.read_tls(&mut &bytes[..])?;
            server.process_new_packets()?;
            bytes.clear();
            server.write_tls(&mut bytes)?;
            client.read_tls(&mut &bytes[..])?;
            client.process_new_packets()?;
        }
        let now = cpu()?;
        println!("handshake {number}: {:.2} ms", (now - last) / 1e6);
        last = now;
    }
    Ok(())
}

/// Nanoseconds that this thread has had of a CPU.
fn cpu() -> Result<f64, Box<dyn Error>> {
    // The kernel counts up to the last tick, or to the last time that the thread gave way.
    std::thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(times.split_whitespace().next().ok_or("an empty schedstat")?.parse()?)
}
