//! The interfaces of the machine.

use std::{future::ready, io, net::IpAddr};

use futures::{StreamExt, stream::BoxStream};
use if_watch::tokio::IfWatcher;

/// Where a machine's addresses come from. Tests bring their own.
pub trait Interfaces: Send + Sync + 'static {
    /// The addresses of all interfaces, in their order; none where the system does not tell.
    fn ips(&self) -> Vec<IpAddr>;

    /// An item whenever an address may have come or gone, the first one soon after the stream starts. It ends where the
    /// system no longer tells.
    fn changes(&self) -> io::Result<BoxStream<'static, ()>>;
}

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Interfaces for Machine {
    fn ips(&self) -> Vec<IpAddr> {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        interfaces.iter().map(|interface| interface.ip()).collect()
    }

    /// Must be called within a tokio runtime.
    fn changes(&self) -> io::Result<BoxStream<'static, ()>> {
        // What it tells of an address is not used: on point-to-point links it is the other end's.
        let events = IfWatcher::new()?;
        Ok(events.take_while(|event| ready(event.is_ok())).map(drop).boxed())
    }
}
