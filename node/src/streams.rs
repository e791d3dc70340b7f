//! Streams: opening ours, serving theirs.

use std::sync::Arc;

use stackwire_core::{
    BoxPipe, Chosen, ConnectionId, Direction, Error, Event, Kind, Layer, Negotiated, PeerId, ProtocolId, RemoteInfo,
    Result, Role, SelectContext, SessionExt, Stream, Wait,
};
use stackwire_wrap::RESOURCE_LIMIT;
use tokio_util::future::FutureExt;

use crate::{
    active_config::ActiveConfig,
    connection::{Connection, StreamGuard},
    dial,
    host::NodeHost,
    renew,
    serving::Serving,
    shared::Shared,
};

/// Times a connection may begin to be replaced just as we open a stream on it.
const MAX_MOVES: usize = 4;

/// Opens a stream to `peer` for the first of `ids` it takes, on the best connection there is or on a new one.
pub(crate) async fn open_to(shared: &Arc<Shared>, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
    let mut moves = 0;
    loop {
        let connection = dial::peer(shared, peer).await?;
        match open(shared, &connection, ids).await {
            Err(_) if connection.is_draining() && moves < MAX_MOVES => moves += 1,
            result => return result,
        }
    }
}

/// Opens a stream on one connection; see [`open`].
pub(crate) async fn open_on(shared: &Shared, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
    let found = shared.state.lock().connections.get(&connection).cloned();
    let connection = found.ok_or_else(|| Error::closed("opening a stream on a connection that has ended"))?;
    open(shared, &connection, ids).await
}

/// Opens a stream for the first of `ids` the peer takes. With one id, or where identify has told which of them the
/// peer serves, it costs no round trip: a refusal then shows on the first read.
pub(crate) async fn open(shared: &Shared, connection: &Connection, ids: &[ProtocolId]) -> Result<Stream> {
    let active = shared.active();
    let remote = shared.state.lock().remotes.get(&connection.info.peer).cloned();
    let offers = narrow(remote.as_deref(), ids)?;
    // Nodes like us bear an end that overtakes their answer.
    let is_ours = remote.is_some_and(|remote| remote.protocols.contains(&renew::ID));
    let serving = shared.serving();
    let holds = offers.iter().any(|id| serving.keep_alive(id));
    let guard = connection.streams.add(active.stack.settings.limits.max_streams_per_connection, holds)?;
    // Looked at only after it was counted: who drains a connection first says so and then looks at the count.
    if connection.is_draining() && offers != [renew::ID] {
        return Err(Error::closed("opening a stream on a connection that is being replaced"));
    }
    let counts = offers != [renew::ID];
    if counts {
        connection.streams.count_opened(true);
    }
    let limit = active.stack.settings.timeouts.negotiation;
    let opening = async {
        let pipe = connection.session.open().await?;
        let (negotiator, pipe) = connection.negotiators.settle(pipe, Role::Dialer).await?;
        let context = SelectContext::new(Role::Dialer, &offers).waiting(Wait::Lazy).with_early_end(is_ours);
        Ok((negotiator.select(pipe, context).await?, negotiator))
    };
    let (negotiated, negotiator) = match shared.env.timeout(limit, "opening a stream", opening).await {
        Ok(opened) => opened,
        Err(error) => {
            if counts {
                connection.streams.count_opened(false);
            }
            return Err(error);
        }
    };
    let protocol = offers[negotiated.index].clone();
    let (id, peer) = (connection.info.id, connection.info.peer);
    let chosen = Chosen::Negotiated { by: negotiator.name(), offered: ids.into() };
    connection.emit(shared, || Event::StreamOpened {
        connection: id,
        peer,
        protocol: protocol.clone(),
        direction: Direction::Outbound,
        chosen: chosen.clone(),
    });
    Ok(Stream::new(negotiated.pipe, protocol, peer, id).with_chosen(chosen).with_guard(guard))
}

/// The ids worth offering: what identify says the peer serves, else all.
fn narrow(remote: Option<&RemoteInfo>, ids: &[ProtocolId]) -> Result<Vec<ProtocolId>> {
    if ids.is_empty() {
        return Err(Error::new(Kind::Unsupported, "opening a stream without naming a protocol"));
    }
    if ids.len() > 1
        && let Some(best) = remote.and_then(|remote| ids.iter().find(|id| remote.protocols.contains(id)))
    {
        return Ok(vec![best.clone()]);
    }
    Ok(ids.to_vec())
}

