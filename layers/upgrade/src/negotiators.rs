//! Which of several negotiators is spoken.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Error, Kind, Negotiator, Recognition, Result, Role, peek};

/// Negotiators, most wanted first.
#[derive(Clone)]
pub struct Negotiators(Vec<Arc<dyn Negotiator>>);

impl Negotiators {
    /// These, most wanted first.
    pub fn new(negotiators: Vec<Arc<dyn Negotiator>>) -> Self {
        Self(negotiators)
    }

    /// Those that can choose the protocol of a stream. Fails with `ConfigInvalid` where none can.
    pub(crate) fn choosing(&self) -> Result<Self> {
        let choosing: Vec<_> = self.0.iter().filter(|negotiator| negotiator.chooses()).cloned().collect();
        match choosing.is_empty() {
            true => Err(missing("no negotiator of this stack can choose the protocols of streams")),
            false => Ok(Self(choosing)),
        }
    }

    /// The one called `name`.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<dyn Negotiator>> {
        self.0.iter().find(|negotiator| negotiator.name() == name)
    }

    /// Their names, as configs spell them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|negotiator| negotiator.name())
    }

    /// The one to speak on `pipe`: a dialer's most wanted; for a listener with several the one whose first bytes
    /// arrive. Takes nothing from the pipe. Fails with `PeerMisbehaved` where they are nobody's, `Closed` where none come.
    pub async fn settle(&self, pipe: BoxPipe, role: Role) -> Result<(Arc<dyn Negotiator>, BoxPipe)> {
        match (role, self.0.as_slice()) {
            (_, []) => Err(missing("this stack has no negotiator, and the address does not say what it would choose")),
            (_, [only]) => Ok((only.clone(), pipe)),
            (Role::Dialer, [wanted, ..]) => Ok((wanted.clone(), pipe)),
            (Role::Listener, several) => {
                // One without bytes of its own, listed first, waits for none: its dialer may send none.
                if let Some(Some(at_once)) = recognize(several, &[]) {
                    return Ok((at_once.clone(), pipe));
                }
                let (found, pipe) = peek(pipe, |first| recognize(several, first)).await?;
                match found {
                    Some(negotiator) => Ok((negotiator.clone(), pipe)),
                    None => Err(Error::misbehaved("first bytes of no negotiation that this stack knows")),
                }
            }
        }
    }
}

/// The first negotiator that takes `first` for its own, if all before it do not; `None` while one can't tell yet,
/// `Some(None)` where it is nobody's.
fn recognize<'a>(negotiators: &'a [Arc<dyn Negotiator>], first: &[u8]) -> Option<Option<&'a Arc<dyn Negotiator>>> {
    for negotiator in negotiators {
        match negotiator.recognizes(first) {
            Recognition::Yes => return Some(Some(negotiator)),
            Recognition::More => return None,
            Recognition::No => {}
        }
    }
    Some(None)
}

fn missing(why: &'static str) -> Error {
    Error::new(Kind::ConfigInvalid, why)
}
