//! A new configuration for a running node: bound first, then swapped in as a whole.

use std::sync::Arc;

use serde::Serialize;
use stackwire_config::{ConfigError, Stack};
use stackwire_core::{Error, Event, Kind, Multiaddr, Result, Role};

use crate::{
    active_config::ActiveConfig,
    external, goodbye, life, listen,
    listener::{self, Bound, ListenerHandle},
    renew,
    shared::Shared,
};

/// What a new configuration has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Addresses that are listened on now and were not, as configured.
    #[serde(serialize_with = "texts")]
    pub listening: Vec<Multiaddr>,
    /// Addresses that are no longer listened on.
    #[serde(serialize_with = "texts")]
    pub closed: Vec<Multiaddr>,
    /// Connections whose path is no longer the best for this stack; they are being upgraded.
    pub upgrading: usize,
}

fn texts<S: serde::Serializer>(addresses: &[Multiaddr], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(addresses.iter().map(Multiaddr::to_string))
}

/// Listens where the configuration says, at the start.
pub(crate) async fn begin(shared: &Arc<Shared>) -> Result<()> {
    let active = shared.active();
    external::configure(shared, &[], &active.stack.settings.external);
    let wanted = compare(shared, &active).map_err(|(_, error)| error)?.wanted;
    for address in wanted {
        let others = shared.listeners.lock().clone();
        let bound = listen::bind(shared, &active, &address, &others, true).await?;
        listen::start(shared, bound);
    }
    Ok(())
}

/// Swaps in what `after` makes of the stack that there is. On error nothing has changed.
pub(crate) async fn reload(shared: &Arc<Shared>, after: impl FnOnce(&Stack) -> Result<Stack>) -> Result<Changes> {
    let _one_at_a_time = shared.reloading.lock().await;
    shared.check_open()?;
    let before = shared.active();
    let stack = after(&before.stack)?;
    let plan = stack.plan.clone();
    if stack.settings.identity != before.stack.settings.identity {
        let why = "`identity` can't change while the node runs: it is who the node is. Restart it".to_string();
        return Err(plan.map_or_else(
            || Error::new(Kind::ConfigInvalid, why.clone()),
            |plan| plan.identity_problem(why.clone()).into(),
        ));
    }
    let active = ActiveConfig::new(stack, &shared.identity, &shared.trust, &shared.env)?;
    let place = |address: &Multiaddr, error: Error| -> Error {
        let index = active.stack.settings.listen.iter().position(|listed| listed == address);
        match (&plan, index) {
            (Some(plan), Some(index)) => ConfigError::into(plan.listen_problem(index, error.to_string())),
            _ => error,
        }
    };

    let Rebinding { kept, removed, wanted } = compare(shared, &active).map_err(|(address, e)| place(&address, e))?;
    let mut bound = Vec::new();
    let mut freed = Vec::new();
    let outcome = async {
        for address in &wanted {
            let transport = active.transport(Role::Listener, address, |t| t.can_listen(&address.without_fixed()));
            let socket = transport.map(|transport| listener::socket(&**transport, address));
            // Who holds the socket now must let it go first.
            for handle in removed.iter().filter(|handle| socket.as_ref().is_ok_and(|socket| handle.clashes(socket))) {
                if !freed.iter().any(|other| Arc::ptr_eq(other, handle)) {
                    listen::end(shared, handle).await;
                    freed.push(handle.clone());
                }
            }
            let others: Vec<_> = kept.iter().chain(bound.iter().map(|bound: &Bound| &bound.handle)).cloned().collect();
            match listen::bind(shared, &active, address, &others, true).await {
                Ok(new) => bound.push(new),
                Err(error) => return Err(place(address, error)),
            }
        }
        Ok(())
    };
    if let Err(error) = outcome.await {
        drop(bound);
        restore(shared, &before, freed).await;
        return Err(error);
    }

    let closed: Vec<Multiaddr> = removed.iter().map(|handle| handle.asked.clone()).collect();
    let idle = active.stack.settings.timeouts.idle;
    let gate = active.stack.settings.gate.clone();
    let external = active.stack.settings.external.clone();
    shared.swap_active(active);
    external::configure(shared, &before.stack.settings.external, &external);
    if gate != before.stack.settings.gate {
        close_refused(shared);
    }
    if idle != before.stack.settings.timeouts.idle {
        shared.live().iter().for_each(|connection| life::watch_idle(shared, connection));
    }
    for handle in removed.iter().filter(|handle| !freed.iter().any(|other| Arc::ptr_eq(other, handle))) {
        listen::end(shared, handle).await;
    }
    bound.into_iter().for_each(|bound| listen::start(shared, bound));
    let upgrading = renew::all(shared);
    Ok(Changes { listening: wanted, closed, upgrading })
}

/// Closes the connections that the lists of the configuration no longer allow.
fn close_refused(shared: &Arc<Shared>) {
    for connection in shared.live() {
        if let Some(refusal) = shared.gate.would_refuse(&connection.info) {
            goodbye::close(shared, &connection, refusal.reason, refusal.detail);
        }
    }
}

struct Rebinding {
    /// Listeners that stay as they are, those that code asked for among them.
    kept: Vec<Arc<ListenerHandle>>,
    removed: Vec<Arc<ListenerHandle>>,
    /// Addresses to bind, those whose port others may share first.
    wanted: Vec<Multiaddr>,
}

/// What listens and what is to listen.
fn compare(shared: &Shared, active: &ActiveConfig) -> std::result::Result<Rebinding, (Multiaddr, Error)> {
    let running = shared.listeners.lock().clone();
    let mut listed = Vec::new();
    for address in &active.stack.settings.listen {
        let bare = address.without_fixed();
        let transport = active.transport(Role::Listener, address, |transport| transport.can_listen(&bare));
        listed.push((address, transport.map_err(|error| (address.clone(), error))?));
    }
    listed.sort_by_key(|(address, transport)| transport.carrier(&address.without_fixed()).is_some());
    let (mut kept, mut wanted): (Vec<Arc<ListenerHandle>>, Vec<Multiaddr>) = Default::default();
    kept.extend(running.iter().filter(|handle| !handle.configured).cloned());
    for (address, transport) in listed {
        let host = listener::host_of(&**transport, address, &kept).map(|host| host.asked.clone());
        let same = |handle: &&Arc<ListenerHandle>| {
            handle.configured
                && handle.asked == *address
                && Arc::ptr_eq(&handle.transport, transport)
                && handle.hosted_by() == host
        };
        match running.iter().find(same) {
            Some(handle) => kept.push(handle.clone()),
            None => wanted.push(address.clone()),
        }
    }
    let removed = running.into_iter().filter(|handle| !kept.iter().any(|other| Arc::ptr_eq(other, handle))).collect();
    Ok(Rebinding { kept, removed, wanted })
}

/// Listens again where it had to be let go for nothing.
async fn restore(shared: &Arc<Shared>, active: &ActiveConfig, freed: Vec<Arc<ListenerHandle>>) {
    for handle in freed {
        let others = shared.listeners.lock().clone();
        match listen::bind(shared, active, &handle.asked, &others, true).await {
            Ok(bound) => listen::start(shared, bound),
            Err(error) => {
                let address = handle.asked.clone();
                shared.events.emit(|| Event::ListenerClosed { address, error: Some(error) });
            }
        }
    }
}
