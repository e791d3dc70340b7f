//! The two sides of multistream-select.

use std::future::poll_fn;

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Error, Kind, Layer, Negotiated, Negotiator, ProtocolId, Recognition, Result, Role, SelectContext,
    Violation, Wait, exchange, no_common_protocol,
};

use crate::{
    lazy::Lazy,
    meeting::meet,
    message::{HEADER, MessageReader, NA, SIMULTANEOUS, check_answer, encode, expect_header},
};

pub(crate) const NAME: &str = "multistream";
/// Refused proposals after which a listener gives up on a dialer.
const MAX_REFUSALS: usize = 64;

/// multistream-select 1.0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Multistream;

#[async_trait]
impl Negotiator for Multistream {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn select(&self, pipe: BoxPipe, context: SelectContext<'_>) -> Result<Negotiated> {
        let SelectContext { role, offers, wait, early_end, .. } = context;
        if let Some(id) = offers.iter().find(|id| !id.fits_a_line()) {
            let why = format!("“{id}” can't be offered: an id begins with / and is one line of at most 1023 bytes");
            return Err(Error::new(Kind::ConfigInvalid, why).at(Layer::Negotiator, NAME));
        }
        match (role, offers, wait) {
            (Role::Listener, ..) => listen(pipe, offers).await,
            (Role::Dialer, [only], Wait::Lazy) => Ok(Negotiated {
                index: 0,
                pipe: Box::new(Lazy::new(pipe, only.clone(), early_end)),
                round_trips: 0,
                role,
            }),
            (Role::Dialer, _, Wait::Meeting { nonce }) => meet(pipe, offers, nonce).await,
            (Role::Dialer, ..) => dial(pipe, offers).await,
        }
        .map_err(|e| e.at(Layer::Negotiator, NAME))
    }

    fn can_meet(&self) -> bool {
        true
    }

    fn recognizes(&self, first: &[u8]) -> Recognition {
        Recognition::of(HEADER, first)
    }
}

async fn dial(mut pipe: BoxPipe, offers: &[ProtocolId]) -> Result<Negotiated> {
    let mut reader = MessageReader::default();
    let mut out = HEADER.to_vec();
    let Some(first) = offers.first() else { return Err(no_common_protocol(offers, &[])) };
    encode(first.as_str().as_bytes(), &mut out);
    send(&mut pipe, &mut out).await?;
    expect_header(receive(&mut pipe, &mut reader).await?)?;
    propose(pipe, reader, offers, 1).await
}

/// Proposes one offer after the other, of which so many are with the listener already. Headers have been exchanged.
pub(crate) async fn propose(
    mut pipe: BoxPipe,
    mut reader: MessageReader,
    offers: &[ProtocolId],
    sent: usize,
) -> Result<Negotiated> {
    let mut out = Vec::new();
    for (index, offer) in offers.iter().enumerate() {
        if index >= sent {
            encode(offer.as_str().as_bytes(), &mut out);
            send(&mut pipe, &mut out).await?;
        }
        if check_answer(offer, receive(&mut pipe, &mut reader).await?)? {
            let round_trips = u8::try_from(index + 1).unwrap_or(u8::MAX);
            return Ok(Negotiated { index, pipe, round_trips, role: Role::Dialer });
        }
    }
    Err(no_common_protocol(offers, &[]))
}

async fn listen(mut pipe: BoxPipe, offers: &[ProtocolId]) -> Result<Negotiated> {
    let mut reader = MessageReader::default();
    expect_header(receive(&mut pipe, &mut reader).await?)?;
    let mut out = HEADER.to_vec();
    // Some dialers wait for our header before they propose. Where the proposal is already here, both go in one write.
    if !exchange::is_readable(&mut pipe).await {
        answer(&mut pipe, &mut out).await;
    }
    answer_proposals(pipe, reader, offers, out).await
}

/// Takes the first proposal that is one of `offers`. Headers have been exchanged, but for what is in `out`.
pub(crate) async fn answer_proposals(
    mut pipe: BoxPipe,
    mut reader: MessageReader,
    offers: &[ProtocolId],
    mut out: Vec<u8>,
) -> Result<Negotiated> {
    let mut refused = Vec::new();
    for _ in 0..MAX_REFUSALS {
        let proposal = match receive(&mut pipe, &mut reader).await {
            Ok(Some(proposal)) => proposal,
            Ok(None) if refused.is_empty() => return Err(Error::closed("the peer left during negotiation")),
            Err(error) if refused.is_empty() => return Err(error),
            // A dialer that does not wait for the answer has sent its first bytes after what we refused: no fault.
            Ok(None) | Err(_) => return Err(no_common_protocol(&refused, offers)),
        };
        let choice = offers.iter().position(|offer| offer.as_str().as_bytes() == proposal.as_slice());
        encode(if choice.is_some() { &proposal } else { NA }, &mut out);
        answer(&mut pipe, &mut out).await;
        if let Some(index) = choice {
            return Ok(Negotiated { index, pipe, round_trips: 1, role: Role::Listener });
        }
        // A question, not an offer.
        if proposal == SIMULTANEOUS {
            continue;
        }
        refused.push(ProtocolId::from(String::from_utf8_lossy(&proposal).into_owned()));
    }
    Err(Error::violated(Violation::Flood, format!("{MAX_REFUSALS} proposals, none of which we have")))
}

pub(crate) async fn receive(pipe: &mut BoxPipe, reader: &mut MessageReader) -> Result<Option<Vec<u8>>> {
    poll_fn(|cx| reader.poll(pipe, cx)).await
}

/// Sends what `out` holds, and empties it.
pub(crate) async fn send(pipe: &mut BoxPipe, out: &mut Vec<u8>) -> Result<()> {
    exchange::send(pipe, out, "writing a negotiation message").await?;
    out.clear();
    Ok(())
}

/// Sends what a listener has to say. Who has sent all it wanted and left hears no answer and is served all the same;
/// if the pipe is gone altogether, reading says so.
async fn answer(pipe: &mut BoxPipe, out: &mut Vec<u8>) {
    if send(pipe, out).await.is_err() {
        out.clear();
    }
}
