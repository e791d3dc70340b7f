//! The laws of the transport layer.

mod ws {
    use stackwire_conformance::{transport::Subject, transport_laws};
    use stackwire_transport_websocket::WebSocketConfig;

    transport_laws!(|| Subject::of_plugin_by::<WebSocketConfig>("ws"));
    transport_laws! { @tests (|| Subject::of_plugin_by::<WebSocketConfig>("ws"))
        link_local_addresses_are_listened_on_shown_and_dialed
        a_listener_on_a_wildcard_answers_from_where_it_is_dialed
    }
}

mod wss {
    use stackwire_conformance::{transport::Subject, transport_laws};
    use stackwire_transport_websocket::WebSocketConfig;

    transport_laws!(|| Subject::of_plugin_by::<WebSocketConfig>("wss"));
}
