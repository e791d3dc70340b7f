//! Files with the key of a private network.

#![no_main]

use stackwire_fuzz::target;
use stackwire_security_pnet::PreSharedKey;

target!(
    |input| {
        match PreSharedKey::from_swarm_key(input) {
            Ok(key) => {
                let again = PreSharedKey::from_swarm_key(key.to_swarm_key().as_bytes()).expect("what we write we read");
                assert_eq!((&again, again.fingerprint()), (&key, key.fingerprint()));
            }
            Err(why) => assert!(!why.is_empty()),
        }
    },
    examples: {
        let key: Vec<u8> = (0..32).collect();
        let hex = b"0f".repeat(32);
        [("/base16/", &hex[..]), ("/base64/", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), ("/bin/", &key)]
            .into_iter()
            .flat_map(|(encoding, key)| {
                ["\n", "\r\n"].map(|end| [format!("/key/swarm/psk/1.0.0/{end}{encoding}{end}").as_bytes(), key].concat())
            })
            .collect()
    }
);
