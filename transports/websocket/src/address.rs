//! The address forms.

use std::net::{IpAddr, SocketAddr};

use stackwire_core::{AddressPart, Error, Kind, Layer, Multiaddr, Result, address};
use stackwire_socket::{Zoned, tcp_address};

use crate::NAME;

/// What an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where to connect to or listen.
    pub at: Zoned,
    /// Whether TLS lies between TCP and HTTP.
    pub tls: bool,
    /// The name that TLS and HTTP ask for, if not the IP.
    pub sni: Option<String>,
    /// The path of the HTTP request; begins with a slash.
    pub path: String,
}

impl Endpoint {
    /// Reads an address of one of the forms in the crate's documentation; `None` for any other.
    pub fn parse(address: &Multiaddr) -> Option<Self> {
        use AddressPart::{Sni, Tls, Ws, Wss};
        let (at, address::Transport::Tcp, rest) = Zoned::split(address)? else { return None };
        let (tls, sni, path) = match rest.as_slice() {
            [Ws(path)] => (false, None, path),
            [Sni(name), Ws(path)] => (false, Some(name.to_string()), path),
            [Wss(path)] | [Tls, Ws(path)] => (true, None, path),
            [Tls, Sni(name), Ws(path)] => (true, Some(name.to_string()), path),
            _ => return None,
        };
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Some(Self { at, tls, sni, path })
    }

    /// As [`parse`](Self::parse), with an error that names the forms.
    pub fn require(address: &Multiaddr) -> Result<Self> {
        Self::parse(address).ok_or_else(|| {
            Error::new(
                Kind::AddressInvalid,
                format!("{address} is not of the form /ip4|ip6/…/tcp/…/ws, …/tls/ws, …/tls/sni/…/ws or …/wss"),
            )
            .at(Layer::Transport, NAME)
        })
    }

    /// As [`require`](Self::require), for listening: neither a name to ask for nor a path makes sense there.
    pub fn require_listen(address: &Multiaddr) -> Result<Self> {
        let endpoint = Self::require(address)?;
        if endpoint.can_listen() {
            return Ok(endpoint);
        }
        let message = format!("{address} cannot be listened on: leave out the `/sni/…` or the path");
        Err(Error::new(Kind::AddressInvalid, message).at(Layer::Transport, NAME))
    }

    /// Whether a listener can have this address.
    pub fn can_listen(&self) -> bool {
        self.sni.is_none() && self.path == "/"
    }

    /// The value of the `Host` header: the port is left out where it is the scheme's own.
    pub fn host(&self) -> String {
        let host = match (&self.sni, self.at.socket.ip()) {
            (Some(name), _) => name.clone(),
            (None, IpAddr::V4(ip)) => ip.to_string(),
            (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        match (self.at.socket.port(), self.tls) {
            (80, false) | (443, true) => host,
            (port, _) => format!("{host}:{port}"),
        }
    }
}

/// The address of a socket that speaks WebSocket.
pub(crate) fn of(socket: SocketAddr, tls: bool) -> Multiaddr {
    on(tcp_address(socket), tls)
}

/// The address of a WebSocket on this address of TCP.
pub(crate) fn on(mut tcp: Multiaddr, tls: bool) -> Multiaddr {
    if tls {
        tcp.push(AddressPart::Tls);
    }
    tcp.with(AddressPart::Ws("/".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Endpoint> {
        Endpoint::parse(&text.parse().unwrap())
    }

    #[test]
    fn all_forms_are_understood() {
        let ws = parse("/ip4/1.2.3.4/tcp/80/ws").unwrap();
        assert_eq!((ws.tls, ws.sni.as_deref(), ws.path.as_str(), ws.host().as_str()), (false, None, "/", "1.2.3.4"));
        let wss = parse("/ip6/::1/tcp/80/wss").unwrap();
        assert_eq!((wss.tls, wss.host().as_str()), (true, "[::1]:80"));
        assert_eq!(parse("/ip6/::1/tcp/80/tls/ws").unwrap(), wss);
        let sni = parse("/ip4/1.2.3.4/tcp/443/tls/sni/example.org/ws").unwrap();
        assert_eq!((sni.sni.as_deref(), sni.host().as_str()), (Some("example.org"), "example.org"));
        let host = parse("/ip4/1.2.3.4/tcp/8080/sni/example.org/ws").unwrap();
        assert_eq!((host.tls, host.host().as_str()), (false, "example.org:8080"));
        let path = parse("/ip4/1.2.3.4/tcp/8080/x-parity-ws/chat%2Froom").unwrap();
        assert_eq!((path.path.as_str(), path.host().as_str()), ("/chat/room", "1.2.3.4:8080"));
    }

    #[test]
    fn other_forms_are_not_ours() {
        for other in [
            "/ip4/1.2.3.4/tcp/80",
            "/ip4/1.2.3.4/udp/80/ws",
            "/ip4/1.2.3.4/tcp/80/tls",
            "/dns4/example.org/tcp/443/wss",
            "/ip4/1.2.3.4/tcp/80/ws/p2p-circuit",
            "/memory/1",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_and_paths_are_for_dialing() {
        assert!(parse("/ip4/0.0.0.0/tcp/0/wss").unwrap().can_listen());
        for dial_only in ["/ip4/0.0.0.0/tcp/0/tls/sni/a.org/ws", "/ip4/0.0.0.0/tcp/0/x-parity-ws/chat"] {
            let error = Endpoint::require_listen(&dial_only.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), &Kind::AddressInvalid);
        }
    }
}
