//! The records without a handshake, for those who test them against peers that break them. No stable API.

use rustls::{
    ConnectionTrafficSecrets, Error as TlsError,
    crypto::cipher::{AeadKey, Iv},
};
use stackwire_core::{BoxPipe, Role};
use stackwire_records::Channel;

use crate::{
    keys::{Keys, Secrets, TAG},
    records::{Records, Rekey},
};

/// Keys that everybody knows.
#[derive(Clone)]
struct Numbered {
    sending: u8,
    receiving: u8,
}

impl Numbered {
    fn of(role: Role) -> Self {
        match role {
            Role::Dialer => Self { sending: 0, receiving: 100 },
            Role::Listener => Self { sending: 100, receiving: 0 },
        }
    }
}

fn numbered(number: u8) -> Secrets {
    let (key, iv) = (AeadKey::from([number; 32]), Iv::from([number; 12]));
    (0, ConnectionTrafficSecrets::Aes256Gcm { key, iv })
}

impl Rekey for Numbered {
    fn sending(&mut self) -> Result<Secrets, TlsError> {
        self.sending = self.sending.wrapping_add(1);
        Ok(numbered(self.sending))
    }
    fn receiving(&mut self) -> Result<Secrets, TlsError> {
        self.receiving = self.receiving.wrapping_add(1);
        Ok(numbered(self.receiving))
    }
}

fn keys(number: u8) -> Keys {
    Keys::new(numbered(number)).expect("keys of a suite that we have")
}

/// A channel in `role`, before its first record.
pub fn channel(below: BoxPipe, role: Role) -> BoxPipe {
    let known = Numbered::of(role);
    let (sending, receiving) = (numbered(known.sending), numbered(known.receiving));
    let records = Records::new(sending, receiving, Box::new(known), role).expect("keys of a suite that we have");
    Box::new(Channel::new(below, records))
}

/// What the peer of a channel sends.
pub struct Sealer {
    keys: Keys,
    number: u8,
}

impl Sealer {
    /// Records of a peer in `role`.
    pub fn new(role: Role) -> Self {
        let number = Numbered::of(role).sending;
        Self { keys: keys(number), number }
    }

    /// The next record, which seals `inner`: content, its type, and zeroes.
    pub fn seal(&mut self, inner: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(inner.len() + TAG).expect("the caller's content fits").to_be_bytes();
        let mut record = [&[23, 3, 3, high, low], inner].concat();
        let (header, sealed) = record.split_at_mut(5);
        let tag = self.keys.seal(header, sealed).expect("a key that is not used up");
        record.extend(tag);
        record
    }

    /// The peer's next records are under its next key.
    pub fn advance(&mut self) {
        self.number = self.number.wrapping_add(1);
        self.keys = keys(self.number);
    }
}
