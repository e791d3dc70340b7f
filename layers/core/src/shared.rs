//! What is shared is what it shares: an [`Arc`] of a plug-in is a plug-in, so that a decorator over any `T: Transport` is
//! also one over `Arc<dyn Transport>`.
//!
//! A method that answers later hands on the future of the plug-in as it is, not boxed once more. `deny` finds a method that
//! a contract was given and that isn't handed on; CI runs that lint.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures::stream::BoxStream;

use crate::{
    BoxPipe, CandidateSink, Dial, Dialed, Discovery, Driver, Host, Keypair, Listen, Listener, Multiaddr, Muxer,
    MuxerContext, Nat, Negotiated, Negotiator, Opened, Over, PeerId, ProtectContext, Protector, Protocol, ProtocolId,
    Recognition, Result, Role, Route, Router, SecuredPipe, Security, SecurityContext, SelectContext, Session, Stream,
    Target, Transport,
    address::{Fixed, Origin},
};

/// Implements a contract for `Arc<T>`. A method that answers later names the lifetimes of its arguments behind `async`, as
/// `async_trait` counts them.
macro_rules! shared {
    (impl $contract:ident { $($methods:tt)* }) => {
        #[deny(clippy::missing_trait_methods)]
        impl<T: $contract + ?Sized> $contract for Arc<T> {
            shared!(@ $($methods)*);
        }
    };
    (@ fn $name:ident(&self $(, $arg:ident: $type:ty)*) $(-> $answer:ty)?; $($rest:tt)*) => {
        #[inline]
        fn $name(&self $(, $arg: $type)*) $(-> $answer)? {
            (**self).$name($($arg),*)
        }
        shared!(@ $($rest)*);
    };
    (@ async[$($life:lifetime),*] fn $name:ident(&self $(, $arg:ident: $type:ty)*) $(-> $answer:ty)?; $($rest:tt)*) => {
        #[inline]
        fn $name<'life0, $($life,)* 'async_trait>(
            &'life0 self $(, $arg: $type)*
        ) -> Pin<Box<dyn Future<Output = shared!(@answer $($answer)?)> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            $($life: 'async_trait,)*
            Self: 'async_trait,
        {
            (**self).$name($($arg),*)
        }
        shared!(@ $($rest)*);
    };
    (@) => {};
    (@answer $answer:ty) => { $answer };
    (@answer) => { () };
}

shared!(impl Transport {
    fn name(&self) -> &'static str;
    fn can_dial(&self, address: &Multiaddr) -> bool;
    fn can_listen(&self, address: &Multiaddr) -> bool;
    async['life1] fn dial(&self, dial: Dial<'life1>) -> Result<Dialed>;
    async['life1] fn listen(&self, listen: Listen<'life1>) -> Result<Box<dyn Listener>>;
    fn may_meet(&self, address: &Multiaddr) -> bool;
    fn descriptors(&self) -> usize;
    fn carrier(&self, address: &Multiaddr) -> Option<Multiaddr>;
    fn recognizes(&self, address: &Multiaddr, first: &[u8]) -> Recognition;
    async['life1] fn accept_over(&self, over: Over<'life1>) -> Result<Opened>;
});

shared!(impl Protector {
    fn name(&self) -> &'static str;
    async['life1] fn protect(&self, pipe: BoxPipe, context: ProtectContext<'life1>) -> Result<BoxPipe>;
});

shared!(impl Negotiator {
    fn name(&self) -> &'static str;
    async['life1] fn select(&self, pipe: BoxPipe, context: SelectContext<'life1>) -> Result<Negotiated>;
    fn recognizes(&self, first: &[u8]) -> Recognition;
    fn can_meet(&self) -> bool;
    fn chooses(&self) -> bool;
});

shared!(impl Security {
    fn name(&self) -> &'static str;
    fn id(&self) -> ProtocolId;
    fn negotiable(&self) -> bool;
    fn address(&self, identity: &Keypair) -> Option<Fixed>;
    async['life1] fn handshake(
        &self,
        pipe: BoxPipe,
        role: Role,
        context: SecurityContext<'life1>
    ) -> Result<SecuredPipe>;
});

shared!(impl Muxer {
    fn name(&self) -> &'static str;
    fn id(&self) -> ProtocolId;
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver);
});

shared!(impl Discovery {
    fn name(&self) -> &'static str;
    async['life1, 'life2] fn run(&self, sink: &'life1 dyn CandidateSink, host: &'life2 Host) -> Result<()>;
    async['life1, 'life2] fn advertise(&self, name: &'life1 str, host: &'life2 Host) -> Result<Duration>;
});

shared!(impl Nat {
    fn name(&self) -> &'static str;
    async['life1] fn run(&self, host: &'life1 Host) -> Result<()>;
});

shared!(impl Protocol {
    fn ids(&self) -> Vec<ProtocolId>;
    async['life1] fn serve(&self, stream: Stream, host: &'life1 Host) -> Result<()>;
    fn keep_alive(&self) -> bool;
    async['life1] fn run(&self, host: &'life1 Host);
});

#[deny(clippy::missing_trait_methods)]
impl<T: Router + ?Sized> Router for Arc<T> {
    #[inline]
    fn find<'a>(&'a self, target: &Target, host: &'a Host) -> BoxStream<'a, Result<Route>> {
        (**self).find(target, host)
    }

    shared!(@
        fn name(&self) -> &'static str;
        async['life1] fn run(&self, host: &'life1 Host);
        fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin);
        fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin);
        async['life1, 'life2] fn provide(&self, key: &'life1 [u8], host: &'life2 Host) -> Result<()>;
        async['life1, 'life2, 'life3] fn put(
            &self,
            key: &'life1 [u8],
            value: &'life2 [u8],
            ttl: Duration,
            host: &'life3 Host
        ) -> Result<()>;
        async['life1, 'life2] fn get(&self, key: &'life1 [u8], host: &'life2 Host) -> Result<Vec<u8>>;
    );
}
