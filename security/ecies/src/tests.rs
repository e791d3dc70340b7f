//! Tests of the whole protocol.

mod handshakes;
mod vectors;

use stackwire_core::Keypair;

use crate::schedule::Secret;

/// The secp256k1 identity of a scalar.
pub(crate) fn secp256k1(scalar: [u8; 32]) -> Keypair {
    // The `PrivateKey` protobuf: type 2, then the data.
    Keypair::decode(&[&[0x08, 2, 0x12, 32], &scalar[..]].concat()).expect("a scalar in range")
}

/// Compares a value with its vector; with `PRINT_VECTORS` set, prints it instead, as SPEC.md has it.
pub(crate) fn check(name: &str, value: &[u8]) {
    if std::env::var_os("PRINT_VECTORS").is_none() {
        assert_eq!(value, vector(name), "{name}");
        return;
    }
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    for line in hex.as_bytes().chunks(88) {
        println!("{name} = {}", std::str::from_utf8(line).expect("hex digits"));
    }
}

/// A secret of this byte.
pub(crate) fn secret(byte: u8) -> Secret {
    Secret::of_bytes([byte; 32])
}

/// The bytes of hex digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex digits"))
        .collect()
}

/// The vectors of SPEC.md: lines `name = hex`, of which several of one name are one value.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    let lines = include_str!("../SPEC.md").lines().filter_map(|line| line.split_once(" = "));
    let text: String = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value).collect();
    assert!(!text.is_empty(), "SPEC.md has no vector {name}");
    unhex(&text)
}
