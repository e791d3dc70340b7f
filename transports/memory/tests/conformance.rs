//! The laws of the transport layer.

use stackwire_conformance::{transport::Subject, transport_laws};
use stackwire_transport_memory::MemoryConfig;

transport_laws!(Subject::of_plugin::<MemoryConfig>);

mod with_the_smallest_buffer {
    use super::*;

    fn subject() -> Subject {
        let config = MemoryConfig { capacity: 2, ..MemoryConfig::default() };
        let transport = stackwire_transport_memory::Memory::new(config).expect("the options are in range");
        Subject::new(std::sync::Arc::new(transport), "/memory/0".parse().expect("an address"))
    }

    // Not the laws that move megabytes: with one byte at a time they take minutes and show nothing more.
    stackwire_conformance::transport_laws! { @tests (subject)
        reads_are_exact
        a_read_can_be_given_up
        vectored_writes_arrive_in_order
        single_bytes_arrive
        dropping_a_pipe_fails_the_peers_writes
        a_reset_ends_both_directions
    }
}
