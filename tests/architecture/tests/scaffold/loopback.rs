//! A transport of its own address form, `/sctp/<number>`, that reaches this process: all a newcomer has to write.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use async_trait::async_trait;
use stackwire_core::{
    AddressPart, BoxPipe, Buffered, Dial, Dialed, Error, Incoming, Kind, Layer, Listen, Listener, Multiaddr, Result,
    Stage, Transport,
};
use stackwire_plugin::{Capabilities, Fixture, Parts, Plugin, Summary, register, schemars, serde};
use tokio::sync::mpsc;

type Listeners = Arc<Mutex<HashMap<u16, mpsc::Sender<BoxPipe>>>>;

/// The number that is given next, unless it is taken.
static NEXT: AtomicU16 = AtomicU16::new(1);

static LISTENERS: std::sync::LazyLock<Listeners> = std::sync::LazyLock::new(Listeners::default);

/// Options of `loop`: none.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct LoopConfig {}

impl Plugin for LoopConfig {
    const SUMMARY: Summary = Summary::new(Layer::Transport, "loop", "reaches this process, as an example")
        .ids(&["/sctp"])
        .capabilities(Capabilities { in_process: true, ..Capabilities::DEFAULT })
        .fixtures(&[Fixture { label: "loop", options: "", listen: "/sctp/0" }]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Loop)))
    }
}

register!(LoopConfig);

struct Loop;

fn number(address: &Multiaddr) -> Option<u16> {
    let mut parts = address.iter();
    match (parts.next(), parts.next()) {
        (Some(AddressPart::Sctp(number)), None) => Some(number),
        _ => None,
    }
}

fn not_ours() -> Error {
    Error::new(Kind::AddressInvalid, "not of the form /sctp/<number>").at(Layer::Transport, "loop")
}

#[async_trait]
impl Transport for Loop {
    fn name(&self) -> &'static str {
        "loop"
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        number(address).is_some()
    }

    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let refused = || Error::new(Kind::Refused, "dialing").at(Layer::Transport, "loop");
        let number = number(dial.address).ok_or_else(not_ours)?;
        let listener = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let listener = listener.ok_or_else(refused)?;
        listener.send(Box::new(Buffered::new(theirs))).await.map_err(|_| refused())?;
        Ok(Dialed { stage: Stage::Raw(Box::new(Buffered::new(ours))), local: None, round_trips: 1 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let taken = || Error::new(Kind::AddressInUse, "listening").at(Layer::Transport, "loop");
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        let free = |number: &u16| !listeners.contains_key(number);
        let number = match number(listen.address).ok_or_else(not_ours)? {
            // Not one that somebody has just left: who still dials that must find nobody.
            0 => (0..u16::MAX).map(|_| NEXT.fetch_add(1, Ordering::Relaxed).max(1)).find(free),
            number => Some(number).filter(free),
        };
        let number = number.ok_or_else(taken)?;
        let (sender, arriving) = mpsc::channel(16);
        listeners.insert(number, sender);
        Ok(Box::new(LoopListener { number, arriving }))
    }
}

struct LoopListener {
    number: u16,
    arriving: mpsc::Receiver<BoxPipe>,
}

impl LoopListener {
    fn address(&self) -> Multiaddr {
        Multiaddr::empty().with(AddressPart::Sctp(self.number))
    }
}

impl Drop for LoopListener {
    fn drop(&mut self) {
        LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[async_trait]
impl Listener for LoopListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![self.address()]
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let pipe = self.arriving.recv().await.ok_or_else(|| Error::closed("accepting"))?;
        let address = self.address();
        Ok(Incoming { remote: address.clone(), local: address, open: Box::pin(async { Ok(Stage::Raw(pipe).into()) }) })
    }
}
