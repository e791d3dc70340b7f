//! Two dialers on one channel: TCP's simultaneous open, which ports that are shared between dialing and listening make
//! possible.
//!
//! The dialer proposes [`SIMULTANEOUS`] before anything else, in the same write as its first offer. A listener refuses that
//! and goes on, so that it costs no round trip. Another dialer proposes it, too: then both send a number, the higher one
//! goes on as the dialer, and the other listens. Source: libp2p specs, `connections/simopen.md`.
//!
//! ```text
//! dialer   header, simultaneous-connect, /a   ──▶  listener      dialer   …, /a          ◀──▶  dialer   …, /a
//!          ◀── header, na, /a                                            select:7        ◀──▶  select:4
//!                                                                        initiator        ──▶
//!                                                                        /a               ──▶  responder, then as a listener
//! ```

use stackwire_core::{BoxPipe, Error, Negotiated, ProtocolId, Result, Violation, no_common_protocol};

use crate::{
    message::{HEADER, MessageReader, NA, SIMULTANEOUS, both_dialed, encode, expect_header},
    multistream::{answer_proposals, propose, receive, send},
};

const SELECT: &[u8] = b"select:";
const INITIATOR: &[u8] = b"initiator";
const RESPONDER: &[u8] = b"responder";

/// As a dialer whose peer may be dialing, too. `nonce` decides then; nobody may know it before.
pub(crate) async fn meet(mut pipe: BoxPipe, offers: &[ProtocolId], nonce: u64) -> Result<Negotiated> {
    let Some(first) = offers.first() else { return Err(no_common_protocol(offers, &[])) };
    let mut reader = MessageReader::default();
    let mut out = HEADER.to_vec();
    encode(SIMULTANEOUS, &mut out);
    encode(first.as_str().as_bytes(), &mut out);
    send(&mut pipe, &mut out).await?;
    expect_header(receive(&mut pipe, &mut reader).await?)?;
    match receive(&mut pipe, &mut reader).await?.as_deref() {
        // A listener: the first offer is with it already.
        Some(NA) => propose(pipe, reader, offers, 1).await,
        Some(SIMULTANEOUS) => agree(pipe, reader, offers, nonce).await,
        Some(proposal) if proposal.first() == Some(&b'/') => Err(both_dialed()),
        Some(_) => Err(Error::violated(
            Violation::WrongAnswer,
            "an answer that neither accepts nor refuses simultaneous-connect",
        )),
        None => Err(Error::closed("the peer left during negotiation")),
    }
}

async fn agree(mut pipe: BoxPipe, mut reader: MessageReader, offers: &[ProtocolId], nonce: u64) -> Result<Negotiated> {
    // What it offered along with that was for a listener.
    expect(&mut pipe, &mut reader, |message| message.first() == Some(&b'/')).await?;
    let mut out = Vec::new();
    encode(&[SELECT, nonce.to_string().as_bytes()].concat(), &mut out);
    send(&mut pipe, &mut out).await?;
    let theirs = expect(&mut pipe, &mut reader, |message| message.starts_with(SELECT)).await?;
    let theirs = std::str::from_utf8(&theirs[SELECT.len()..]).ok().and_then(|text| text.parse::<u64>().ok());
    let theirs = theirs.ok_or_else(|| Error::misbehaved("a number of simultaneous-connect that is none"))?;
    if theirs == nonce {
        return Err(both_dialed());
    }
    let (ours, expected) = if nonce > theirs { (INITIATOR, RESPONDER) } else { (RESPONDER, INITIATOR) };
    encode(ours, &mut out);
    send(&mut pipe, &mut out).await?;
    expect(&mut pipe, &mut reader, |message| message == expected).await?;
    match nonce > theirs {
        true => propose(pipe, reader, offers, 0).await,
        false => answer_proposals(pipe, reader, offers, Vec::new()).await,
    }
}

async fn expect(pipe: &mut BoxPipe, reader: &mut MessageReader, is_right: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    match receive(pipe, reader).await? {
        Some(message) if is_right(&message) => Ok(message),
        Some(_) => Err(Error::violated(Violation::OutOfOrder, "something else than simultaneous-connect goes on with")),
        None => Err(Error::closed("the peer left during negotiation")),
    }
}
