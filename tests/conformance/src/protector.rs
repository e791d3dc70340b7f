//! The laws of protectors.
//!
//! ```ignore
//! use stackwire_conformance::{protector::Subject, protector_laws};
//!
//! protector_laws!(Subject::of_plugin::<MyConfig>);
//! ```
//!
//! What a protector makes is a pipe like any other, so the laws about the bytes of a channel, which
//! [`security`](mod@crate::security) has, hold for it as they are. The laws here are about the network: who is in it
//! understands, who is not does not, and nobody waits.
//!
//! A plug-in names at least two fixtures: the first two are two different networks.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::{BoxFuture, join};
use stackwire_core::{
    BoxPipe, Env, Keypair, Layer, ProtectContext, Protector, ProtocolId, Result, Role, SecuredPipe, Security,
    SecurityContext, reset_code,
};
use stackwire_plugin::{Capabilities, Descriptor, Fixture, Plugin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{env_seeded, in_time, pipes, security};

/// The thing under test.
#[derive(Clone)]
pub struct Subject {
    /// The protector of one network.
    pub ours: Arc<dyn Protector>,
    /// The protector of another.
    pub others: Arc<dyn Protector>,
}

impl Subject {
    /// The plug-in `P`.
    pub fn of_plugin<P: Plugin>() -> Self {
        Self::of(&Descriptor::of::<P>("the crate under test"))
    }

    /// A registered plug-in. Panics where it is no protector, or names fewer than two networks.
    pub fn of(descriptor: &Descriptor) -> Self {
        let name = descriptor.summary.name;
        let build = |fixture: &Fixture| match descriptor.build_from(fixture.options) {
            Ok(mut parts) => parts.protectors.pop().unwrap_or_else(|| panic!("{name} has no protector")),
            Err(problem) => panic!("{name} by its fixture {}: {problem}", fixture.label),
        };
        match descriptor.summary.fixtures {
            [ours, others, ..] => Self { ours: build(ours), others: build(others) },
            _ => panic!("{name} names fewer than two fixtures: its laws need two networks"),
        }
    }

    /// The same as a channel that proves nothing, for the laws about a channel's bytes.
    fn as_channel(&self) -> security::Subject {
        security::Subject {
            security: Arc::new(Channel(self.ours.clone())),
            capabilities: Capabilities { insecure: true, ..Capabilities::DEFAULT },
        }
    }
}

struct Channel(Arc<dyn Protector>);

#[async_trait]
impl Security for Channel {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn id(&self) -> ProtocolId {
        ProtocolId::new("/protector")
    }

    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        let pipe = self.0.protect(pipe, ProtectContext::new(role, context.env)).await?;
        let peer = Keypair::ed25519_from_seed([0; 32]).public().clone();
        Ok(SecuredPipe::new(pipe, peer))
    }
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::protector_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each.
#[macro_export]
macro_rules! protector_laws {
    (@list $($then:tt)*) => {
        $crate::protector_laws! { $($then)*
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
            protecting_waits_for_nobody
            either_side_may_only_read
            halves_in_tasks_of_their_own_both_move_on
            a_reset_ends_both_directions_here
            nothing_is_sent_as_it_was_written
            another_network_is_not_understood
            who_is_in_no_network_is_not_understood
            a_pipe_cut_anywhere_ends
            giving_up_frees_the_pipe
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $law() {
                $crate::protector::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::protector_laws!(@list @tests ($factory));
    };
}

macro_rules! laws_of_channels {
    ($($law:ident)*) => {$(
        #[doc = concat!("See [`security::", stringify!($law), "`].")]
        pub async fn $law(subject: Subject) {
            security::$law(subject.as_channel()).await;
        }
    )*};
}

laws_of_channels! {
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
}

/// What a member says that nobody else may understand.
const MESSAGE: &[u8] = b"a message of one network's member to another, long enough to be told from noise";

fn env(role: Role) -> Env {
    env_seeded(if role == Role::Dialer { 1 } else { 2 })
}

async fn protect(protector: &Arc<dyn Protector>, pipe: BoxPipe, role: Role) -> BoxPipe {
    protector.protect(pipe, ProtectContext::new(role, &env(role))).await.expect("protecting works")
}

async fn protected(subject: &Subject, (a, b): (BoxPipe, BoxPipe)) -> (BoxPipe, BoxPipe) {
    (protect(&subject.ours, a, Role::Dialer).await, protect(&subject.ours, b, Role::Listener).await)
}

/// Says [`MESSAGE`] and ends its direction.
async fn say(pipe: &mut BoxPipe) {
    pipe.write_all(MESSAGE).await.expect("writing works");
    pipe.shutdown().await.expect("closing works");
}

/// What comes until the end, however it ends.
async fn hear(pipe: &mut BoxPipe) -> Vec<u8> {
    let mut heard = Vec::new();
    let _clean_or_not = pipe.read_to_end(&mut heard).await;
    heard
}

/// It costs no round trip: a side is ready although the other one has not said a byte, in either role.
pub async fn protecting_waits_for_nobody(subject: Subject) {
    for role in [Role::Dialer, Role::Listener] {
        let (a, b) = pipes::pair();
        let mut a = in_time("protecting alone", protect(&subject.ours, a, role)).await;
        in_time("saying alone", say(&mut a)).await;
        let mut b = protect(&subject.ours, b, role.other()).await;
        assert_eq!(in_time("hearing", hear(&mut b)).await, MESSAGE);
    }
}

/// A side that has nothing to say until it has heard something hears it, whichever side that is, and both may be such a
/// side for a while.
pub async fn either_side_may_only_read(subject: Subject) {
    for first in [Role::Dialer, Role::Listener] {
        let (a, b) = protected(&subject, pipes::pair()).await;
        let (mut one, mut other) = if first == Role::Dialer { (a, b) } else { (b, a) };
        // Both look first, and find nothing.
        assert!(futures::poll!(Box::pin(one.read_u8())).is_pending());
        assert!(futures::poll!(Box::pin(other.read_u8())).is_pending());
        let work = async {
            let ((), heard) = join(say(&mut one), hear(&mut other)).await;
            assert_eq!(heard, MESSAGE);
            let ((), heard) = join(say(&mut other), hear(&mut one)).await;
            assert_eq!(heard, MESSAGE);
        };
        in_time("an exchange", work).await;
    }
}

/// A pipe whose halves are used by two tasks loses no wake-up, however little the pipe below takes at a time.
pub async fn halves_in_tasks_of_their_own_both_move_on(subject: Subject) {
    for capacity in [1, 64] {
        let (a, b) = protected(&subject, pipes::pair_with_capacity(capacity)).await;
        let work = [a, b].map(|pipe| {
            let (mut reader, mut writer) = tokio::io::split(pipe);
            let data = vec![7; 3000];
            let expected = data.clone();
            let writing = tokio::spawn(async move {
                writer.write_all(&data).await.expect("writing works");
                writer.shutdown().await.expect("closing works");
                writer
            });
            let reading = tokio::spawn(async move {
                let mut heard = Vec::new();
                reader.read_to_end(&mut heard).await.expect("reading works");
                assert!(heard == expected, "everything arrives");
                reader
            });
            async { join(reading, writing).await }
        });
        for (reading, writing) in in_time("both halves of both sides", futures::future::join_all(work)).await {
            reading.expect("the reader is content");
            writing.expect("the writer is content");
        }
    }
}

/// After a reset on this side nothing can be read or written here, and the other side sees an end.
pub async fn a_reset_ends_both_directions_here(subject: Subject) {
    let (mut a, mut b) = protected(&subject, pipes::pair()).await;
    let work = async {
        b.write_all(MESSAGE).await.expect("writing works");
        b.flush().await.expect("flushing works");
        a.reset(7);
        let error = a.read(&mut [0; 8]).await.expect_err("a pipe that was reset gives nothing");
        assert_eq!(reset_code(&error), Some(7));
        a.write_all(MESSAGE).await.expect_err("a pipe that was reset takes nothing");
        drop(a);
        assert_eq!(hear(&mut b).await, b"");
    };
    in_time("a reset", work).await;
}

/// On the wire is neither what was written, nor twice the same.
pub async fn nothing_is_sent_as_it_was_written(subject: Subject) {
    let mut sent = Vec::new();
    for seed in 1..=2 {
        let (a, mut wire) = pipes::pair();
        let mut a = subject
            .ours
            .protect(a, ProtectContext::new(Role::Dialer, &env_seeded(seed)))
            .await
            .expect("protecting works");
        in_time("writing", say(&mut a)).await;
        sent.push(in_time("the wire", hear(&mut wire)).await);
    }
    for bytes in &sent {
        assert!(bytes.len() >= MESSAGE.len());
        assert!(!bytes.windows(8).any(|part| MESSAGE.windows(8).any(|other| part == other)), "it is hidden");
    }
    assert!(sent[0].windows(8).all(|part| sent[1].windows(8).all(|other| part != other)), "no stream is used twice");
}

/// Two networks don't understand each other, in either direction, and neither hangs.
pub async fn another_network_is_not_understood(subject: Subject) {
    let (a, b) = pipes::pair();
    let a = protect(&subject.ours, a, Role::Dialer).await;
    let b = protect(&subject.others, b, Role::Listener).await;
    strangers(a, b).await;
}

/// A peer that is in no network does not understand a member, nor a member it, and neither hangs.
pub async fn who_is_in_no_network_is_not_understood(subject: Subject) {
    for role in [Role::Dialer, Role::Listener] {
        let (a, b) = pipes::pair();
        strangers(protect(&subject.ours, a, role).await, b).await;
    }
}

async fn strangers(mut a: BoxPipe, mut b: BoxPipe) {
    let work = async {
        join(say(&mut a), say(&mut b)).await;
        join(hear(&mut a), hear(&mut b)).await
    };
    let (heard_by_a, heard_by_b) = in_time("two strangers", work).await;
    for heard in [heard_by_a, heard_by_b] {
        assert!(!heard.windows(8).any(|part| MESSAGE.windows(8).any(|other| part == other)), "{heard:?}");
    }
}

/// A connection that ends anywhere, also within what a protector sends first, ends the reads, with the layer's name on
/// an error.
pub async fn a_pipe_cut_anywhere_ends(subject: Subject) {
    let (a, mut wire) = pipes::pair();
    let mut a = protect(&subject.ours, a, Role::Dialer).await;
    say(&mut a).await;
    let sent = in_time("the wire", hear(&mut wire)).await;
    for length in 0..=sent.len() {
        let (mut wire, b) = pipes::pair();
        let mut b = protect(&subject.ours, b, Role::Listener).await;
        let work = async {
            wire.write_all(&sent[..length]).await.expect("writing works");
            wire.shutdown().await.expect("closing works");
            let mut heard = Vec::new();
            let end = b.read_to_end(&mut heard).await;
            assert!(MESSAGE.starts_with(&heard), "what comes before the cut is right");
            end
        };
        if let Err(error) = in_time("the cut", work).await {
            let error = stackwire_core::Error::io("reading", error);
            assert_eq!(error.layer(), Some(Layer::Protector), "{error:?}");
            assert_eq!(error.plugin(), Some(subject.ours.name()), "{error:?}");
        }
    }
}

/// Giving up, before or after it is done, frees the pipe.
pub async fn giving_up_frees_the_pipe(subject: Subject) {
    for polled in [false, true] {
        let (a, mut b) = pipes::pair();
        {
            let env = env(Role::Dialer);
            let mut protecting = subject.ours.protect(a, ProtectContext::new(Role::Dialer, &env));
            if polled {
                let _ready_or_not = futures::poll!(&mut protecting);
            }
        }
        in_time("the peer's end", hear(&mut b)).await;
    }
}
