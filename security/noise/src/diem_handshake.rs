//! Diem's application handshake, version 1 of its format: what each side speaks, and on which chain and network.
//!
//! Inside the channel each side sends one message, and neither waits for the other's before it does: a length of two
//! bytes, big-endian, and BCS of
//!
//! ```text
//! map { version u8 → byte string, the bits of the protocols' numbers, highest bit of the first byte first }
//! chain_id u8
//! network_id: 0 validator, 1 public, 2 and a text: private
//! ```

use std::{collections::BTreeMap, fmt};

use stackwire_bcs::{Reader, put_bytes, put_count};
use stackwire_core::{BoxPipe, Error, Kind, ProtocolId, Result, Role, exchange};
use tokio::io::AsyncReadExt;

/// The only version there is; addresses spell it `/handshake/0`.
pub const VERSION: u8 = 0;
/// The most versions of a message that is read: as many as there are numbers for.
const MAX_VERSIONS: u32 = 256;
/// The longest bit vector, in bytes.
const MAX_BITS: u32 = 32;
/// The longest name of a private network, in bytes.
pub(crate) const MAX_NAME: u32 = 255;

/// Protocols by their numbers, 0 to 255.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ProtocolSet([u8; MAX_BITS as usize]);

impl ProtocolSet {
    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        let bits = self.0;
        (0..=u8::MAX).filter(move |number| bits[usize::from(number / 8)] & (0x80 >> (number % 8)) != 0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == Self::default().0
    }

    /// What both have.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// The bits, without zero bytes at the end.
    fn bytes(&self) -> &[u8] {
        let length = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.0[..length]
    }
}

impl FromIterator<u8> for ProtocolSet {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.0[usize::from(number / 8)] |= 0x80 >> (number % 8);
        }
        set
    }
}

impl fmt::Debug for ProtocolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Which of a chain's networks a node is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Between validators.
    Validator,
    /// Open to everyone.
    Public,
    /// Of one operator, by its name; `vfn` between a validator and its full node.
    Private(String),
}

impl Network {
    /// The name that claims have: a private network's own name, such as `vfn`.
    pub fn name(&self) -> &str {
        match self {
            Network::Validator => "validator",
            Network::Public => "public",
            Network::Private(name) => name,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Validator => f.write_str("validator"),
            Network::Public => f.write_str("public"),
            Network::Private(name) => write!(f, "private “{name}”"),
        }
    }
}

/// What one side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeMessage {
    /// The protocols of each version of the message format above.
    pub protocols: BTreeMap<u8, ProtocolSet>,
    /// The chain.
    pub chain_id: u8,
    /// The network of that chain.
    pub network: Network,
}

