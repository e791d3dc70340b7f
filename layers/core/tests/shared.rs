//! An `Arc` of a plug-in is that plug-in, so that a decorator over any plug-in wraps those that exist.

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_core::{
    Dial, Dialed, Error, Kind, Listen, Listener, Multiaddr, Opened, Over, Recognition, Result, Transport,
};

/// Answers every question otherwise than a transport does that says nothing.
struct Odd;

fn odd<T>() -> Result<T> {
    Err(Error::new(Kind::Unsupported, "the odd one"))
}

#[async_trait]
impl Transport for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }
    fn can_dial(&self, _: &Multiaddr) -> bool {
        false
    }
    fn can_listen(&self, _: &Multiaddr) -> bool {
        true
    }
    async fn dial(&self, _: Dial<'_>) -> Result<Dialed> {
        odd()
    }
    async fn listen(&self, _: Listen<'_>) -> Result<Box<dyn Listener>> {
        odd()
    }
    fn descriptors(&self) -> usize {
        7
    }
    fn may_meet(&self, _: &Multiaddr) -> bool {
        true
    }
    fn carrier(&self, address: &Multiaddr) -> Option<Multiaddr> {
        Some(address.clone())
    }
    fn recognizes(&self, _: &Multiaddr, _: &[u8]) -> Recognition {
        Recognition::Yes
    }
    async fn accept_over(&self, _: Over<'_>) -> Result<Opened> {
        odd()
    }
}

/// A decorator as anybody would write it, over any transport.
struct Renamed<T>(T);

#[async_trait]
impl<T: Transport> Transport for Renamed<T> {
    fn name(&self) -> &'static str {
        "renamed"
    }
    fn can_dial(&self, address: &Multiaddr) -> bool {
        self.0.can_dial(address)
    }
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        self.0.dial(dial).await
    }
    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        self.0.listen(listen).await
    }
}

#[test]
fn a_decorator_wraps_what_exists() {
    let wrap: fn(Arc<dyn Transport>) -> Arc<dyn Transport> = |inner| Arc::new(Renamed(inner));
    let wrapped = wrap(Arc::new(Odd));
    assert_eq!(wrapped.name(), "renamed");
    assert!(!wrapped.can_listen(&Multiaddr::empty()), "what this decorator forgets is the contract's");
}

fn assert_odd(transport: impl Transport) {
    let address = Multiaddr::empty();
    assert_eq!(transport.name(), "odd");
    assert!(!transport.can_dial(&address) && transport.can_listen(&address) && transport.may_meet(&address));
    assert_eq!(transport.carrier(&address), Some(address.clone()));
    assert_eq!(transport.recognizes(&address, b""), Recognition::Yes);
}

#[test]
fn what_is_shared_answers_as_itself() {
    assert_odd(Odd);
    assert_odd(Arc::new(Odd));
    assert_odd(Arc::new(Odd) as Arc<dyn Transport>);
    assert_odd(Arc::new(Arc::new(Odd) as Arc<dyn Transport>));
}
