//! What the operating system's refusals mean, in words that help.

use std::io;

use stackwire_core::{Error, Kind, Multiaddr, Retry};

/// What a failed dial to `address` means; the caller adds its layer and name.
pub fn dial_error(address: &Multiaddr, error: io::Error) -> Error {
    let during = format!("dialing {address}");
    match error.kind() {
        // No answer for as long as the system waits, and families or networks that this machine does not have.
        io::ErrorKind::TimedOut
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::Unsupported => Error::new(Kind::Unreachable, during).caused_by(error),
        // A firewall of this machine, or a broadcast address: true of this address and not of others.
        io::ErrorKind::PermissionDenied => Error::io(during, error).retry_advice(Retry::OtherAddress),
        _ => Error::io(during, error),
    }
}

/// What a failed attempt to listen on `address` means, with what to do about it; the caller adds its layer and name.
pub fn listen_error(address: &Multiaddr, error: io::Error) -> Error {
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken, perhaps by another node on this machine; take another port, or 0 for a free one"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; take one of its own, or /ip4/0.0.0.0 or /ip6/:: for all of them"
        }
        io::ErrorKind::PermissionDenied => "this user may not; ports from 1024 on need no special right",
        _ => "the operating system refuses",
    };
    Error::io(format!("listening on {address}: {fix}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_their_kinds() {
        let address = "/ip4/192.0.2.1/tcp/80".parse().unwrap();
        for (system, kind, retry) in [
            (io::ErrorKind::ConnectionRefused, Kind::Refused, Retry::OtherAddress),
            (io::ErrorKind::HostUnreachable, Kind::Unreachable, Retry::OtherAddress),
            (io::ErrorKind::TimedOut, Kind::Unreachable, Retry::OtherAddress),
            (io::ErrorKind::AddrNotAvailable, Kind::Unreachable, Retry::OtherAddress),
            (io::ErrorKind::PermissionDenied, Kind::PermissionDenied, Retry::OtherAddress),
            (io::ErrorKind::OutOfMemory, Kind::Io, Retry::Later),
        ] {
            let error = dial_error(&address, system.into());
            assert_eq!((error.kind(), error.retry()), (&kind, retry));
            assert!(error.to_string().starts_with("dialing /ip4/192.0.2.1/tcp/80"), "{error}");
        }
    }

    #[test]
    fn who_cannot_listen_is_told_what_to_do() {
        let address = "/ip6/::/tcp/80".parse().unwrap();
        for (system, kind, fix) in [
            (io::ErrorKind::AddrInUse, Kind::AddressInUse, "or 0 for a free one"),
            (io::ErrorKind::AddrNotAvailable, Kind::AddressInvalid, "/ip6/::"),
            (io::ErrorKind::PermissionDenied, Kind::PermissionDenied, "ports from 1024 on"),
        ] {
            let error = listen_error(&address, system.into());
            assert_eq!(error.kind(), &kind);
            assert!(error.to_string().contains(fix), "{error}");
        }
    }
}
