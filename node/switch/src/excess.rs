//! Who is given up where a host or the node holds too much.

use std::{sync::Arc, time::Duration};

use stackwire_core::{Error, Kind};

use crate::{admission::Host, connection::Connection, memory::greediest, shared::Shared};

/// How long what was given up has to be gone, before anybody looks again.
const PAUSE: Duration = Duration::from_millis(10);

/// Gives up connections as long as the node runs, where a host or the node holds too much.
pub(crate) async fn watch(shared: &Arc<Shared>) {
    loop {
        shared.memory.excess().await;
        while let Some((connection, error)) = excessive(shared) {
            connection.give_up(error);
        }
        // What was given up is dropped by other tasks.
        shared.env.sleep(PAUSE).await;
    }
}

fn excessive(shared: &Shared) -> Option<(Arc<Connection>, Error)> {
    let most = shared.memory.most();
    // One that is closing or draining holds what it holds until it has ended.
    let live: Vec<_> = shared.live().into_iter().filter(|it| !it.is_given_up()).collect();
    let held: Vec<_> = live.iter().map(|it| (Host::of(&it.info.path.remote), it.budget.held() as u64)).collect();
    let (index, limit, max) = greediest(&held, most)?;
    let error = Error::new(Kind::LimitExceeded { limit, max }, "holding what waits to be sent to a peer or read by us");
    Some((live[index].clone(), error))
}
