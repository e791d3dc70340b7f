//! Floods of strangers against `stackwire run` as a process of its own: whether an honest peer still gets in, and what
//! it costs the node in memory and descriptors.
//!
//! ```sh
//! cargo test -p stackwire-flood --release -- --ignored flood --nocapture
//! ```
//!
//! Everything is on loopback, where Linux has sixteen million addresses: each stands for a host. All loops are bounded in
//! number and time. A short form runs with all other tests.

#![allow(clippy::disallowed_methods, reason = "a load test runs in real time")]

mod floods;
mod honest;
mod identities;
mod initials;
mod table;
mod victim;

pub use floods::{Flood, Kind};
pub use honest::{Probe, idle, probe};
pub use table::{Row, print};
pub use victim::Victim;

// Links the plug-ins that honest peers and strangers use.
use stackwire_bundle as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// Where honest peers come from: loopback's own address, by which the system's routing leaves.
pub const HONEST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Host number `n` of those that are not [`HONEST`].
pub fn host(n: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(n % 60_000).unwrap_or_default().to_be_bytes();
    Ipv4Addr::new(127, 7, high, low.max(1))
}

/// Lets this process have as many descriptors as it may.
pub fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Fewer descriptors make a smaller flood, which the table shows.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// A TCP connection from one of loopback's addresses.
async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(to).await
}
