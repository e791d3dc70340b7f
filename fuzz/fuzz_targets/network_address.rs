//! Addresses in the form of Diem and Aptos.

#![no_main]

use stackwire_core::{Kind, address};
use stackwire_fuzz::target;
use stackwire_security_noise::network_address;

target!(
    |input| {
        match network_address::decode(input) {
            Ok(address) => {
                assert_eq!(network_address::encode(&address).expect("what was read can be written"), input);
                let text = address.to_string();
                // A name may be spelt like the path that an address fixes.
                if let Ok(same) = address::parse(&text) {
                    assert_eq!(same.to_string(), text);
                }
            }
            Err(error) => assert!(error.violation().is_some(), "{error}"),
        }
        let Ok(text) = std::str::from_utf8(input) else { return };
        let Ok(address) = address::parse(text) else { return };
        match network_address::encode(&address) {
            Ok(bytes) => {
                if let Ok(same) = network_address::decode(&bytes) {
                    assert_eq!(same, address);
                }
            }
            Err(error) => assert_eq!(error.kind(), &Kind::AddressInvalid),
        }
    },
    examples: {
        let key = "0b".repeat(32);
        let texts = [
            "/ip4/10.0.0.16/tcp/80".to_string(),
            "/ip6/2601::febc/tcp/6180".to_string(),
            "/memory/1234".to_string(),
            format!("/dns/example.com/tcp/6180/noise-ik/0x{key}/handshake/0"),
        ];
        let bytes = texts.iter().filter_map(|text| network_address::encode(&address::parse(text).ok()?).ok());
        bytes.chain(texts.iter().map(|text| text.clone().into_bytes())).collect()
    }
);
