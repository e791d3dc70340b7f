//! The laws of muxers with a different implementation of yamux at either end: ours and the published crate's, either of
//! them dialing, and each with itself to show that the test is fair.

use std::sync::Arc;

use stackwire_conformance::{
    muxer::{Subject, laws},
    muxer_laws,
};
use stackwire_core::{BoxPipe, Driver, Muxer, MuxerContext, ProtocolId, Role, Session};
use stackwire_muxer_yamux::{Yamux, YamuxConfig};
use stackwire_muxer_yamux_ref as reference;

/// A muxer that is one implementation where it dialed and another where it accepted.
struct Mixed {
    dialer: Arc<dyn Muxer>,
    listener: Arc<dyn Muxer>,
}

impl Muxer for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn id(&self) -> ProtocolId {
        self.dialer.id()
    }

    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        match context.role {
            Role::Dialer => self.dialer.start(pipe, context),
            Role::Listener => self.listener.start(pipe, context),
        }
    }
}

type Make = fn(u32) -> Arc<dyn Muxer>;

fn ours(max_streams: u32) -> Arc<dyn Muxer> {
    Arc::new(Yamux::new(YamuxConfig { max_streams, ..Default::default() }).unwrap())
}

fn published(max_streams: u32) -> Arc<dyn Muxer> {
    let config = reference::YamuxConfig { max_streams, ..Default::default() };
    Arc::new(reference::Yamux::new(config).unwrap())
}

fn pairing(dialer: Make, listener: Make) -> Subject {
    let mixed = |streams| Arc::new(Mixed { dialer: dialer(streams), listener: listener(streams) }) as Arc<dyn Muxer>;
    let mut subject = Subject::of(YamuxConfig::default());
    // What the two declare is the same, but for their notes and that the published one does not tell what it holds.
    let name = listener(1).name();
    subject.capabilities.budget &= name == ours(1).name();
    Subject { muxer: mixed(1024), limited: Some((mixed(16), 16)), ..subject }
}

mod ours_and_ours {
    use super::*;

    muxer_laws!(|| pairing(ours, ours));
}

mod ours_and_published {
    use super::*;

    muxer_laws!(|| pairing(ours, published));
}

mod published_and_ours {
    use super::*;

    muxer_laws!(|| pairing(published, ours));
}

mod published_and_published {
    use super::*;

    muxer_laws!(|| pairing(published, published));
}

/// A pairing that ran no law would say nothing.
#[test]
fn there_are_laws() {
    assert!(laws().len() > 50);
}
