//! Streams: opening ours, serving theirs.

use std::sync::Arc;

use stackwire_core::{
    BoxPipe, Error, Event, Kind, Layer, Negotiated, ProtocolId, Result, Role, SessionExt, Stream, Wait,
};
use stackwire_wrap::RESOURCE_LIMIT;

use crate::{
    connection::{Connection, StreamGuard},
    host::NodeHost,
    shared::Shared,
};

/// Opens a stream for the first of `ids` the peer takes. With one id, or where identify has told which of them the
/// peer serves, it costs no round trip: a refusal then shows on the first read.
pub(crate) async fn open(shared: &Shared, connection: &Connection, ids: &[ProtocolId]) -> Result<Stream> {
    let offers = narrow(shared, connection, ids)?;
    let holds = offers.iter().any(|id| shared.holds_connection(id));
    let guard = connection.streams.add(shared.settings.limits.max_streams_per_connection, holds)?;
    let limit = shared.settings.timeouts.negotiation;
    let opening = async {
        let pipe = connection.session.open().await?;
        shared.upgrader.negotiator.select(pipe, Role::Dialer, &offers, Wait::Lazy).await
    };
    let negotiated = shared.env.timeout(limit, "opening a stream", opening).await?;
    let protocol = offers[negotiated.index].clone();
    let (id, peer) = (connection.info.id, connection.info.peer);
    shared.events.emit(|| Event::StreamOpened { connection: id, peer, protocol: protocol.clone(), role: Role::Dialer });
    Ok(Stream::new(negotiated.pipe, protocol, peer, id).with_guard(guard))
}

/// The ids worth offering: what identify says the peer serves, else all.
fn narrow(shared: &Shared, connection: &Connection, ids: &[ProtocolId]) -> Result<Vec<ProtocolId>> {
    if ids.is_empty() {
        return Err(Error::new(Kind::Unsupported, "opening a stream without naming a protocol"));
    }
    if ids.len() > 1 {
        let remote = shared.state.lock().remotes.get(&connection.info.peer).cloned();
        if let Some(best) = remote.and_then(|remote| ids.iter().find(|id| remote.protocols.contains(id))) {
            return Ok(vec![best.clone()]);
        }
    }
    Ok(ids.to_vec())
}

/// Serves a stream that the peer opened, in a task of its own that ends with the connection at the latest.
pub(crate) fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>, mut pipe: BoxPipe) {
    let max = shared.settings.limits.max_streams_per_connection;
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
    env.spawn(async move {
        let ended = connection.ended.clone();
        let serving = async {
            let limit = shared.settings.timeouts.negotiation;
            let negotiator = &shared.upgrader.negotiator;
            let negotiating = negotiator.select(pipe, Role::Listener, &shared.protocol_ids, Wait::Agreed);
            let negotiated = match shared.env.timeout(limit, "negotiating a stream's protocol", negotiating).await {
                Ok(negotiated) => negotiated,
                Err(error) => return failed(&shared, &connection, None, error),
            };
            run(&shared, &connection, negotiated, guard).await;
        };
        ended.run_until_cancelled(serving).await;
    })
    .detach();
}

async fn run(shared: &Arc<Shared>, connection: &Connection, negotiated: Negotiated, guard: StreamGuard) {
    let (id, protocol) = (shared.protocol_ids[negotiated.index].clone(), &shared.serving[negotiated.index]);
    let max = shared.settings.limits.max_streams_per_connection;
    let guard = if protocol.holds_connection() {
        guard
    } else {
        drop(guard);
        match connection.streams.add(max, false) {
            Ok(guard) => guard,
            Err(error) => return failed(shared, connection, Some(id), error),
        }
    };
    let (connection_id, peer) = (connection.info.id, connection.info.peer);
    shared.events.emit(|| Event::StreamOpened {
        connection: connection_id,
        peer,
        protocol: id.clone(),
        role: Role::Listener,
    });
    let stream = Stream::new(negotiated.pipe, id.clone(), peer, connection_id).with_guard(guard);
    if let Err(error) = protocol.serve(stream, &NodeHost::host(shared)).await {
        failed(shared, connection, Some(id), error);
    }
}

fn failed(shared: &Shared, connection: &Connection, protocol: Option<ProtocolId>, error: Error) {
    // A peer that lost interest before it said what it wanted is no news, nor is the end of a stream that lasts as long
    // as its connection.
    let matters = protocol.as_ref().is_some_and(|id| shared.holds_connection(id));
    if !matters && matches!(error.kind(), Kind::Closed | Kind::Reset { code: 0 }) {
        return;
    }
    let error = match &protocol {
        Some(id) => error.at(Layer::Protocol, id.to_string()),
        None => error,
    };
    let (connection, peer) = (connection.info.id, connection.info.peer);
    shared.events.emit(|| Event::StreamFailed { connection, peer, protocol, error });
}
