//! The one message of `/plaintext/2.0.0`.

use stackwire_core::{Error, Keypair, Kind, PublicKey, Result};

mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.plaintext.rs"));
}

pub(crate) use proto::Exchange;

/// The longest message taken, in bytes. The longest usable key is an RSA key of about 1 100 bytes.
pub(crate) const MAX_EXCHANGE: usize = 8 * 1024;

/// What we say of ourselves.
pub(crate) fn exchange_of(identity: &Keypair) -> Exchange {
    Exchange { id: Some(identity.peer_id().to_bytes()), pubkey: Some(identity.public().encode()) }
}

/// The key that a message tells, once its id was found to be the key's.
pub(crate) fn peer_of(exchange: &Exchange) -> Result<PublicKey> {
    let (Some(id), Some(key)) = (&exchange.id, &exchange.pubkey) else {
        return Err(Error::misbehaved("an exchange without an id or a key"));
    };
    let key = PublicKey::decode(key)?;
    if key.peer_id().to_bytes() != *id {
        return Err(Error::new(Kind::AuthenticationFailed, "an exchange whose id is not that of its key"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[test]
    fn the_form_on_the_wire_is_that_of_the_specification() {
        let identity = Keypair::ed25519_from_seed([1; 32]);
        let (id, key) = (identity.peer_id().to_bytes(), identity.public().encode());
        let expected = [&[0x0a, id.len() as u8], id.as_slice(), &[0x12, key.len() as u8], key.as_slice()].concat();
        assert_eq!(exchange_of(&identity).encode_to_vec(), expected);
    }

    #[test]
    fn the_id_of_another_is_refused() {
        let mut exchange = exchange_of(&Keypair::ed25519_from_seed([1; 32]));
        exchange.id = Some(Keypair::ed25519_from_seed([2; 32]).peer_id().to_bytes());
        assert_eq!(peer_of(&exchange).unwrap_err().kind(), &Kind::AuthenticationFailed);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seed: [u8; 32]) {
            let identity = Keypair::ed25519_from_seed(seed);
            let bytes = exchange_of(&identity).encode_to_vec();
            let read = peer_of(&Exchange::decode(bytes.as_slice()).unwrap()).unwrap();
            prop_assert_eq!(&read, identity.public());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(exchange) = Exchange::decode(bytes.as_slice()) {
                let _answer = peer_of(&exchange);
            }
        }

        #[test]
        fn arbitrary_fields_never_panic(id: Option<Vec<u8>>, pubkey: Option<Vec<u8>>) {
            let _answer = peer_of(&Exchange { id, pubkey });
        }
    }
}