/// Serves a stream that the peer opened, in a task of its own that ends with the connection at the latest.
pub(crate) fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>, mut pipe: BoxPipe) {
    connection.streams.count_accepted(true);
    let (active, serving) = (shared.active(), shared.serving());
    let max = active.stack.settings.limits.max_streams_per_connection;
    // Counted as holding until the protocol is known: a shutdown waits for a request that is just arriving.
    let guard = match connection.streams.add(max, true) {
        Ok(guard) => guard,
        Err(error) => {
            pipe.reset(RESOURCE_LIMIT);
            return failed(shared, connection, None, error);
        }
    };
    let (shared, connection) = (shared.clone(), connection.clone());
    let env = shared.env.clone();
    env.spawn_detached(async move {
        let ended = connection.ended.clone();
        negotiate(&shared, (&active, &serving), &connection, pipe, guard).with_cancellation_token(&ended).await;
    });
}

async fn negotiate(
    shared: &Arc<Shared>,
    (active, serving): (&ActiveConfig, &Serving),
    connection: &Arc<Connection>,
    pipe: BoxPipe,
    guard: StreamGuard,
) {
    let limit = active.stack.settings.timeouts.negotiation;
    let negotiating = shared.env.timeout(limit, "negotiating a stream's protocol", async {
        let (negotiator, pipe) = connection.negotiators.settle(pipe, Role::Listener).await?;
        let offers = &serving.ids;
        Ok((negotiator.select(pipe, SelectContext::new(Role::Listener, offers)).await?, negotiator.name()))
    });
    match negotiating.await {
        Ok((negotiated, by)) => run(shared, (active, serving), connection, negotiated, by, guard).await,
        Err(error) => failed(shared, connection, None, error),
    }
}

async fn run(
    shared: &Arc<Shared>,
    (active, serving): (&ActiveConfig, &Serving),
    connection: &Arc<Connection>,
    negotiated: Negotiated,
    by: &'static str,
    guard: StreamGuard,
) {
    let id = serving.ids[negotiated.index].clone();
    let max = active.stack.settings.limits.max_streams_per_connection;
    let guard = if serving.keep_alive(&id) {
        guard
    } else {
        drop(guard);
        match connection.streams.add(max, false) {
            Ok(guard) => guard,
            Err(error) => return failed(shared, connection, Some(id), error),
        }
    };
    let (connection_id, peer) = (connection.info.id, connection.info.peer);
    let chosen = Chosen::Negotiated { by, offered: serving.ids.clone() };
    connection.emit(shared, || Event::StreamOpened {
        connection: connection_id,
        peer,
        protocol: id.clone(),
        direction: Direction::Inbound,
        chosen: chosen.clone(),
    });
    let stream = Stream::new(negotiated.pipe, id.clone(), peer, connection_id).with_chosen(chosen).with_guard(guard);
    let served = match serving.server(negotiated.index) {
        Some(protocol) => protocol.serve(stream, &NodeHost::host(shared)).await,
        None => {
            connection.streams.count_accepted(false);
            // Large, rare, and otherwise a part of every stream's task.
            Box::pin(renew::serve(shared, connection, stream)).await
        }
    };
    if let Err(error) = served {
        failed(shared, connection, Some(id), error);
    }
}

fn failed(shared: &Shared, connection: &Connection, protocol: Option<ProtocolId>, error: Error) {
    // A peer that lost interest before it said what it wanted is no news, nor is the end of a stream that lasts as long
    // as its connection.
    let matters = protocol.as_ref().is_some_and(|id| shared.serving().keep_alive(id));
    if !matters && matches!(error.kind(), Kind::Closed | Kind::Reset { code: 0 }) {
        return;
    }
    let error = match &protocol {
        Some(id) => error.at(Layer::Protocol, id.to_string()),
        None => error,
    };
    let (id, peer) = (connection.info.id, connection.info.peer);
    connection.emit(shared, || Event::StreamFailed { connection: id, peer, protocol, error });
}
