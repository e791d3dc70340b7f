//! The interfaces of the machine.

use std::{io, net::IpAddr};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use if_watch::{IfEvent, tokio::IfWatcher};

/// Where a machine's addresses come from. Tests bring their own.
pub trait Interfaces: Send + Sync + 'static {
    /// The addresses of all interfaces, in their order; none where the system does not tell.
    fn ips(&self) -> Vec<IpAddr>;

    /// An item whenever an address may have come or gone, the first one soon after the stream starts: the address that
    /// went, where one did and the system says which. It ends where the system no longer tells.
    fn changes(&self) -> io::Result<BoxStream<'static, Option<IpAddr>>>;
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
    fn changes(&self) -> io::Result<BoxStream<'static, Option<IpAddr>>> {
        let watch = || Ok(IfWatcher::new()?.map(|event| event.map(gone)));
        Ok(restarting(watch()?, watch).boxed())
    }
}

/// The address that went. On point-to-point links it is the other end's, and then it is none of ours.
fn gone(event: IfEvent) -> Option<IpAddr> {
    match event {
        IfEvent::Down(net) => Some(net.addr()),
        IfEvent::Up(_) => None,
    }
}

/// The items of `watcher`, and after an error those of a new one that `again` makes: the system ends a watcher that is
/// too slow for it, as after a suspend in which much changed. A new one first tells of every address that is there. It
/// ends with a watcher that told nothing before its error.
fn restarting<S: Stream<Item = io::Result<T>> + Send + Unpin, T>(
    watcher: S,
    again: impl Fn() -> io::Result<S> + Send,
) -> impl Stream<Item = T> + Send {
    stream::unfold((Some(watcher), false, again), |(mut watcher, mut told, again)| async move {
        loop {
            match watcher.as_mut()?.next().await {
                Some(Ok(item)) => return Some((item, (watcher, true, again))),
                Some(Err(_)) if told => (watcher, told) = (again().ok(), false),
                Some(Err(_)) | None => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_that_the_system_ended_is_made_anew() {
        let overflow = || io::Error::from(io::ErrorKind::BrokenPipe);
        let watchers = std::sync::Mutex::new(vec![
            vec![Err(overflow()), Ok(4)],
            vec![Ok(2), Ok(3), Err(overflow())],
            vec![Ok(1), Err(overflow())],
        ]);
        let next = || watchers.lock().unwrap().pop().map(stream::iter).ok_or_else(overflow);
        let all: Vec<u8> = futures::executor::block_on(restarting(next().unwrap(), next).collect());
        assert_eq!(all, [1, 2, 3], "the last one fails before it told anything");
        assert!(watchers.lock().unwrap().is_empty());
    }
}
