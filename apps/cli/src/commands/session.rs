//! What the tools share: a node of their own, one connection, an end that cleans up.

use std::{process::ExitCode, sync::Arc};

use serde_json::Value;
use stackwire_node::{ConnectionInfo, Error, Kind, Node, ProtocolId, Result, Stream};

use crate::{
    args::Tool,
    output::{self, Output},
    stack,
};

/// A node that talks to one peer.
pub struct Session {
    /// The node.
    pub node: Node,
    /// The connection.
    pub connection: Arc<ConnectionInfo>,
}

impl Session {
    /// Opens a stream on the connection.
    pub async fn open(&self, id: impl Into<ProtocolId>) -> Result<Stream> {
        self.node.open_stream_on(self.connection.id, &[id.into()]).await
    }
}

/// Connects as `tool` says, prints the path, does `work`, and closes; Ctrl-C does the latter two early.
pub async fn with<F>(tool: &Tool, out: &Output, work: impl FnOnce(Arc<Session>) -> F) -> ExitCode
where
    F: Future<Output = Result<Value>>,
{
    let mut path = None;
    let mut node = None;
    let result = {
        let talking = async {
            let plan = stack::plan(&tool.stack, None)?;
            let running = node.insert(Node::start(plan.stack()).await?).clone();
            let connection = running.connect(&tool.address).await?;
            out.text(format!("connected to {}\n{}", connection.peer, output::path_lines(&connection.path)));
            path = Some(connection.path.clone());
            work(Arc::new(Session { node: running, connection })).await
        };
        tokio::select! {
            result = talking => result,
            _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Closed, "interrupted")),
        }
    };
    if let Some(node) = node {
        node.shutdown().await;
    }
    out.finish(path.as_ref(), result)
}
