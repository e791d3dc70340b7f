//! What the tools share: a node of their own, one connection, one stream, an end that cleans up.

use std::{process::ExitCode, time::Duration};

use serde_json::Value;
use stackwire_node::{Env, Error, Kind, Node, PeerId, ProtocolId, Result, Stream, address};

use super::stop;
use crate::{
    args::Tool,
    output::{self, Output},
    stack,
};

/// How long identify gets to explain a refusal.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connects as `tool` says, prints the path, opens a stream for `protocol`, does `work` on it, and closes. The result
/// is what `work` returns, and who it was done with. Ctrl-C closes early.
pub async fn with<F>(
    tool: &Tool,
    protocol: impl Into<ProtocolId>,
    out: &Output,
    work: impl FnOnce(Stream, Env) -> F,
) -> ExitCode
where
    F: Future<Output = Result<Value>>,
{
    let protocol = protocol.into();
    let mut path = None;
    let mut node = None;
    let talking = async {
        let address = address::parse(&tool.address)?;
        let mut stack = stack::plan(&tool.stack, None)?.stack();
        // The tool speaks this protocol itself; a stream of the node's own beside it is one more than some peers take.
        stack.protocols.retain(|served| !served.ids().contains(&protocol));
        let node = node.insert(Node::start(stack).await?);
        let connection = node.connect(&address).await?;
        out.text(format!("connected to {}\n{}", connection.peer, output::path_lines(&connection.path)));
        path = Some(connection.path.clone());
        let working = async {
            let stream = node.open_stream_on(connection.id, std::slice::from_ref(&protocol)).await?;
            work(stream, node.env().clone()).await
        };
        match working.await {
            Ok(mut result) => {
                result["peer"] = connection.peer.to_string().into();
                Ok(result)
            }
            Err(error) => Err(explain(error, node, &connection.peer, &protocol).await),
        }
    };
    let result = stop::unless_wanted(out, talking).await;
    if let Some(node) = node {
        // Another Ctrl-C does not wait for it.
        node.shutdown().await;
    }
    out.finish_on(path.as_ref(), result)
}

/// A protocol that the peer does not serve may show as a stream that ends, since a single offer is not waited for. What
/// identify tells makes that plain.
async fn explain(error: Error, node: &Node, peer: &PeerId, protocol: &ProtocolId) -> Error {
    match error.kind() {
        Kind::Reset { .. } | Kind::Closed | Kind::PeerMisbehaved | Kind::NoCommonProtocol { .. } => {}
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
