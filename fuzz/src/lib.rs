//! What the fuzz targets share: a peer that says an input, honest peers for what lies behind a handshake, and inputs
//! that begin as valid ones.
//!
//! A target ends by itself on every input. Its time is paused and jumps to the next timer as soon as every task
//! waits, so that a wait which nothing ends fails at once.

pub mod ecies;
pub mod noise;
mod peer;
pub mod streams;
pub mod tls;

use std::sync::LazyLock;

use stackwire_core::{Error, Keypair, Kind};

pub use libfuzzer_sys;
pub use peer::{How, Step, check_reading, honest_part, script};

/// Our identity.
pub static US: LazyLock<Keypair> = LazyLock::new(|| Keypair::ed25519_from_seed([1; 32]));
/// The peer's identity.
pub static THEM: LazyLock<Keypair> = LazyLock::new(|| Keypair::ed25519_from_seed([2; 32]));

/// Defines a target: its body, which gets the input, and inputs that reach deep.
#[macro_export]
macro_rules! target {
    (|$input:ident| $body:block, examples: $examples:expr) => {
        $crate::libfuzzer_sys::fuzz_target!(|$input: &[u8]| { $body });
        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            static EXAMPLES: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(|| $examples);
            $crate::mutate(&EXAMPLES, data, size, max_size, seed)
        });
    };
}

/// The engine's own mutations; one in 64 begins with an example instead of an input of the corpus, and some of those
/// stay as they are.
pub fn mutate(examples: &[Vec<u8>], data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let seed = seed as usize;
    if !seed.is_multiple_of(64) || examples.is_empty() {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let example = &examples[seed / 64 % examples.len()];
    let size = example.len().min(max_size);
    data[..size].copy_from_slice(&example[..size]);
    if seed.is_multiple_of(256) { size } else { libfuzzer_sys::fuzzer_mutate(data, size, max_size) }
}

/// Runs a target to its end.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O").block_on(stackwire_conformance::in_time("the target", work))
}

/// Panics where `error` blames us for what a peer sent, or does not say where it happened.
pub fn blames_the_peer(error: impl Into<Error>) {
    let error = error.into();
    assert!(!matches!(error.kind(), Kind::Internal | Kind::ConfigInvalid | Kind::Io), "{error:?}");
    assert!(error.layer().is_some(), "{error:?}");
    assert!(!error.to_string().is_empty());
}

/// A protobuf field of bytes.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], delimited(bytes).as_slice()].concat()
}

/// `bytes`, of which there are less than 16 KiB, behind their length as an unsigned varint.
pub fn delimited(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let prefix = [length as u8 | 0x80, (length >> 7) as u8];
    let short = [length as u8];
    [if length < 0x80 { &short[..] } else { &prefix }, bytes].concat()
}
