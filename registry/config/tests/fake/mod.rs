//! A catalogue of plug-ins that only have options: enough to plan with.
#![allow(dead_code, reason = "each test uses a part")]

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use stackwire_config::{Catalogue, Descriptor, Fixture, Parts, Plugin, Summary, schemars, serde};
use stackwire_core::{
    AddressPart, BoxPipe, CandidateSink, Dial, Dialed, Discovery, Driver, Error, Host, Kind, Layer, Listen, Listener,
    Multiaddr, Muxer, MuxerContext, Nat, Negotiated, Negotiator, ProtectContext, Protector, Protocol, ProtocolId,
    Recognition, Result, Role, Route, Router, SecuredPipe, Security, SecurityContext, SelectContext, Session, Stream,
    Target, Transport,
};

/// tcp, memory, web; noise, plaintext; yamux; direct; identify, ping.
pub fn catalogue() -> Catalogue {
    static ALL: [Descriptor; 10] = [
        Descriptor::of::<Tcp>("fake-tcp"),
        Descriptor::of::<Memory>("fake-memory"),
        Descriptor::of::<Web>("fake-web"),
        Descriptor::of::<Noise>("fake-noise"),
        Descriptor::of::<Plaintext>("fake-plaintext"),
        Descriptor::of::<Yamux>("fake-yamux"),
        Descriptor::of::<Direct>("fake-direct"),
        Descriptor::of::<Found>("fake-found"),
        Descriptor::of::<Identify>("fake-identify"),
        Descriptor::of::<Ping>("fake-ping"),
    ];
    Catalogue::of(&ALL).unwrap()
}

macro_rules! options {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Clone, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(crate = "serde", default, deny_unknown_fields)]
        #[schemars(crate = "schemars")]
        pub struct $name { $(pub $field: $type),* }
    };
}

options!(Tcp { nodelay: bool, backlog: u16, tuning: Option<Tuning>, tags: std::collections::BTreeMap<String, u8> });
options!(Tuning { send_buffer: u32, receive_buffer: u32 });
options!(Memory {});
options!(Web { certificate: String });
options!(Noise {});
options!(Plaintext { insecure: bool });
options!(Yamux { window: u32 });
options!(Direct {});
options!(Found {});
options!(Identify { agent: String });
options!(Ping { interval: u32, failures: u32 });

impl Plugin for Tcp {
    const SUMMARY: Summary = Summary::new(Layer::Transport, "tcp", "fake TCP").ids(&["/tcp"]);
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Fake("tcp", |address| {
            matches!(
                Vec::from_iter(address).as_slice(),
                [AddressPart::Ip4(_) | AddressPart::Ip6(_), AddressPart::Tcp(_)]
            )
        }))))
    }
}

impl Plugin for Memory {
    const SUMMARY: Summary = Summary::new(Layer::Transport, "memory", "fake memory").ids(&["/memory"]);
    fn build(self) -> Result<Parts> {
        Ok(Parts::new()
            .transport(Arc::new(Fake("memory", |a| matches!(a.iter().next(), Some(AddressPart::Memory(_)))))))
    }
}

impl Plugin for Web {
    const SUMMARY: Summary = Summary::new(Layer::Transport, "web", "fake WebSocket")
        .ids(&["/wss"])
        .fixtures(&[Fixture { label: "wss", options: "certificate = \"x\"", listen: "/ip4/127.0.0.1/tcp/0/wss" }]);
    fn build(self) -> Result<Parts> {
        let takes: fn(&Multiaddr) -> bool = match self.certificate.as_str() {
            "" => |_| false,
            _ => |address| address.iter().any(|part| matches!(part, AddressPart::Wss(_))),
        };
        Ok(Parts::new().transport(Arc::new(Fake("web", takes))))
    }
}

impl Plugin for Noise {
    const SUMMARY: Summary = Summary::new(Layer::Security, "noise", "fake Noise").ids(&["/noise"]);
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().security(Arc::new(Fake("noise", |_| false))))
    }
}

impl Plugin for Plaintext {
    const SUMMARY: Summary = Summary::new(Layer::Security, "plaintext", "fake plaintext").ids(&["/plaintext"]);
    fn build(self) -> Result<Parts> {
        if !self.insecure {
            return Err(Error::new(Kind::ConfigInvalid, "add `insecure = true`"));
        }
        Ok(Parts::new().security(Arc::new(Fake("plaintext", |_| false))))
    }
}

impl Plugin for Yamux {
    const SUMMARY: Summary = Summary::new(Layer::Muxer, "yamux", "fake yamux").ids(&["/yamux"]);
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().muxer(Arc::new(Fake("yamux", |_| false))))
    }
}

impl Plugin for Direct {
    const SUMMARY: Summary = Summary::new(Layer::Routing, "direct", "fake direct");
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().router(Arc::new(Fake("direct", |_| false))))
    }
}

impl Plugin for Found {
    const SUMMARY: Summary = Summary::new(Layer::Discovery, "found", "fake discovery");
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().discovery(Arc::new(Fake("found", |_| false))))
    }
}

impl Plugin for Identify {
    const SUMMARY: Summary = Summary::new(Layer::Protocol, "identify", "fake identify").ids(&["/identify"]);
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().protocol(Arc::new(Fake("/identify", |_| false))))
    }
}

impl Plugin for Ping {
    const SUMMARY: Summary = Summary::new(Layer::Protocol, "ping", "fake ping").ids(&["/ping"]);
    fn build(self) -> Result<Parts> {
        Ok(Parts::new().protocol(Arc::new(Fake("/ping", |_| false))))
    }
}

/// Implements every layer and does nothing.
pub struct Fake(pub &'static str, pub fn(&Multiaddr) -> bool);

fn nothing<T>() -> Result<T> {
    Err(Error::new(Kind::Unsupported, "fake"))
}

#[async_trait]
impl Transport for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    fn can_dial(&self, address: &Multiaddr) -> bool {
        (self.1)(address)
    }
    async fn dial(&self, _: Dial<'_>) -> Result<Dialed> {
        nothing()
    }
    async fn listen(&self, _: Listen<'_>) -> Result<Box<dyn Listener>> {
        nothing()
    }
}

#[async_trait]
impl Security for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    fn id(&self) -> ProtocolId {
        self.0.into()
    }
    async fn handshake(&self, _: BoxPipe, _: Role, _: SecurityContext<'_>) -> Result<SecuredPipe> {
        nothing()
    }
}

impl Muxer for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    fn id(&self) -> ProtocolId {
        self.0.into()
    }
    fn start(&self, _: BoxPipe, _: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        unreachable!("planning starts nothing")
    }
}

#[async_trait]
impl Router for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    fn find<'a>(&'a self, _: &Target, _: &'a Host) -> BoxStream<'a, Result<Route>> {
        Box::pin(futures::stream::empty())
    }
}

#[async_trait]
impl Protocol for Fake {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![self.0.into()]
    }
    async fn serve(&self, _: Stream, _: &Host) -> Result<()> {
        nothing()
    }
}

#[async_trait]
impl Protector for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn protect(&self, _: BoxPipe, _: ProtectContext<'_>) -> Result<BoxPipe> {
        nothing()
    }
}

#[async_trait]
impl Negotiator for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn select(&self, _: BoxPipe, _: SelectContext<'_>) -> Result<Negotiated> {
        nothing()
    }
    fn recognizes(&self, _: &[u8]) -> Recognition {
        Recognition::No
    }
}

#[async_trait]
impl Nat for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn run(&self, _: &Host) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Discovery for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn run(&self, _: &dyn CandidateSink, _: &Host) -> Result<()> {
        nothing()
    }
}