impl HandshakeMessage {
    /// The BCS form, without the length before it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.protocols.len());
        for (version, protocols) in &self.protocols {
            out.push(*version);
            put_bytes(&mut out, protocols.bytes());
        }
        out.push(self.chain_id);
        match &self.network {
            Network::Validator => put_count(&mut out, 0),
            Network::Public => put_count(&mut out, 1),
            Network::Private(name) => {
                put_count(&mut out, 2);
                put_bytes(&mut out, name.as_bytes());
            }
        }
        out
    }

    /// Reads the BCS form. Fails with `PeerMisbehaved` where it is malformed, a bit vector is longer than 32 bytes or a
    /// name longer than 255, or the versions do not ascend.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let mut protocols = BTreeMap::new();
        for _ in 0..reader.count(MAX_VERSIONS)? {
            let version = reader.u8()?;
            if protocols.last_key_value().is_some_and(|(last, _)| *last >= version) {
                return Err(Error::misbehaved("versions that do not ascend"));
            }
            let bits = reader.bytes(MAX_BITS)?;
            let mut set = ProtocolSet::default();
            set.0[..bits.len()].copy_from_slice(bits);
            protocols.insert(version, set);
        }
        let chain_id = reader.u8()?;
        let network = match reader.count(u32::MAX)? {
            0 => Network::Validator,
            1 => Network::Public,
            2 => Network::Private(reader.string(MAX_NAME)?.to_owned()),
            other => return Err(Error::misbehaved(format!("a network of kind {other}"))),
        };
        reader.finish()?;
        Ok(Self { protocols, chain_id, network })
    }

    /// What two messages agree on: the highest version in common, and its protocols that both have. `none_is_fine`:
    /// there may be none (Diem), or not (Aptos). Checked in order: the chain and the network (`AuthenticationFailed`),
    /// the versions and the protocols (`NoCommonProtocol`).
    pub fn agree(&self, theirs: &Self, role: Role, none_is_fine: bool) -> Result<Agreed> {
        let failed = |why: String| Err(Error::new(Kind::AuthenticationFailed, why));
        if self.chain_id != theirs.chain_id {
            return failed(format!("a peer of chain {}; ours is {}", theirs.chain_id, self.chain_id));
        }
        if self.network != theirs.network {
            return failed(format!("a peer of the network {}; ours is {}", theirs.network, self.network));
        }
        let (dialer, listener) = match role {
            Role::Dialer => (self, theirs),
            Role::Listener => (theirs, self),
        };
        let nothing = |list: &dyn Fn(&Self) -> Vec<String>, during: &'static str| {
            let kind = Kind::NoCommonProtocol { offered: list(dialer), supported: list(listener) };
            Err(Error::new(kind, during))
        };
        let common = self.protocols.iter().rev().find_map(|(version, ours)| {
            theirs.protocols.get(version).map(|theirs| (*version, ours.intersection(theirs)))
        });
        let Some((version, protocols)) = common else {
            let versions = |side: &Self| side.protocols.keys().map(|version| format!("version {version}")).collect();
            return nothing(&versions, "agreeing on a version of the handshake");
        };
        if protocols.is_empty() && !none_is_fine {
            let numbers = |side: &Self| {
                let set = side.protocols.get(&version);
                set.map(|set| set.iter().map(|number| format!("protocol {number}")).collect()).unwrap_or_default()
            };
            return nothing(&numbers, "agreeing on protocols in the handshake");
        }
        Ok(Agreed { version, protocols })
    }
}

/// What both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version of the messages.
    pub version: u8,
    /// The protocols.
    pub protocols: ProtocolSet,
}

impl Agreed {
    /// The protocols as claims name them: `/handshake/<version>/<number>`.
    pub fn names(&self) -> impl Iterator<Item = ProtocolId> {
        let version = self.version;
        self.protocols.iter().map(move |number| format!("/handshake/{version}/{number}").into())
    }
}

