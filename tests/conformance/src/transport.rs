//! The laws of the transport layer.
//!
//! ```ignore
//! use stackwire_conformance::{transport::Subject, transport_laws};
//!
//! transport_laws!(Subject::of_plugin::<MyConfig>);
//! ```
//!
//! A transport may reach any [`Stage`]. The laws about bytes run on the pipe of a raw or secured one; where a transport
//! brings streams along, a stream stands for the pipe, and closing that closes the connection. Its sessions also have
//! to keep the laws of muxers: see [`muxer::Subject::of_sessions`](crate::muxer::Subject::of_sessions).

mod addresses;
mod bytes;
mod carried;
mod ends;
mod link_local;
mod listening;
mod reach;
mod unproven;
mod wildcard;

use std::{path::PathBuf, sync::Arc};

use futures::future::{BoxFuture, join};
use rand::{Rng, SeedableRng, rngs::StdRng};
use stackwire_core::{
    AddressPart, BoxPipe, Dial, Dialed, Error, Incoming, Keypair, Kind, Layer, Listen, Listener, Multiaddr, PeerId,
    Result, Role, Stage, Transport,
};
use stackwire_plugin::{Descriptor, Fixture, Plugin, Reach};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{env_seeded, in_time};

pub use addresses::*;
pub use bytes::*;
pub use ends::*;
pub use link_local::*;
pub use listening::*;
pub use reach::*;
pub use unproven::*;
pub use wildcard::*;

/// The thing under test: a transport and an address it can listen on.
#[derive(Clone)]
pub struct Subject {
    /// The transport.
    pub transport: Arc<dyn Transport>,
    /// Where to listen; port 0, so that tests get in nobody's way.
    pub listen: Multiaddr,
    /// How high it says that it reaches.
    pub reaches: Reach,
    /// The fresh folder that `{tmp}` stood for, gone with the last clone.
    _folder: Option<Arc<TempDir>>,
}

impl Subject {
    /// `transport`, which can listen on `listen` and reaches the first rung.
    pub fn new(transport: Arc<dyn Transport>, listen: Multiaddr) -> Self {
        Self { transport, listen, reaches: Reach::Raw, _folder: None }
    }

    /// The same, saying that it reaches so high.
    pub fn reaching(self, reaches: Reach) -> Self {
        Self { reaches, ..self }
    }

    /// The plug-in `P`, made by its first fixture. Panics where it names none.
    pub fn of_plugin<P: Plugin>() -> Self {
        Self::of_plugin_by::<P>(P::SUMMARY.fixtures.first().expect("a transport names a fixture").label)
    }

    /// The plug-in `P`, made by its fixture `label`. Panics where there is none of that name.
    pub fn of_plugin_by<P: Plugin>(label: &str) -> Self {
        let fixtures = P::SUMMARY.fixtures;
        let fixture = fixtures.iter().find(|fixture| fixture.label == label);
        Self::of(&Descriptor::of::<P>("the crate under test"), fixture.expect("the fixture exists"))
    }

    /// A registered plug-in, made by one of its fixtures. Panics where it is none of the transport layer.
    pub fn of(descriptor: &Descriptor, fixture: &Fixture) -> Self {
        let name = descriptor.summary.name;
        let uses_folder = fixture.options.contains("{tmp}") || fixture.listen.contains("{tmp}");
        let folder = uses_folder.then(|| Arc::new(tempfile::tempdir().expect("a temporary folder can be made")));
        let path = folder.as_ref().map_or(PathBuf::new(), |folder| folder.path().to_path_buf());
        let with_folder = |text: &str| text.replace("{tmp}", &path.to_string_lossy());
        let listen = with_folder(fixture.listen).parse().expect("the fixture's address parses");
        match descriptor.build_from(&with_folder(fixture.options)) {
            Ok(mut parts) => {
                let transport = parts.transports.pop().unwrap_or_else(|| panic!("{name} has no transport"));
                Self { transport, listen, reaches: descriptor.summary.capabilities.reaches, _folder: folder }
            }
            Err(problem) => panic!("{name} by its fixture {}: {problem}", fixture.label),
        }
    }

    /// Dials `address`, whoever is there.
    pub async fn dial(&self, address: &Multiaddr) -> Result<Dialed> {
        self.dial_peer(address, None).await
    }

    /// Dials `address`, where `peer` should be.
    pub async fn dial_peer(&self, address: &Multiaddr, peer: Option<PeerId>) -> Result<Dialed> {
        let (identity, env) = (dialer_identity(), env_seeded(1));
        self.transport.dial(Dial::new(address, &identity, &env).to(peer)).await
    }

    /// Listens on `address`.
    pub async fn listen_on(&self, address: &Multiaddr) -> Result<Box<dyn Listener>> {
        let (identity, env) = (listener_identity(), env_seeded(2));
        self.transport.listen(Listen::new(address, &identity, &env)).await
    }

    /// Listens on [`Subject::listen`], and the first address that got.
    async fn listening(&self) -> (Box<dyn Listener>, Multiaddr) {
        let listener = in_time("listening", self.listen_on(&self.listen)).await.expect("listening works");
        let address = listener.addresses().into_iter().next().expect("a listener has an address");
        (listener, address)
    }

    /// An address where nobody listens: one that was free a moment ago. Its port may be another test's by now, so it is that
    /// of a loopback address that no test has.
    async fn vacant(&self) -> Multiaddr {
        let free = self.listening().await.1;
        let apart = |part: AddressPart<'static>| match part {
            AddressPart::Ip4(ip) if cfg!(target_os = "linux") && ip.is_loopback() => {
                AddressPart::Ip4([127, 84, 0, 1].into())
            }
            other => other,
        };
        free.iter().map(|part| apart(part.acquire())).collect()
    }
}

