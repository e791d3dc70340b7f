//! The message of Diem's application handshake, and what two of them agree on.

#![no_main]

use stackwire_core::{Kind, Role};
use stackwire_fuzz::target;
use stackwire_security_noise::diem_handshake::{HandshakeMessage, Network, VERSION};

target!(
    |input| {
        let theirs = match HandshakeMessage::decode(input) {
            Ok(message) => message,
            Err(error) => return assert!(error.violation().is_some(), "{error}"),
        };
        let written = theirs.encode();
        assert_eq!(HandshakeMessage::decode(&written).expect("what we write we read"), theirs);
        assert!(written.len() <= input.len(), "the shortest form");
        for network in [Network::Validator, Network::Public, Network::Private("vfn".into())] {
            let ours = message(network);
            for (role, none_is_fine) in [(Role::Dialer, true), (Role::Listener, false)] {
                match ours.agree(&theirs, role, none_is_fine) {
                    Ok(agreed) => {
                        assert_eq!((theirs.chain_id, &theirs.network), (ours.chain_id, &ours.network));
                        assert!(theirs.protocols.contains_key(&agreed.version));
                        assert!(none_is_fine || !agreed.protocols.is_empty());
                    }
                    Err(error) => {
                        assert!(matches!(error.kind(), Kind::AuthenticationFailed | Kind::NoCommonProtocol { .. }))
                    }
                }
            }
        }
    },
    examples: [Network::Validator, Network::Public, Network::Private("vfn".into())]
        .map(|network| message(network).encode())
        .to_vec()
);

fn message(network: Network) -> HandshakeMessage {
    HandshakeMessage { protocols: [(VERSION, (0..7).collect())].into(), chain_id: 4, network }
}
