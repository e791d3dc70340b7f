//! Signed envelopes (RFC 0002): bytes that a peer vouches for, for one purpose.

use prost::Message;

use super::{Keypair, PublicKey, proto};
use crate::{Error, Kind, Result};

/// A payload with its signer. Holding one proves nothing yet: [`Envelope::open`] verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who signed.
    pub key: PublicKey,
    /// What the payload is.
    pub payload_type: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Envelope {
    /// Signs `payload` for the purpose `domain`.
    pub fn seal(key: &Keypair, domain: &str, payload_type: &[u8], payload: Vec<u8>) -> Self {
        let signature = key.sign(&signed_bytes(domain, payload_type, &payload));
        Self { key: key.public().clone(), payload_type: payload_type.to_vec(), payload, signature }
    }

    /// The payload, if the signature holds for `domain` and the payload is of `payload_type`.
    pub fn open(&self, domain: &str, payload_type: &[u8]) -> Result<&[u8]> {
        if self.payload_type != payload_type {
            return Err(refused("an envelope with another payload type"));
        }
        if !self.key.verify(&signed_bytes(domain, payload_type, &self.payload), &self.signature) {
            return Err(refused("an envelope whose signature does not hold"));
        }
        Ok(&self.payload)
    }

    /// The `Envelope` protobuf.
    pub fn encode(&self) -> Vec<u8> {
        proto::Envelope {
            public_key: self.key.to_proto(),
            payload_type: self.payload_type.clone(),
            payload: self.payload.clone(),
            signature: self.signature.clone(),
        }
        .encode_to_vec()
    }

    /// Reads an `Envelope` protobuf. The caller bounds `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let message =
            proto::Envelope::decode(bytes).map_err(|e| refused("an envelope that does not decode").caused_by(e))?;
        Ok(Self {
            key: PublicKey::from_proto(&message.public_key)?,
            payload_type: message.payload_type,
            payload: message.payload,
            signature: message.signature,
        })
    }
}

fn signed_bytes(domain: &str, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(domain.len() + payload_type.len() + payload.len() + 12);
    for part in [domain.as_bytes(), payload_type, payload] {
        bytes.extend_from_slice(unsigned_varint::encode::usize(
            part.len(),
            &mut unsigned_varint::encode::usize_buffer(),
        ));
        bytes.extend_from_slice(part);
    }
    bytes
}

fn refused(what: &'static str) -> Error {
    Error::new(Kind::AuthenticationFailed, what)
}
