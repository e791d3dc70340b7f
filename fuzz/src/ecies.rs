//! An ECIES peer whose keys are always the same, made of the plug-in's own parts.

use std::io;

use stackwire_core::{BoxPipe, Role};
use stackwire_security_ecies::raw::{
    Ephemeral, Schedule, Sealer, Suite, Terms, channel as raw_channel, encode_claims, encode_introduction,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Step, THEM};

/// How much a key carries: little, so that it changes often, and enough to pay for that.
const REKEY_BYTES: u64 = 32 * 1024;
/// The number of a record that holds data, and the space before it.
const DATA: u8 = 0;
const HEADER: [u8; 2] = [0; 2];

/// A peer after both hellos.
pub struct Peer {
    pipe: BoxPipe,
    role: Role,
    schedule: Schedule,
}

impl Peer {
    /// Exchanges hellos, as `role`.
    pub async fn hello(mut pipe: BoxPipe, role: Role) -> io::Result<Self> {
        let key = Ephemeral::of_scalar(&[4; 32]).expect("a scalar in range");
        let ours = [&[Suite::ChaCha20Poly1305 as u8], &key.public()[..]].concat();
        let mut theirs = [0; 34];
        if role == Role::Dialer {
            pipe.write_all(&ours).await?;
        }
        pipe.read_exact(&mut theirs).await?;
        if role == Role::Listener {
            pipe.write_all(&ours).await?;
        }
        let point = theirs[1..].try_into().expect("34 bytes less one");
        let shared = key.agree(point).expect("the side under test sends a good key");
        let (dialers, listeners) = match role {
            Role::Dialer => (ours.as_slice(), theirs.as_slice()),
            Role::Listener => (theirs.as_slice(), ours.as_slice()),
        };
        let schedule = Schedule::new(Suite::ChaCha20Poly1305, dialers, listeners, &shared);
        Ok(Self { pipe, role, schedule })
    }

    /// The introduction of an honest peer with these claims.
    pub fn introduction(&self, claims: Vec<u8>) -> Vec<u8> {
        let signature = THEM.sign(&self.schedule.signed_text(self.role, &claims));
        encode_introduction(claims, signature)
    }

    /// Exchanges introductions; `make` makes ours.
    pub async fn introduce(mut self, make: impl FnOnce(&Self) -> Vec<u8>) -> io::Result<Channel> {
        if self.role == Role::Dialer {
            self.hear().await?;
        }
        let introduction = make(&self);
        let sealed = self.schedule.seal(self.role, &introduction);
        self.pipe.write_u16(sealed.len().try_into().map_err(io::Error::other)?).await?;
        self.pipe.write_all(&sealed).await?;
        if self.role == Role::Listener {
            self.hear().await?;
        }
        let sealer = Sealer::new(self.schedule.suite(), self.schedule.traffic(self.role), REKEY_BYTES);
        Ok(Channel { pipe: self.pipe, sealer })
    }

    async fn hear(&mut self) -> io::Result<()> {
        let mut sealed = vec![0; self.pipe.read_u16().await?.into()];
        self.pipe.read_exact(&mut sealed).await?;
        let opened = self.schedule.open(self.role.other(), sealed, |_, _| Ok(()));
        opened.map_err(io::Error::other)
    }
}

/// The claims of an honest peer that offers yamux.
pub fn claims() -> Vec<u8> {
    encode_claims(THEM.public(), &Terms { muxers: vec!["/yamux/1.0.0".into()], offers: Vec::new() })
}

/// A peer after the handshake.
pub struct Channel {
    pipe: BoxPipe,
    sealer: Sealer,
}

impl Channel {
    /// The two ends of a channel without a handshake: ours, in `role`, and the peer's.
    pub fn pair((ours, theirs): (BoxPipe, BoxPipe), role: Role) -> (BoxPipe, Self) {
        let suite = Suite::ChaCha20Poly1305;
        let schedule = Schedule::new(suite, b"a dialer", b"a listener", &[9; 32]);
        let [receiving, sending] = [role.other(), role].map(|role| schedule.traffic(role));
        let sealer = Sealer::new(suite, schedule.traffic(role.other()), REKEY_BYTES);
        (raw_channel(ours, suite, receiving, sending), Self { pipe: theirs, sealer })
    }

    /// Does what `steps` say, seals an end and ends its half.
    pub async fn follow(&mut self, steps: &[Step<'_>]) -> io::Result<()> {
        for step in steps {
            match step {
                // A record of data has some.
                Step::Sealed(bytes) if bytes.is_empty() => {}
                Step::Sealed(bytes) => {
                    let mut record = [&HEADER[..], bytes].concat();
                    self.sealer.seal_data(&mut record, 0);
                    self.pipe.write_all(&record).await?;
                }
                Step::Raw(bytes) => self.pipe.write_all(bytes).await?,
            }
        }
        let mut end = Vec::new();
        self.sealer.seal_end(&mut end);
        self.pipe.write_all(&end).await?;
        self.pipe.shutdown().await
    }

    /// Sends one record of any kind with this content, and ends its half.
    pub async fn say(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let mut record = [&HEADER[..], content].concat();
        self.sealer.seal(&mut record, 0, kind);
        self.pipe.write_all(&record).await?;
        self.pipe.shutdown().await
    }

    /// Whether a record of this kind and content is one of data.
    pub fn is_data(kind: u8, content: &[u8]) -> bool {
        (kind == DATA || kind == DATA + 1) && !content.is_empty()
    }
}
