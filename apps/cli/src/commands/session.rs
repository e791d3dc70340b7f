//! What the tools share: a node of their own, one connection, its streams, an end that cleans up.

use std::{process::ExitCode, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use stackwire_node::{ConnectionId, Env, Error, Host, Kind, Layer, Node, PeerId, Protocol, ProtocolId, Result, Stream};
use stackwire_protocol_identify::Identify;
use stackwire_protocol_ping::Ping;

use super::stop;
use crate::{
    args::{Stall, Tool},
    failure::Failure,
    output::{self, Output},
    stack,
};

/// How long identify gets to explain a refusal.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a peer may take for each of the exchanges that it asks of a tool.
const SERVING: Duration = Duration::from_secs(20);

/// A connection with the node that a tool was sent to.
pub struct Session {
    pub host: Host,
    pub connection: ConnectionId,
    protocol: ProtocolId,
}

impl Session {
    /// Opens a stream of the tool's protocol.
    pub async fn open(&self) -> Result<Stream> {
        self.host.open_stream_on(self.connection, std::slice::from_ref(&self.protocol)).await
    }

    /// As [`Session::open`]; the stream fails with `Timeout` when nothing moves on it for as long as `stall` says.
    pub async fn open_impatiently(&self, stall: &Stall) -> Result<Stream> {
        let limit = Duration::from_secs(stall.stall_secs);
        Ok(self.open().await?.map_pipe(|pipe| stackwire_wrap::timed(pipe, limit, self.host.env())))
    }

    /// Time, randomness, tasks.
    pub fn env(&self) -> &Env {
        self.host.env()
    }
}

/// Connects as `tool` says, prints the path, does `work` for `protocol` there, and closes. The result is what `work`
/// returns, and who it was done with. Ctrl-C closes early.
pub async fn with<F>(
    tool: &Tool,
    protocol: impl Into<ProtocolId>,
    out: &Output,
    work: impl FnOnce(Session) -> F,
) -> ExitCode
where
    F: Future<Output = Result<Value>>,
{
    with_so_far(tool, protocol, out, || None, work).await
}

/// As [`with`], for work that has something to tell where it ends early: `so_far` does.
pub async fn with_so_far<F>(
    tool: &Tool,
    protocol: impl Into<ProtocolId>,
    out: &Output,
    so_far: impl FnOnce() -> Option<Value>,
    work: impl FnOnce(Session) -> F,
) -> ExitCode
where
    F: Future<Output = Result<Value>>,
{
    let protocol = protocol.into();
    let mut path = None;
    let mut node = None;
    let talking = async {
        let mut stack = stack::plan(&tool.stack, None)?.stack();
        stack::check_dialable(&tool.address, &stack)?;
        stack.parts.protocols = served(stack.parts.protocols, &protocol);
        let node = node.insert(Node::start(stack).await?);
        let connection = node.connect(&tool.address).await.map_err(with_flags)?;
        out.text(format!("connected to {}\n{}", connection.peer, output::path_lines(&connection.path)));
        path = Some(connection.path.clone());
        let session = Session { host: node.host(), connection: connection.id, protocol: protocol.clone() };
        match work(session).await {
            Ok(mut result) => {
                result["peer"] = connection.peer.to_string().into();
                Ok(result)
            }
            Err(error) => Err(Failure::from(explain(error, node, &connection.peer, &protocol).await)),
        }
    };
    let result = stop::unless_wanted(out, talking).await;
    // Before the end, which may take its time.
    let so_far = if result.is_err() { so_far() } else { None };
    if let Some(node) = node {
        // Another Ctrl-C does not wait for it.
        node.shutdown().await;
    }
    out.finish_on(path.as_ref(), result, so_far)
}

/// Plug-ins know the options of a config; who uses a tool may have none, and has a flag.
fn with_flags(error: Error) -> Error {
    const OPTION: &str = "`tls.verify = false`";
    let Kind::DialFailed(failures) = error.kind() else { return error };
    let mut failures = failures.clone();
    for failure in failures.iter_mut().filter(|failure| failure.error.during().contains(OPTION)) {
        let during = failure.error.during().replace(OPTION, "`--no-verify` (in a config: `tls.verify = false`)");
        failure.error = failure.error.clone().while_doing(during);
    }
    Error::new(Kind::DialFailed(failures), error.during().to_string())
}

/// What a tool serves: all that its config says, and what every peer expects of whoever connects. rust-libp2p answers no
/// pings of a peer that refuses its own.
fn served(configured: Vec<Arc<dyn Protocol>>, own: &ProtocolId) -> Vec<Arc<dyn Protocol>> {
    let serves = |protocol: &Arc<dyn Protocol>, id: &str| protocol.ids().iter().any(|served| served.as_str() == id);
    let expected: [(&str, Arc<dyn Protocol>); 2] = [
        (stackwire_protocol_ping::ID, Arc::new(Ping::new(None, SERVING))),
        (stackwire_protocol_identify::ID, Arc::new(Identify::new(SERVING))),
    ];
    let missing = expected.into_iter().filter(|(id, _)| !configured.iter().any(|protocol| serves(protocol, id)));
    let missing: Vec<_> = missing.map(|(_, protocol)| protocol).collect();
    let all = configured.into_iter().chain(missing);
    all.map(|protocol| match serves(&protocol, own.as_str()) {
        true => Arc::new(OnlyServed(protocol)) as Arc<dyn Protocol>,
        false => protocol,
    })
    .collect()
}

/// The protocol that the tool speaks itself: a stream of the node's own beside it is one more than some peers take.
struct OnlyServed(Arc<dyn Protocol>);

#[async_trait]
impl Protocol for OnlyServed {
    fn ids(&self) -> Vec<ProtocolId> {
        self.0.ids()
    }
    async fn serve(&self, stream: Stream, host: &Host) -> Result<()> {
        self.0.serve(stream, host).await
    }
    fn keep_alive(&self) -> bool {
        self.0.keep_alive()
    }
}

/// A protocol that the peer does not serve may show as a stream that ends, since a single offer is not waited for. What
/// identify tells makes that plain. What fails after the protocol was agreed is something else, whatever identify lists:
/// some peers (Kubo) serve more than they name.
async fn explain(error: Error, node: &Node, peer: &PeerId, protocol: &ProtocolId) -> Error {
    match error.kind() {
        Kind::NoCommonProtocol { .. } => {}
        Kind::Reset { .. } | Kind::Closed | Kind::PeerMisbehaved(_) if error.layer() == Some(Layer::Negotiator) => {}
        _ => return error,
    }
    let told = async {
        loop {
            if let Some(info) = node.remote(peer) {
                return info;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(info) if !info.protocols.contains(protocol) => {
            let supported = info.protocols.iter().map(ToString::to_string).collect();
            let kind = Kind::NoCommonProtocol { offered: vec![protocol.to_string()], supported };
            Error::new(kind, "the peer does not list this protocol among those it serves").caused_by(error)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a config leaves out, and whatever a tool speaks itself: peers that ask who we are, or whether we are there,
    /// get an answer.
    #[test]
    fn every_tool_serves_ping_and_identify() {
        for own in [stackwire_protocol_ping::ID, stackwire_protocol_identify::ID, "/echo/1.0.0"] {
            let ping = || Arc::new(Ping::new(None, SERVING)) as Arc<dyn Protocol>;
            for configured in [vec![], vec![ping()]] {
                let served = served(configured, &own.into());
                let ids: Vec<ProtocolId> = served.iter().flat_map(|protocol| protocol.ids()).collect();
                for id in [stackwire_protocol_ping::ID, stackwire_protocol_identify::ID] {
                    assert_eq!(ids.iter().filter(|served| served.as_str() == id).count(), 1, "{id} of {ids:?}");
                }
            }
        }
    }
}