/// Who dials.
fn dialer_identity() -> Keypair {
    Keypair::ed25519_from_seed([1; 32])
}

/// Who listens.
fn listener_identity() -> Keypair {
    Keypair::ed25519_from_seed([2; 32])
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::transport_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each.
///
/// Sockets are the operating system's, so time is real; nothing here depends on how long anything takes.
#[macro_export]
macro_rules! transport_laws {
    (@list $($then:tt)*) => {
        $crate::transport_laws! { $($then)*
            addresses_are_resolved
            every_reported_address_can_be_dialed
            both_ends_agree_on_addresses
            addresses_of_other_kinds_are_refused
            any_address_can_be_asked_about
            several_listeners_live_side_by_side
            an_address_is_listened_on_once
            a_dropped_listener_frees_its_address
            a_dial_to_nobody_says_so
            accepting_can_be_given_up
            a_cancelled_dial_frees_everything
            a_dropped_incoming_closes_its_connection
            a_slow_open_holds_up_nobody
            fifty_connections_at_once
            connections_outlive_their_listener
            a_lone_first_packet_makes_nobody_arrive
            first_packets_of_others_keep_nobody_out
            a_connection_is_at_the_rung_that_was_declared
            whoever_proves_identities_proves_both
            whoever_proves_identities_refuses_others
            both_sides_have_one_binding_that_no_other_connection_has
            megabytes_flow_both_ways_at_once
            reads_are_exact
            a_read_can_be_given_up
            vectored_writes_arrive_in_order
            single_bytes_arrive
            a_flush_delivers_what_was_written
            a_shutdown_ends_one_direction_only
            closing_without_data_is_an_end
            dropping_a_pipe_ends_the_peers_reads
            dropping_a_pipe_fails_the_peers_writes
            a_reset_ends_both_directions
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                $crate::transport::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::transport_laws!(@list @tests ($factory));
    };
}

/// A connection, both ends.
struct Connection {
    dialed: Dialed,
    accepted: Stage,
    local: Multiaddr,
    remote: Multiaddr,
}

impl Connection {
    /// Both ends as pipes; see [`pipe`].
    async fn pipes(self) -> (BoxPipe, BoxPipe) {
        let pipes = async {
            let dialed = pipe(self.dialed.stage, Role::Dialer).await?;
            Ok::<_, Error>((dialed, pipe(self.accepted, Role::Listener).await?))
        };
        in_time("the pipes of a connection", pipes).await.expect("a connection that was made lives")
    }
}

/// The bytes of a stage. Where it brings streams along, those of the first stream, which the dialer opens; fails where
/// the connection ends before there is one.
async fn pipe(stage: Stage, role: Role) -> Result<BoxPipe> {
    match stage {
        Stage::Raw(pipe) => Ok(pipe),
        Stage::Secured(secured) => Ok(secured.pipe),
        Stage::Multiplexed(top) => carried::first_stream(top, role).await,
    }
}

/// Dials `address`, where `listener` listens, and takes the connection there.
async fn connect(subject: &Subject, listener: &mut Box<dyn Listener>, address: &Multiaddr) -> Connection {
    let accept = async {
        let incoming = listener.accept().await.expect("accepting works");
        let Incoming { remote, local, open } = incoming;
        (open.await.expect("opening works").stage, local, remote)
    };
    let (dialed, (accepted, local, remote)) = in_time("a connection", join(subject.dial(address), accept)).await;
    Connection { dialed: dialed.expect("dialing works"), accepted, local, remote }
}

/// Both ends of a connection, and the listener that took it.
async fn connected(subject: &Subject) -> (BoxPipe, BoxPipe, Box<dyn Listener>) {
    let (mut listener, address) = subject.listening().await;
    let (a, b) = connect(subject, &mut listener, &address).await.pipes().await;
    (a, b, listener)
}

/// A few bytes there and back: the connection lives.
async fn ping(a: &mut BoxPipe, b: &mut BoxPipe) {
    in_time("a ping", join(ask(a), answer(b))).await;
}

async fn ask(pipe: &mut BoxPipe) {
    pipe.write_all(b"ping").await.expect("writing works");
    pipe.flush().await.expect("flushing works");
    assert_eq!(&read_array(pipe).await, b"pong");
}

async fn answer(pipe: &mut BoxPipe) {
    assert_eq!(&read_array(pipe).await, b"ping");
    pipe.write_all(b"pong").await.expect("writing works");
    pipe.flush().await.expect("flushing works");
}

async fn read_array(pipe: &mut BoxPipe) -> [u8; 4] {
    let mut bytes = [0; 4];
    pipe.read_exact(&mut bytes).await.expect("reading works");
    bytes
}

/// Reads until the connection ends, either way, and gives what came before that.
async fn read_to_any_end(pipe: &mut BoxPipe) -> Vec<u8> {
    let mut data = Vec::new();
    let _either_end = in_time("the end of the connection", pipe.read_to_end(&mut data)).await;
    data
}

/// An error of a transport names where it happened.
fn assert_named(subject: &Subject, error: &Error) {
    assert_eq!(error.layer(), Some(Layer::Transport), "the error names its layer: {error}");
    assert_eq!(error.plugin(), Some(subject.transport.name()), "the error names its plug-in: {error}");
}

/// The error of a dial to where nobody is.
fn assert_nobody(subject: &Subject, error: &Error) {
    assert!(matches!(error.kind(), Kind::Refused | Kind::Unreachable), "not the error of an empty address: {error}");
    assert_named(subject, error);
}

/// The failure in `result`. (`Result::unwrap_err` would ask connections to be printable.)
fn failure<T>(result: Result<T>, what: &str) -> Error {
    match result {
        Ok(_) => panic!("{what} must fail"),
        Err(error) => error,
    }
}

fn random_bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}
