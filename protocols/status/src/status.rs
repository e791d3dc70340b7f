//! The protocol, and its service.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use stackwire_core::{
    ConnectionId, ConnectionInfo, Error, Host, Kind, Layer, PeerId, Pipe, Protocol, ProtocolId, RateLimiter, Result,
    Stream,
};
use stackwire_liveness::{Place, Places, each_connection};
use tokio::sync::watch;

use crate::{
    ID, NAME,
    book::Book,
    judge::Rules,
    service::{PeerStatus, Status, Validator},
    watch::{Party, Watch},
    wire::MAX_STATUS,
};

/// Exchanges that a peer may begin at once on a connection.
const MAX_INBOUND: u32 = 2;
/// So many exchanges a peer may begin in a row, and after them one for each of these: each costs signatures.
const BURST: u32 = 16;
const PERIOD: Duration = Duration::from_millis(500);
/// Peers whose rates are kept; those that have been quiet make room.
const MAX_RATES: usize = 8192;
/// The code of a stream that is refused: "rate limited" of libp2p's error codes.
const RATE_LIMITED: u32 = 0x1003;

/// What is asked of peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long an exchange may take, and a peer until it has one.
    pub(crate) limit: Duration,
    /// Whether peers that do not speak the protocol are refused.
    pub(crate) required: bool,
    /// Whether exchanges wait until the application has set a status.
    pub(crate) wait_for_set: bool,
    pub(crate) rules: Rules,
}

/// The protocol `status`, and its service.
pub(crate) struct Statuses {
    shared: Arc<Shared>,
    places: Places<ConnectionId>,
    rate: Mutex<RateLimiter<PeerId>>,
}

/// What the tasks and the service share.
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) book: Mutex<Book>,
    ours: watch::Sender<Option<Bytes>>,
    validator: Mutex<Option<Arc<dyn Validator>>>,
    /// How often the application asked for new exchanges.
    pub(crate) renewals: watch::Sender<u64>,
}

impl Shared {
    /// Who judges now.
    pub(crate) fn validator(&self) -> Option<Arc<dyn Validator>> {
        self.validator.lock().clone()
    }

    /// What we tell. Waits until there is something where the config says so. Cancel-safe.
    pub(crate) async fn ours(&self) -> Bytes {
        if self.policy.wait_for_set {
            // The sender is in our own hands.
            let _ = self.ours.subscribe().wait_for(Option::is_some).await;
        }
        self.ours.borrow().clone().unwrap_or_default()
    }
}

impl Statuses {
    pub(crate) fn new(policy: Policy) -> Self {
        let shared = Shared {
            policy,
            book: Mutex::default(),
            ours: watch::Sender::new(None),
            validator: Mutex::new(None),
            renewals: watch::Sender::new(0),
        };
        // Connections are limited elsewhere.
        let places = Places::new(("exchanges of a connection at once", MAX_INBOUND), ("exchanges", u32::MAX));
        let rate = Mutex::new(RateLimiter::new(BURST, PERIOD, MAX_RATES));
        Self { shared: Arc::new(shared), places, rate }
    }

    /// A place for an exchange that a peer begins. Fails with `LimitExceeded`.
    fn enter(&self, stream: &Stream, host: &Host) -> Result<Place<'_, ConnectionId>> {
        let place = self.places.enter(stream.connection())?;
        match self.rate.lock().allows(stream.peer(), host.env().now()) {
            true => Ok(place),
            false => {
                let kind = Kind::LimitExceeded { limit: "exchanges of one peer in a row", max: BURST.into() };
                Err(Error::new(kind, "exchanging statuses with a peer that begins too often"))
            }
        }
    }
}

impl Status for Statuses {
    fn set(&self, status: Bytes) -> Result<()> {
        if status.len() > MAX_STATUS {
            let kind = Kind::LimitExceeded { limit: "bytes of a status", max: MAX_STATUS as u64 };
            return Err(Error::new(kind, "setting the status that peers are told").at(Layer::Protocol, NAME));
        }
        self.shared.ours.send_replace(Some(status));
        Ok(())
    }

    fn set_validator(&self, validator: Arc<dyn Validator>) {
        *self.shared.validator.lock() = Some(validator);
    }

    fn of(&self, peer: &PeerId) -> Option<PeerStatus> {
        self.shared.book.lock().of(peer)
    }

    fn renew(&self) {
        self.shared.renewals.send_modify(|renewals| *renewals += 1);
    }
}

#[async_trait]
impl Protocol for Statuses {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID)]
    }

    fn keep_alive(&self) -> bool {
        false
    }

    async fn serve(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let _place = match self.enter(&stream, host) {
            Ok(place) => place,
            Err(error) => {
                stream.reset(RATE_LIMITED);
                return Err(error.at(Layer::Protocol, NAME));
            }
        };
        let party = Party::new(host.clone(), stream.info().clone(), self.shared.clone());
        party.respond(stream).await
    }

    async fn run(&self, host: &Host) {
        let shared = self.shared.clone();
        let watch = move |host: Host, connection: Arc<ConnectionInfo>| {
            Watch::new(Party::new(host, connection, shared.clone())).run()
        };
        each_connection(host, NAME, watch).await;
    }
}
