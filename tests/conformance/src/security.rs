//! The laws of the security layer.
//!
//! ```ignore
//! use stackwire_conformance::{security::Subject, security_laws};
//!
//! security_laws!(Subject::of_plugin::<MyConfig>);
//! ```
//!
//! What a plug-in declares in its [`Capabilities`] decides where a law asks for the declared behaviour instead: a
//! protocol that says it is insecure is not asked to notice altered bytes.
//!
//! The laws mean to run on a current-thread runtime with a paused clock (`start_paused = true`, as the macro does):
//! time then passes only when nothing can move, so that a hang is found at once and nothing depends on real time.

mod bytes;
mod hostile;
mod proof;
mod tap;
mod unproven;

use std::sync::Arc;

use futures::future::{BoxFuture, join};
use stackwire_core::{
    BoxPipe, Env, Error, Keypair, Layer, PeerId, ProtocolId, PublicKey, Result, Role, SecuredPipe, Security,
    SecurityContext, address::FixedPath,
};
use stackwire_plugin::{Capabilities, Descriptor, Fixture, Plugin};

use crate::{env_seeded, in_time, pipes};

pub use bytes::*;
pub use hostile::*;
pub use proof::*;
pub use unproven::*;

/// The thing under test: a security protocol and what its plug-in declares about it.
#[derive(Clone)]
pub struct Subject {
    /// The protocol.
    pub security: Arc<dyn Security>,
    /// What it declares.
    pub capabilities: Capabilities,
}

impl Subject {
    /// The plug-in `P`, made by its first fixture, or by its default options where it names none.
    pub fn of_plugin<P: Plugin>() -> Self {
        let descriptor = Descriptor::of::<P>("the crate under test");
        let fixtures = descriptor.fixtures();
        let fixture = fixtures.first().expect("every security plug-in has at least the fixture of its defaults");
        Self::of(&descriptor, fixture)
    }

