//! Opening streams.

use std::sync::Arc;

use stackwire_core::{
    BoxPipe, Chosen, ConnectionId, Direction, Error, Event, Kind, Layer, PeerId, ProtocolId, RemoteInfo, Result, Role,
    SelectContext, SessionExt, Stream, Wait, no_common_protocol,
};

use crate::{connection::Connection, dial, own::RENEW, refusals::Who, shared::Shared};

/// Times a connection may begin to be replaced or closed just as we open a stream on it.
const MAX_MOVES: usize = 4;

/// Opens a stream to `peer` for the first of `ids` it takes, on the best connection there is or on a new one.
pub(crate) async fn open_to(shared: &Arc<Shared>, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
    let mut moves = 0;
    loop {
        let connection = dial::peer(shared, peer).await?;
        match open(shared, &connection, ids).await {
            Err(_) if !connection.is_usable() && moves < MAX_MOVES => moves += 1,
            result => return result,
        }
    }
}

/// Opens a stream on one connection; see [`open`].
pub(crate) async fn open_on(shared: &Shared, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
    let found = shared.connection(connection);
    let connection = found.ok_or_else(|| Error::closed("opening a stream on a connection that has ended"))?;
    open(shared, &connection, ids).await
}

/// Opens a stream for the first of `ids` the peer takes. With one id, or where identify has told which of them the
/// peer serves, it costs no round trip: a refusal then shows on the first read.
pub(crate) async fn open(shared: &Shared, connection: &Connection, ids: &[ProtocolId]) -> Result<Stream> {
    let active = shared.active();
    let remote = shared.book.remote(&connection.info.peer);
    let offers = narrow(remote.as_deref(), ids)?;
    // Nodes like us bear an end that overtakes their answer.
    let is_ours = remote.is_some_and(|remote| remote.protocols.contains(&RENEW));
    let serving = shared.serving();
    let holds = offers.iter().any(|id| serving.keep_alive(id));
    let max = active.stack.settings.limits.max_streams_per_connection;
    let guard = connection.streams.add(max, holds).inspect_err(|error| shared.refused(error, Who::Us))?;
    let counts = !offers.iter().all(|id| shared.own(id).is_some());
    // Looked at only after it was counted: who drains or closes a connection first says so and then looks at the count.
    if counts && !connection.is_usable() {
        return Err(leaving(connection));
    }
    if counts {
        connection.streams.count_opened(true);
    }
    let limit = active.stack.settings.timeouts.negotiation;
    let opening = async {
        if connection.session.names_protocols() {
            let (index, pipe) = open_named(connection, &offers).await?;
            return Ok((offers[index].clone(), pipe, Chosen::Muxer));
        }
        let pipe = connection.session.open().await?;
        let pipe = connection.watched.paced(pipe, connection.brings_streams(), &shared.env);
        let (negotiator, pipe) = connection.negotiators.settle(pipe, Role::Dialer).await?;
        let context = SelectContext::new(Role::Dialer, &offers).waiting(Wait::Lazy).with_early_end(is_ours);
        let negotiated = negotiator.select(pipe, context).await?;
        let chosen = Chosen::Negotiated { by: negotiator.name(), offered: ids.into() };
        Ok((offers[negotiated.index].clone(), negotiated.pipe, chosen))
    };
    let (protocol, pipe, chosen) = match shared.env.timeout(limit, "opening a stream", opening).await {
        Ok(opened) => opened,
        Err(error) => {
            if counts {
                connection.streams.count_opened(false);
            }
            return Err(error);
        }
    };
    let counted = shared.scopes.stream_of(&protocol).inspect_err(|error| shared.refused(error, Who::Us))?;
    let guard = guard.of_protocol(counted);
    shared.metrics.streams_outbound.inc();
    let (id, peer) = (connection.info.id, connection.info.peer);
    connection.emit(&shared.events, || Event::StreamOpened {
        connection: id,
        peer,
        protocol: protocol.clone(),
        direction: Direction::Outbound,
        chosen: chosen.clone(),
    });
    Ok(Stream::new(pipe, protocol, connection.info.clone()).with_chosen(chosen).with_guard(guard))
}

/// The error of a stream that is to be opened on a connection that is on its way out: nothing is wrong with anybody.
fn leaving(connection: &Connection) -> Error {
    let muxer = connection.info.path.rungs.last().map_or_else(String::new, |rung| rung.plugin.clone());
    Error::closed("opening a stream on a connection that is being replaced or closed").at(Layer::Muxer, muxer)
}

/// Opens a stream for the first of `offers` that the muxer has a name for. Which one that is.
async fn open_named(connection: &Connection, offers: &[ProtocolId]) -> Result<(usize, BoxPipe)> {
    let mut refused = None;
    for (index, id) in offers.iter().enumerate() {
        match connection.session.open_named(id).await {
            Ok(pipe) => return Ok((index, pipe)),
            Err(error) if matches!(error.kind(), Kind::NoCommonProtocol { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| no_common_protocol(offers, &[])))
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
