//! Lists of trusted peers, as a file or an address gives them.

#![no_main]

use stackwire_core::{Kind, Trust, trust::Roles};
use stackwire_fuzz::target;
use stackwire_trust::{Form, KnownBy, read_list};

target!(
    |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let roles = Roles::default();
        for form in [Form::Toml, Form::Any] {
            for (known_by, roles) in [(KnownBy::Identity, Some(&roles)), (KnownBy::Account(32), None)] {
                match read_list(text, form, known_by, roles) {
                    // More than a set takes is refused there.
                    Ok(peers) => drop(Trust::default().replace("fuzz", peers)),
                    Err(error) => assert_eq!(error.kind(), &Kind::ConfigInvalid),
                }
            }
        }
    },
    examples: {
        let key = "0a".repeat(32);
        let peer = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
        [
            format!("[[trusted]]\npeer = \"{peer}\"\nrole = \"validator\"\n"),
            format!("[[trusted]]\npeer = \"0x{key}\"\nkeys = [\"{key}\"]\nlibp2p = \"{peer}\"\n"),
            format!("[{{\"key\": \"{key}\", \"account\": \"{key}\"}}]"),
            "{\"trusted\": []}".to_string(),
        ]
        .map(String::into_bytes)
        .to_vec()
    }
);
