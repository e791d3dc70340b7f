//! The two sides of Libra's negotiation.

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Error, Kind, Layer, Negotiated, Negotiator, Prefaced, ProtocolId, Recognition, Result, Role,
    SelectContext, Violation, Wait, exchange, no_common_protocol,
};

use crate::wire::{INTERACTIVE, NOT_SUPPORTED, SELECT, encode, is_sendable, read_frame, recognize, send};

pub(crate) const NAME: &str = "libra";
/// Attempts after which a listener gives up; a dialer makes no more.
const MAX_ATTEMPTS: usize = 10;

/// Libra's negotiation.
///
/// Beside what the contract says: a dialer proposes its first ten offers only, because listeners take no more attempts.
/// An offer that is empty, over 1024 bytes or `not supported` is `ConfigInvalid`, before anything is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Libra;

#[async_trait]
impl Negotiator for Libra {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn select(&self, pipe: BoxPipe, context: SelectContext<'_>) -> Result<Negotiated> {
        let SelectContext { role, offers, wait, .. } = context;
        if let Some(id) = offers.iter().find(|id| !is_sendable(id)) {
            let why = format!("“{id}” can't be offered: an id has 1 to 1024 bytes and is not “{NOT_SUPPORTED}”");
            return Err(Error::new(Kind::ConfigInvalid, why).at(Layer::Negotiator, NAME));
        }
        match (role, offers) {
            (Role::Listener, _) => listen(pipe, offers).await,
            (Role::Dialer, [only]) if wait == Wait::Lazy => {
                // protocol-select: nothing answers it.
                let mut proposal = Vec::new();
                encode(SELECT, &mut proposal);
                encode(only.as_str(), &mut proposal);
                Ok(Negotiated { index: 0, pipe: Box::new(Prefaced::new(pipe, proposal)), round_trips: 0, role })
            }
            (Role::Dialer, _) => dial(pipe, &offers[..offers.len().min(MAX_ATTEMPTS)]).await,
        }
        .map_err(|e| e.at(Layer::Negotiator, NAME))
    }

    fn recognizes(&self, first: &[u8]) -> Recognition {
        recognize(first)
    }
}

/// Proposes one offer after the other.
async fn dial(mut pipe: BoxPipe, offers: &[ProtocolId]) -> Result<Negotiated> {
    let mut out = Vec::new();
    encode(INTERACTIVE, &mut out);
    for (index, offer) in offers.iter().enumerate() {
        encode(offer.as_str(), &mut out);
        send(&mut pipe, &mut out).await?;
        if index == 0 {
            let header = answer(&mut pipe, offer).await?;
            if header != INTERACTIVE.as_bytes() {
                return Err(Error::violated(
                    Violation::WrongAnswer,
                    format!("the peer does not answer by {INTERACTIVE}"),
                ));
            }
        }
        let answer = answer(&mut pipe, offer).await?;
        if answer == offer.as_str().as_bytes() {
            let round_trips = u8::try_from(index + 1).unwrap_or(u8::MAX);
            return Ok(Negotiated { index, pipe, round_trips, role: Role::Dialer });
        }
        if answer != NOT_SUPPORTED.as_bytes() {
            return Err(Error::violated(
                Violation::WrongAnswer,
                format!("an answer to {offer} that neither accepts nor refuses it"),
            ));
        }
    }
    Err(no_common_protocol(offers, &[]))
}

async fn answer(pipe: &mut BoxPipe, offer: &ProtocolId) -> Result<Vec<u8>> {
    let gone = || Error::closed(format!("the peer left instead of answering {offer}"));
    read_frame(pipe).await?.ok_or_else(gone)
}

/// Learns by the header which of the two the dialer means.
async fn listen(mut pipe: BoxPipe, offers: &[ProtocolId]) -> Result<Negotiated> {
    let gone = || Error::closed("the peer left before it negotiated");
    let header = read_frame(&mut pipe).await?.ok_or_else(gone)?;
    if header == SELECT.as_bytes() {
        let gone = || Error::closed("the peer left instead of selecting a protocol");
        let proposal = read_frame(&mut pipe).await?.ok_or_else(gone)?;
        return match position(offers, &proposal) {
            Some(index) => Ok(Negotiated { index, pipe, round_trips: 0, role: Role::Listener }),
            // The protocol has no refusal: the pipe is closed, by dropping it.
            None => Err(no_common_protocol(&[id(&proposal)], offers)),
        };
    }
    if header != INTERACTIVE.as_bytes() {
        return Err(Error::violated(
            Violation::OutOfOrder,
            "the peer does not begin with a header of Libra's negotiation",
        ));
    }
    let mut out = Vec::new();
    encode(INTERACTIVE, &mut out);
    // Most dialers send the first proposal with the header; then header and answer go in one write too.
    if !exchange::is_readable(&mut pipe).await {
        send(&mut pipe, &mut out).await?;
    }
    let mut refused = Vec::new();
    while refused.len() < MAX_ATTEMPTS {
        let proposal = match read_frame(&mut pipe).await {
            Ok(Some(proposal)) => proposal,
            Ok(None) if refused.is_empty() => return Err(Error::closed("the peer left during negotiation")),
            Err(error) if refused.is_empty() || error.violation().is_some() => return Err(error),
            // It has nothing else to propose and left, more or less politely.
            Ok(None) | Err(_) => return Err(no_common_protocol(&refused, offers)),
        };
        let choice = position(offers, &proposal);
        encode(choice.map_or(NOT_SUPPORTED, |index| offers[index].as_str()), &mut out);
        send(&mut pipe, &mut out).await?;
        if let Some(index) = choice {
            return Ok(Negotiated { index, pipe, round_trips: 1, role: Role::Listener });
        }
        refused.push(id(&proposal));
    }
    Err(no_common_protocol(&refused, offers))
}

fn position(offers: &[ProtocolId], proposal: &[u8]) -> Option<usize> {
    offers.iter().position(|offer| offer.as_str().as_bytes() == proposal)
}

/// A peer's proposal, for reports.
fn id(proposal: &[u8]) -> ProtocolId {
    ProtocolId::from(String::from_utf8_lossy(proposal).into_owned())
}
