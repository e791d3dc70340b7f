//! The laws of the transport layer over sockets, and those of muxers over a network in memory.

mod network;

use std::sync::Arc;

use futures::FutureExt;
use stackwire_conformance::{
    muxer::{self, MakeSessions, Sessions},
    transport::Subject,
    transport_laws,
};
use stackwire_plugin::Plugin;
use stackwire_transport_quic::QuicConfig;

transport_laws!(Subject::of_plugin::<QuicConfig>);

transport_laws! { @tests (Subject::of_plugin::<QuicConfig>)
    link_local_addresses_are_listened_on_shown_and_dialed
    a_listener_on_a_wildcard_answers_from_where_it_is_dialed
}

mod sessions {
    use super::*;

    fn allowing(max_streams: u32) -> MakeSessions {
        let config = QuicConfig { max_streams, ..QuicConfig::default() };
        Arc::new(move || {
            let connecting = network::connect(config, config);
            connecting.map(|(dialer, listener)| (network::half(dialer), network::half(listener))).boxed()
        })
    }

    fn subject() -> muxer::Subject {
        let sessions = Sessions { make: allowing(1024), limited: Some((allowing(16), 16)) };
        muxer::Subject::of_sessions(sessions, QuicConfig::SUMMARY.capabilities)
    }

    stackwire_conformance::muxer_laws!(subject);
}
