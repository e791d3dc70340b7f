//! Serving the streams that peers open.

use std::sync::Arc;

use stackwire_core::{
    BoxPipe, Chosen, CloseCode, Direction, Error, Event, Kind, Layer, Pipe as _, ProtocolId, Role, SelectContext,
    Stream, no_common_protocol,
};
use stackwire_wrap::RESOURCE_LIMIT;
use tokio_util::future::FutureExt;

use crate::{
    active_config::ActiveConfig, connection::Connection, refusals::Who, serving::Serving, shared::Shared,
    stream_count::StreamGuard,
};

/// Serves a stream that the peer opened, in a task of its own that ends with the connection at the latest.
pub(crate) fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>, pipe: BoxPipe) {
    begin(shared, connection, pipe, None);
}

/// As [`serve`], of a stream whose protocol the muxer has named.
pub(crate) fn serve_named(shared: &Arc<Shared>, connection: &Arc<Connection>, protocol: ProtocolId, pipe: BoxPipe) {
    begin(shared, connection, pipe, Some(protocol));
}

fn begin(shared: &Arc<Shared>, connection: &Arc<Connection>, mut pipe: BoxPipe, named: Option<ProtocolId>) {
    connection.streams.count_accepted(true);
    let (active, serving) = (shared.active(), shared.serving());
    let max = active.stack.settings.limits.max_streams_per_connection;
    // Counted as holding until the protocol is known: a shutdown waits for a request that is just arriving.
    let counted = match shared.paces.stream(connection.info.peer, shared.env.now()) {
        Ok(()) => connection.streams.add(max, true).map_err(|error| (RESOURCE_LIMIT, error)),
        Err(error) => Err((CloseCode::RATE_LIMITED.0, error)),
    };
    let guard = match counted {
        Ok(guard) => guard,
        Err((code, error)) => {
            pipe.reset(code);
            shared.refused(&error, Who::Peer(connection.info.peer));
            return failed(shared, connection, None, error);
        }
    };
    let pipe = connection.watched.paced(pipe, connection.brings_streams(), &shared.env);
    let (shared, connection) = (shared.clone(), connection.clone());
    let env = shared.env.clone();
    env.spawn_detached("inbound stream", async move {
        let ended = connection.ended.clone();
        let served = async {
            let mut pipe = pipe;
            match named {
                None => negotiate(&shared, (&active, &serving), &connection, pipe, guard).await,
                Some(id) => match serving.ids.iter().position(|known| *known == id) {
                    Some(index) => {
                        run(&shared, (&active, &serving), &connection, (index, pipe), Chosen::Muxer, guard).await
                    }
                    None => {
                        pipe.reset(0);
                        failed(&shared, &connection, None, no_common_protocol(&[id], &serving.ids));
                    }
                },
            }
        };
        served.with_cancellation_token(&ended).await;
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
        Ok((negotiated, by)) => {
            let chosen = Chosen::Negotiated { by, offered: serving.ids.clone() };
            run(shared, (active, serving), connection, (negotiated.index, negotiated.pipe), chosen, guard).await;
        }
        Err(error) => failed(shared, connection, None, error),
    }
}

async fn run(
    shared: &Arc<Shared>,
    (active, serving): (&ActiveConfig, &Serving),
    connection: &Arc<Connection>,
    (index, mut pipe): (usize, BoxPipe),
    chosen: Chosen,
    guard: StreamGuard,
) {
    let id = serving.ids[index].clone();
    let max = active.stack.settings.limits.max_streams_per_connection;
    let counted = if serving.keep_alive(&id) {
        Ok(guard)
    } else {
        drop(guard);
        connection.streams.add(max, false)
    };
    let guard = match counted.and_then(|guard| Ok(guard.of_protocol(shared.scopes.stream_of(&id)?))) {
        Ok(guard) => guard,
        Err(error) => {
            pipe.reset(RESOURCE_LIMIT);
            shared.refused(&error, Who::Peer(connection.info.peer));
            return failed(shared, connection, Some(id), error);
        }
    };
    shared.metrics.streams_inbound.inc();
    let (connection_id, peer) = (connection.info.id, connection.info.peer);
    connection.emit(&shared.events, || Event::StreamOpened {
        connection: connection_id,
        peer,
        protocol: id.clone(),
        direction: Direction::Inbound,
        chosen: chosen.clone(),
    });
    let mut stream = Stream::new(pipe, id.clone(), connection.info.clone()).with_chosen(chosen).with_guard(guard);
    let served = match (serving.server(index), shared.own(&id)) {
        (Some(_), _) if connection.is_sealed() => {
            stream.reset(0);
            Err(Error::closed("a stream came on a connection that has been replaced or revoked"))
        }
        (Some(protocol), _) => protocol.serve(stream, &shared.host()).await,
        (None, Some(own)) => {
            connection.streams.count_accepted(false);
            (own.serve)(shared.clone(), connection.clone(), stream).await
        }
        (None, None) => Err(Error::new(Kind::Internal, "a protocol that nobody serves was agreed")),
    };
    if let Err(error) = served {
        failed(shared, connection, Some(id), error);
    }
}

fn failed(shared: &Shared, connection: &Connection, protocol: Option<ProtocolId>, error: Error) {
    // A peer that lost interest before it said what it wanted is no news, nor is the end of a stream that lasts as long
    // as its connection.
    let matters = protocol.as_ref().is_some_and(|id| shared.serving().keep_alive(id));
    let ended = matches!(error.kind(), Kind::Closed | Kind::Reset { code: 0 }) || error.is_end_of_connection();
    if !matters && ended {
        return;
    }
    let error = match &protocol {
        Some(id) => error.at(Layer::Protocol, id.to_string()),
        None => error,
    };
    let (id, peer) = (connection.info.id, connection.info.peer);
    connection.emit(&shared.events, || Event::StreamFailed { connection: id, peer, protocol, error });
}
