//! What the sides agree on beside keys: the muxer, and that the negotiation before was not tampered with.

use stackwire_core::{Error, Kind, ProtocolId, Result, Role, SecurityContext};

use crate::Ecies;

/// The most entries of a list.
pub(crate) const MAX_ENTRIES: usize = 32;
/// The longest entry, in bytes.
pub(crate) const MAX_ENTRY: usize = 128;

/// What one side says in its introduction, beside who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The muxers it offers, most wanted first.
    pub muxers: Vec<String>,
    /// The security protocols it offers, most wanted first. Empty: this one was not negotiated.
    pub offers: Vec<String>,
}

impl Terms {
    /// Ours. Fails with `LimitExceeded` where a list is longer than the handshake carries.
    pub(crate) fn ours(context: &SecurityContext<'_>) -> Result<Self> {
        // Whoever's address names the protocol did not choose among offers.
        let offers = if context.fixed.security().is_some() { &[] } else { context.offers };
        Ok(Self { muxers: list("muxers", context.muxers)?, offers: list("offers", offers)? })
    }

    /// Whether the lists keep to the limits.
    pub(crate) fn within_limits(&self) -> bool {
        [&self.muxers, &self.offers]
            .iter()
            .all(|list| list.len() <= MAX_ENTRIES && list.iter().all(|entry| entry.len() <= MAX_ENTRY))
    }
}

fn list(name: &'static str, ids: &[ProtocolId]) -> Result<Vec<String>> {
    if ids.len() > MAX_ENTRIES || ids.iter().any(|id| id.as_str().len() > MAX_ENTRY) {
        let kind = Kind::LimitExceeded { limit: name, max: MAX_ENTRIES as u64 };
        return Err(Error::new(kind, format!("telling the peer our {name}, each of at most {MAX_ENTRY} bytes")));
    }
    Ok(ids.iter().map(|id| id.as_str().to_owned()).collect())
}

/// Both sides' terms, by who dialed.
pub(crate) struct Both<'a> {
    dialer: &'a Terms,
    listener: &'a Terms,
}

impl<'a> Both<'a> {
    /// The terms of two sides, of which the first has `role`.
    pub fn new(role: Role, ours: &'a Terms, theirs: &'a Terms) -> Self {
        match role {
            Role::Dialer => Self { dialer: ours, listener: theirs },
            Role::Listener => Self { dialer: theirs, listener: ours },
        }
    }

    /// The first of the dialer's muxers that the listener has too.
    pub fn muxer(&self) -> Option<ProtocolId> {
        first_in_common(&self.dialer.muxers, &self.listener.muxers).map(|id| ProtocolId::from(id.to_owned()))
    }

    /// Checks that the negotiation gave what it gives when nobody interferes: the first of the dialer's offers that
    /// the listener has too. A side that says nothing stands for this protocol alone. Fails with
    /// `AuthenticationFailed`.
    pub fn check_negotiation(&self) -> Result<()> {
        let only = [Ecies::ID.to_owned()];
        let or_only = |offers: &'a Vec<String>| if offers.is_empty() { &only[..] } else { offers };
        let (dialer, listener) = (or_only(&self.dialer.offers), or_only(&self.listener.offers));
        let right = first_in_common(dialer, listener);
        if right == Some(Ecies::ID) {
            return Ok(());
        }
        let what = match right {
            Some(better) => format!("a downgrade was detected: both sides would have taken {better}"),
            None => "a downgrade was detected: the sides' true offers have nothing in common".to_owned(),
        };
        Err(Error::new(Kind::AuthenticationFailed, what))
    }
}

fn first_in_common<'a>(dialer: &'a [String], listener: &[String]) -> Option<&'a str> {
    dialer.iter().find(|id| listener.contains(id)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: &str = "/tls/1.0.0";
    const NOISE: &str = "/noise";

    fn negotiated(dialer: &[&str], listener: &[&str]) -> bool {
        let terms =
            |offers: &[&str]| Terms { muxers: Vec::new(), offers: offers.iter().map(|id| id.to_string()).collect() };
        let (dialer, listener) = (terms(dialer), terms(listener));
        let at_dialer = Both::new(Role::Dialer, &dialer, &listener).check_negotiation();
        let at_listener = Both::new(Role::Listener, &listener, &dialer).check_negotiation();
        assert_eq!(at_dialer.is_ok(), at_listener.is_ok(), "both sides judge alike");
        if let Err(error) = &at_dialer {
            assert_eq!(error.kind(), &Kind::AuthenticationFailed);
            assert!(error.to_string().contains("downgrade"), "{error}");
        }
        at_dialer.is_ok()
    }

    #[test]
    fn the_dialers_first_that_the_listener_has_is_right() {
        assert!(negotiated(&[Ecies::ID], &[Ecies::ID]));
        assert!(negotiated(&[Ecies::ID, TLS], &[TLS, Ecies::ID]));
        assert!(negotiated(&[TLS, Ecies::ID], &[NOISE, Ecies::ID]));
    }

    #[test]
    fn whatever_else_is_a_downgrade() {
        assert!(!negotiated(&[TLS, Ecies::ID], &[TLS, Ecies::ID]));
        assert!(!negotiated(&[TLS, NOISE, Ecies::ID], &[Ecies::ID, NOISE]));
        assert!(!negotiated(&[TLS], &[TLS, Ecies::ID]));
        assert!(!negotiated(&[TLS], &[Ecies::ID]));
    }

    #[test]
    fn who_did_not_negotiate_stands_for_this_protocol() {
        assert!(negotiated(&[], &[]));
        assert!(negotiated(&[], &[TLS, Ecies::ID]));
        assert!(negotiated(&[TLS, Ecies::ID], &[]));
        assert!(!negotiated(&[], &[TLS]));
        assert!(!negotiated(&[TLS], &[]));
    }
}
