//! The laws of the transport layer.

use stackwire_conformance::{transport::Subject, transport_laws};
use stackwire_transport_tcp::{Tcp, TcpConfig};

transport_laws!(Subject::of_plugin::<TcpConfig>);
transport_laws! { @tests (Subject::of_plugin::<TcpConfig>)
    link_local_addresses_are_listened_on_shown_and_dialed
    a_listener_on_a_wildcard_answers_from_where_it_is_dialed
}

fn subject(config: TcpConfig) -> Subject {
    let transport = Tcp::new(config).expect("the options are in range");
    Subject::new(std::sync::Arc::new(transport), "/ip4/127.0.0.1/tcp/0".parse().expect("an address"))
}

#[cfg(unix)]
mod with_port_reuse {
    use super::*;

    stackwire_conformance::transport_laws!(|| subject(TcpConfig { port_reuse: true, ..TcpConfig::default() }));
}

mod with_a_read_buffer_of_one_byte {
    use super::*;

    stackwire_conformance::transport_laws! { @tests (|| subject(TcpConfig { read_buffer: 1, ..TcpConfig::default() }))
        reads_are_exact
        a_read_can_be_given_up
        vectored_writes_arrive_in_order
        single_bytes_arrive
    }
}
