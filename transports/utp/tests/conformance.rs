//! The laws of the transport layer.

use stackwire_conformance::{transport::Subject, transport_laws};
use stackwire_transport_utp::{Utp, UtpConfig};

transport_laws!(Subject::of_plugin::<UtpConfig>);

transport_laws! { @tests (Subject::of_plugin::<UtpConfig>)
    link_local_addresses_are_listened_on_shown_and_dialed
    a_listener_on_a_wildcard_answers_from_where_it_is_dialed
}

mod with_small_packets_and_buffers {
    use super::*;

    fn subject() -> Subject {
        let config =
            UtpConfig { packet_size: 548, send_buffer: 65_536, receive_buffer: 65_536, ..UtpConfig::default() };
        let transport = Utp::new(config).expect("the options are in range");
        Subject::new(std::sync::Arc::new(transport), "/ip4/127.0.0.1/udp/0/utp".parse().expect("an address"))
    }

    stackwire_conformance::transport_laws! { @tests (subject)
        reads_are_exact
        a_read_can_be_given_up
        vectored_writes_arrive_in_order
        a_flush_delivers_what_was_written
        a_shutdown_ends_one_direction_only
        dropping_a_pipe_fails_the_peers_writes
        fifty_connections_at_once
    }
}