    /// A registered plug-in, made by one of its fixtures. Panics where it is none of the security layer.
    pub fn of(descriptor: &Descriptor, fixture: &Fixture) -> Self {
        let name = descriptor.summary.name;
        match descriptor.build_from(fixture.options) {
            Ok(mut parts) => {
                let security = parts.securities.pop().unwrap_or_else(|| panic!("{name} has no security protocol"));
                Self { security, capabilities: descriptor.summary.capabilities }
            }
            Err(problem) => panic!("{name} by its fixture {}: {problem}", fixture.label),
        }
    }
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::security_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each.
#[macro_export]
macro_rules! security_laws {
    (@list $($then:tt)*) => {
        $crate::security_laws! { $($then)*
            both_sides_learn_who_the_other_is
            every_key_type_proves_itself
            a_wrong_peer_is_refused_and_named
            muxers_are_agreed_on_as_declared
            both_sides_have_one_binding_that_no_other_connection_has
            data_sent_right_after_the_handshake_arrives
            messages_of_awkward_sizes_arrive_whole
            megabytes_flow_both_ways_at_once
            reads_smaller_than_a_frame_keep_the_rest
            pipes_of_single_bytes_work
            vectored_writes_arrive_in_order
            a_flush_delivers_what_was_written
            a_reader_that_stops_holds_up_the_writer
            a_shutdown_ends_one_direction_only
            closing_without_data_is_an_end
            dropping_a_channel_ends_the_peers_reads
            garbage_fails_the_handshake
            endless_garbage_is_not_swallowed
            a_handshake_cut_anywhere_fails
            an_altered_handshake_deceives_nobody
            cancelling_a_handshake_frees_the_pipe
            what_was_recorded_proves_nobody
            a_dialer_that_vanishes_is_proven_or_nobody
            a_dialer_that_says_nothing_is_proven
            a_proof_takes_no_data
            altered_bytes_are_noticed
            a_cut_channel_never_looks_whole
            garbage_after_the_handshake_is_refused
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $law() {
                $crate::security::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::security_laws!(@list @tests ($factory));
    };
}

/// One side of a handshake.
#[derive(Clone)]
struct Side {
    identity: Keypair,
    /// Whom it dials, where an address must say how.
    dials: Keypair,
    expected: Option<PeerId>,
    muxers: Vec<ProtocolId>,
    env: Env,
}

impl Side {
    /// A side with an Ed25519 identity of its own, that expects nobody in particular and offers no muxer.
    fn new(seed: u8) -> Self {
        Self::with_identity(Keypair::ed25519_from_seed([seed; 32]), seed)
    }

    fn with_identity(identity: Keypair, seed: u8) -> Self {
        let dials = Keypair::ed25519_from_seed([if seed == 2 { 1 } else { 2 }; 32]);
        Self { identity, dials, expected: None, muxers: Vec::new(), env: env_seeded(seed.into()) }
    }

    fn expecting(mut self, peer: PeerId) -> Self {
        self.expected = Some(peer);
        self
    }

    fn offering(mut self, muxers: &[&'static str]) -> Self {
        self.muxers = muxers.iter().copied().map(ProtocolId::new).collect();
        self
    }

    fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Whom a peer that expected nobody takes this side for.
    fn known_as(&self, subject: &Subject) -> PeerId {
        let key = self.identity.public();
        match key.x25519().filter(|_| subject.capabilities.x25519_identity) {
            Some(key) => PublicKey::X25519(key).peer_id(),
            None => key.peer_id(),
        }
    }

    async fn handshake(&self, subject: &Subject, pipe: BoxPipe, role: Role) -> Result<SecuredPipe> {
        let fixed = match role {
            Role::Dialer => FixedPath::new(subject.security.address(&self.dials)),
            Role::Listener => FixedPath::default(),
        };
        let offers = [subject.security.id()];
        let context = SecurityContext::new(&self.identity, &self.env)
            .expecting(self.expected)
            .with_muxers(&self.muxers)
            .with_offers(&offers)
            .with_fixed(&fixed);
        subject.security.handshake(pipe, role, context).await
    }
}

fn dialer() -> Side {
    Side::new(1)
}

fn listener() -> Side {
    Side::new(2)
}

/// The handshakes of both sides, to their ends.
async fn attempt(
    subject: &Subject,
    (a, b): (BoxPipe, BoxPipe),
    dialer: &Side,
    listener: &Side,
) -> (Result<SecuredPipe>, Result<SecuredPipe>) {
    let both = join(dialer.handshake(subject, a, Role::Dialer), listener.handshake(subject, b, Role::Listener));
    in_time("the handshake", both).await
}

/// The handshakes of both sides, which succeed.
async fn connect(
    subject: &Subject,
    pipes: (BoxPipe, BoxPipe),
    dialer: &Side,
    listener: &Side,
) -> (SecuredPipe, SecuredPipe) {
    match attempt(subject, pipes, dialer, listener).await {
        (Ok(a), Ok(b)) => (a, b),
        (a, b) => panic!("the handshake failed; dialer: {:?}; listener: {:?}", a.err(), b.err()),
    }
}

/// Both ends of a channel.
async fn connected(subject: &Subject) -> (BoxPipe, BoxPipe) {
    connected_over(subject, pipes::pair()).await
}

async fn connected_over(subject: &Subject, pipes: (BoxPipe, BoxPipe)) -> (BoxPipe, BoxPipe) {
    let (a, b) = connect(subject, pipes, &dialer(), &listener()).await;
    (a.pipe, b.pipe)
}

/// An error of a handshake names where it happened.
fn assert_named(subject: &Subject, error: &Error) {
    assert_eq!(error.layer(), Some(Layer::Security), "the error names its layer: {error}");
    assert_eq!(error.plugin(), Some(subject.security.name()), "the error names its plug-in: {error}");
}

/// `length` bytes that look random and are the same every time.
fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    env_seeded(seed).fill_random(&mut bytes);
    bytes
}
