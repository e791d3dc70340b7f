//! WebSocket over TCP, with and without TLS.
//!
//! | address | meaning |
//! |---|---|
//! | `/ip4\|ip6/A/tcp/P/ws` | WebSocket over plain TCP |
//! | `/ip4\|ip6/A/tcp/P/sni/NAME/ws` | the same, HTTP asks for the host `NAME` (dialing only) |
//! | `/ip4\|ip6/A/tcp/P/tls/ws` | WebSocket over TLS over TCP |
//! | `/ip4\|ip6/A/tcp/P/tls/sni/NAME/ws` | the same, TLS and HTTP ask for `NAME` (dialing only) |
//! | `/ip4\|ip6/A/tcp/P/wss` | the old spelling of `/tls/ws` |
//!
//! Names are resolved by whoever dials; the name arrives as `/sni/NAME`, so that virtual hosts answer as themselves. A path
//! (`/x-parity-ws/chat`) is sent in the request when dialing; a listener answers on every path.
//!
//! **Sharing a port.** A node that listens on `/ip4/A/tcp/P` and on `/ip4/A/tcp/P/ws` or `/ip4/A/tcp/P/tls/ws` needs one
//! port: whoever holds it asks [`recognizes`](stackwire_core::Transport::recognizes) whether a connection begins as HTTP
//! or TLS do and hands it to [`accept_over`](stackwire_core::Transport::accept_over).
//!
//! The transport reaches the rung [`Raw`](stackwire_core::Stage::Raw): the outer TLS is that of the web and proves
//! no peer id, so the inner security layer runs all the same. Frame boundaries mean nothing, as in libp2p: the pipe
//! is the bytes of all data frames, text or binary, in order. We send binary frames of up to 64 KiB.
//!
//! Browsers are welcome: a request for the upgrade may have any path, `Origin` and cookies, and may offer extensions, of
//! which none is taken up.
//!
//! HTTP messages and frame headers are parsed by `tungstenite`. The handshake and the framing around it are our own:
//! tungstenite refuses a client whose first frame comes with its request, collects every message in memory before
//! it hands it on, insists that text is UTF-8, and cannot send after it has received a close frame.
//!
//! **Closing.** Shutting the write side down sends a close frame. A peer that is also Stackwire may go on sending
//! until it shuts down itself, which answers the close frame; other implementations answer at once, which ends both
//! directions. A TCP connection that ends without a close frame is reported as a reset.
//!
//! ```no_run
//! use stackwire_plugin::Plugin;
//! use stackwire_transport_websocket::{TlsConfig, WebSocketConfig};
//!
//! // Trust what listeners without a certificate of the web present; the inner security proves the peer.
//! let config = WebSocketConfig { tls: TlsConfig { verify: false, ..Default::default() }, ..Default::default() };
//! let transport = config.build().expect("it builds").transports.remove(0);
//! assert!(transport.can_dial(&"/ip4/127.0.0.1/tcp/443/tls/ws".parse().unwrap()));
//! ```

mod address;
mod config;
mod listener;
#[doc(hidden)]
pub mod over;
mod pipe;
mod reader;
mod tls;
mod transport;
mod upgrade;
mod wire;
mod writer;

pub use config::{TlsConfig, WebSocketConfig};
pub use transport::WebSocket;

/// The plug-in's name, as configs spell it.
pub(crate) const NAME: &str = "websocket";

stackwire_plugin::register!(WebSocketConfig);
