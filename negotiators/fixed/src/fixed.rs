//! The negotiator that asks nobody.

use async_trait::async_trait;
use stackwire_core::{BoxPipe, Error, Kind, Layer, Negotiated, Negotiator, Recognition, Result, SelectContext};

pub(crate) const NAME: &str = "fixed";

/// Takes the first offer, at once and without a byte.
///
/// Fails with `NoCommonProtocol` where there is no offer. Never touches the pipe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed;

#[async_trait]
impl Negotiator for Fixed {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn select(&self, pipe: BoxPipe, context: SelectContext<'_>) -> Result<Negotiated> {
        if context.offers.is_empty() {
            let nothing = Kind::NoCommonProtocol { offered: Vec::new(), supported: Vec::new() };
            return Err(Error::new(nothing, "taking the first of no offers").at(Layer::Negotiator, NAME));
        }
        Ok(Negotiated { index: 0, pipe, round_trips: 0, role: context.role })
    }

    /// Always `Yes`: it has no bytes of its own to tell it by.
    fn recognizes(&self, _: &[u8]) -> Recognition {
        Recognition::Yes
    }

    /// `false`: there is nobody to agree with.
    fn chooses(&self) -> bool {
        false
    }
}
