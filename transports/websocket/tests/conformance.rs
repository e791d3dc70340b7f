//! The laws of the transport layer.

mod ws {
    use stackwire_conformance::{transport::Subject, transport_laws};
    use stackwire_transport_websocket::WebSocketConfig;

    transport_laws!(|| Subject::of_plugin_by::<WebSocketConfig>("ws"));
}

mod wss {
    use stackwire_conformance::{transport::Subject, transport_laws};
    use stackwire_transport_websocket::WebSocketConfig;

    transport_laws!(|| Subject::of_plugin_by::<WebSocketConfig>("wss"));
}
