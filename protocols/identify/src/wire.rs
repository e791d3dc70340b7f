//! Messages: composing ours in parts, and reading and joining a peer's.

use prost::Message;
use stackwire_core::{
    Error, Keypair, LocalInfo, Multiaddr, Result, Violation, address, identity::PeerRecord, read_delimited,
    write_delimited,
};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};

use crate::proto;

/// The most bytes of a message of ours: what the strictest peer takes.
pub(crate) const MAX_SENT: usize = 4096;
/// The most bytes of a peer's message.
const MAX_RECEIVED: usize = 8192;
/// The most messages that make up one answer.
pub(crate) const MAX_PARTS: usize = 10;
/// The most bytes of a text.
pub(crate) const MAX_TEXT: usize = 512;

/// What we say: parts of at most [`MAX_SENT`] bytes, at most [`MAX_PARTS`] of them; what is beyond is left out.
///
/// What others depend on goes first, because some peers read only one message: protocols, then addresses, then the
/// signed record, which is left out where it alone would fill more than a part.
pub(crate) fn compose(
    key: &Keypair,
    local: &LocalInfo,
    observed: Option<&Multiaddr>,
    seq: u64,
) -> Vec<proto::Identify> {
    let mut parts = vec![proto::Identify {
        public_key: Some(key.public().encode()),
        observed_addr: observed.map(|address| address::split_peer(address).0.to_vec()),
        protocol_version: Some(cut(&local.protocol_version).into()),
        agent_version: Some(cut(&local.agent).into()),
        ..Default::default()
    }];
    for id in local.protocols.iter().filter(|id| id.as_str().len() <= MAX_TEXT) {
        push(&mut parts, |part| part.protocols.push(id.as_str().into()));
    }
    for address in &local.listen {
        push(&mut parts, |part| part.listen_addrs.push(address.to_vec()));
    }
    let record = PeerRecord::seal(key, seq, &local.listen).encode();
    push(&mut parts, |part| part.signed_peer_record = Some(record.clone()));
    parts
}

/// Adds something to the last part, or to a new one where it would grow too large.
fn push(parts: &mut Vec<proto::Identify>, add: impl Fn(&mut proto::Identify)) {
    if let Some(last) = parts.last_mut() {
        let before = last.clone();
        add(last);
        if last.encoded_len() <= MAX_SENT {
            return;
        }
        *last = before;
    }
    let mut next = proto::Identify::default();
    add(&mut next);
    if next.encoded_len() <= MAX_SENT && parts.len() < MAX_PARTS {
        parts.push(next);
    }
}

/// As much of `text` as fits, in whole characters.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// Sends the parts and ends our side.
pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), parts: &[proto::Identify]) -> Result<()> {
    for part in parts {
        write_delimited(stream, part).await?;
    }
    stream.shutdown().await.map_err(|e| Error::io("ending a message", e))
}

/// Reads a peer's messages to the end and joins them: repeated fields are appended, of others the last counts.
pub(crate) async fn receive(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<proto::Identify> {
    let mut joined: Option<proto::Identify> = None;
    let mut parts = 0;
    while let Some(part) = read_delimited(stream, MAX_RECEIVED).await? {
        parts += 1;
        if parts > MAX_PARTS {
            return Err(Error::violated(Violation::Flood, format!("more than {MAX_PARTS} messages")));
        }
        match &mut joined {
            Some(joined) => join(joined, part),
            None => joined = Some(part),
        }
    }
    joined.ok_or_else(|| Error::closed("the stream ended without a message"))
}

fn join(joined: &mut proto::Identify, part: proto::Identify) {
    joined.public_key = part.public_key.or(joined.public_key.take());
    joined.listen_addrs.extend(part.listen_addrs);
    joined.protocols.extend(part.protocols);
    joined.observed_addr = part.observed_addr.or(joined.observed_addr.take());
    joined.protocol_version = part.protocol_version.or(joined.protocol_version.take());
    joined.agent_version = part.agent_version.or(joined.agent_version.take());
    joined.signed_peer_record = part.signed_peer_record.or(joined.signed_peer_record.take());
}