/// Sends our message and reads the peer's, taking nothing behind it. A message has at most 64 KiB.
pub(crate) async fn exchange(pipe: &mut BoxPipe, ours: &HandshakeMessage) -> Result<HandshakeMessage> {
    const READING: &str = "reading the peer's handshake message";
    const SENDING: &str = "sending the handshake message";
    let message = ours.encode();
    let length = u16::try_from(message.len()).map_err(|e| Error::new(Kind::Internal, SENDING).caused_by(e))?;
    exchange::send(pipe, &[&length.to_be_bytes(), message.as_slice()].concat(), SENDING).await?;
    let length = pipe.read_u16().await.map_err(|e| Error::io(READING, e))?;
    HandshakeMessage::decode(&exchange::receive(pipe, length.into(), READING).await?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key_text::hex;

    fn message(numbers: impl IntoIterator<Item = u8>, network: Network) -> HandshakeMessage {
        HandshakeMessage { protocols: [(VERSION, numbers.into_iter().collect())].into(), chain_id: 4, network }
    }

    #[test]
    fn messages_have_the_published_bytes() {
        for (network, bytes) in [
            (Network::Validator, "010001fe0400"),
            (Network::Public, "010001fe0401"),
            (Network::Private("vfn".into()), "010001fe04020376666e"),
        ] {
            let (message, bytes) = (message(0..7, network), hex(bytes));
            assert_eq!(message.encode(), bytes);
            assert_eq!(HandshakeMessage::decode(&bytes).unwrap(), message);
        }
    }

    #[test]
    fn bits_are_counted_from_the_highest() {
        let set: ProtocolSet = [0, 9, 255].into_iter().collect();
        assert_eq!((set.0[0], set.0[1], set.0[31]), (0x80, 0x40, 1));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 9, 255]);
        assert_eq!(ProtocolSet::default().bytes(), [0u8; 0]);
        assert_eq!(ProtocolSet::from_iter([8]).bytes(), [0, 0x80]);
    }

    #[test]
    fn malformed_messages_are_the_peers_fault() {
        let too_many = format!("010021{}0400", "00".repeat(33));
        for wrong in
            ["", "01", "010001fe", "010001fe04", "010001fe0403", "010001fe040000", "0201000000", "02000000000400"]
                .into_iter()
                .chain([too_many.as_str(), "010001fe040201ff"])
        {
            let error = HandshakeMessage::decode(&hex(wrong)).unwrap_err();
            assert!(error.violation().is_some(), "{wrong}");
        }
        // Zero bytes at the end of a bit vector mean nothing.
        let padded = HandshakeMessage::decode(&hex("010002fe000400")).unwrap();
        assert_eq!(padded, message(0..7, Network::Validator));
    }

    #[test]
    fn checks_come_in_order() {
        let ours = message(0..3, Network::Public);
        let kind = |theirs: &HandshakeMessage, none_is_fine| {
            let result = ours.agree(theirs, Role::Dialer, none_is_fine);
            result.map_err(|e| Box::new((e.kind().clone(), e.during().to_owned())))
        };
        let agreed = Agreed { version: 0, protocols: [1, 2].into_iter().collect() };
        assert_eq!(kind(&message([1, 2, 9], Network::Public), false), Ok(agreed));

        let mut theirs = message([7], Network::Validator);
        theirs.chain_id = 5;
        theirs.protocols = [(3, ProtocolSet::default())].into();
        let (failed, why) = *kind(&theirs, false).unwrap_err();
        assert_eq!((failed, why.as_str()), (Kind::AuthenticationFailed, "a peer of chain 5; ours is 4"));
        theirs.chain_id = 4;
        let (failed, why) = *kind(&theirs, false).unwrap_err();
        assert_eq!((failed, why.contains("validator")), (Kind::AuthenticationFailed, true));
        theirs.network = Network::Public;
        let lists = |offered: &[&str], supported: &[&str]| {
            let [offered, supported] = [offered, supported].map(|list| list.iter().map(|s| s.to_string()).collect());
            Kind::NoCommonProtocol { offered, supported }
        };
        assert_eq!(kind(&theirs, true).unwrap_err().0, lists(&["version 0"], &["version 3"]));
        theirs.protocols.insert(0, [7].into_iter().collect());
        let numbers = lists(&["protocol 0", "protocol 1", "protocol 2"], &["protocol 7"]);
        assert_eq!(kind(&theirs, false).unwrap_err().0, numbers);
        assert_eq!(kind(&theirs, true), Ok(Agreed { version: 0, protocols: ProtocolSet::default() }));
    }

    #[test]
    fn the_highest_common_version_counts() {
        let mut ours = message([1], Network::Public);
        let mut theirs = ours.clone();
        ours.protocols.extend([(1, [2].into_iter().collect()), (5, [2].into_iter().collect())]);
        theirs.protocols.extend([(1, [2, 3].into_iter().collect()), (4, [2].into_iter().collect())]);
        let agreed = ours.agree(&theirs, Role::Listener, false).unwrap();
        assert_eq!(agreed, Agreed { version: 1, protocols: [2].into_iter().collect() });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            protocols in prop::collection::btree_map(any::<u8>(), prop::collection::vec(any::<u8>(), 0..20), 0..8),
            chain_id: u8,
            name in prop::option::of("[a-z]{0,20}"),
        ) {
            let protocols = protocols.into_iter().map(|(version, set)| (version, set.into_iter().collect())).collect();
            let network = name.map_or(Network::Validator, Network::Private);
            let message = HandshakeMessage { protocols, chain_id, network };
            prop_assert_eq!(HandshakeMessage::decode(&message.encode()).unwrap(), message);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(message) = HandshakeMessage::decode(&bytes) {
                prop_assert_eq!(HandshakeMessage::decode(&message.encode()).unwrap(), message);
            }
        }
    }
}
