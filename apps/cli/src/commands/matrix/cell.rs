//! One cell: two nodes of one mix that do everything nodes do with each other.

use std::{sync::Arc, time::Duration};

use stackwire_config::{Catalogue, Plan};
use stackwire_node::{ConnectionInfo, Error, Kind, Layer, Node, ProtocolId, Result, Stream};
use tempfile::TempDir;
use toml::{Table, Value};

use super::{Candidate, Measured, Outcome, Side};
use crate::output::{mbits, ms};

/// How long a cell may take; one that hangs is one that fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are echoed.
const ECHO: u64 = 100_000;

/// What to mix.
pub(super) struct Mix<'a> {
    pub(super) transport: &'a Candidate,
    pub(super) security: &'a Candidate,
    pub(super) muxer: &'a Candidate,
    pub(super) bytes: u64,
}

/// Runs one cell to its end.
pub(super) async fn run(mix: &Mix<'_>, catalogue: &Catalogue) -> Outcome {
    let mut step = "starting the nodes";
    let walking = walk(mix, catalogue, &mut step);
    match tokio::time::timeout(PATIENCE, walking).await {
        Ok(Ok(Some(measured))) => Outcome::Passed(measured),
        Ok(Ok(None)) => {
            let reason = format!("{} brings its own security and streams", mix.transport.fixture.label);
            Outcome::NotApplicable { reason }
        }
        Ok(Err(error)) => Outcome::Failed { step, error },
        Err(_) => Outcome::Failed { step, error: Error::new(Kind::Timeout { limit: PATIENCE }, step) },
    }
}

async fn walk(mix: &Mix<'_>, catalogue: &Catalogue, step: &mut &'static str) -> Result<Option<Measured>> {
    let folder = TempDir::new().map_err(|e| Error::io("making a folder", e))?;
    let listener = start(mix, catalogue, &folder, "listener").await?;
    let dialer = start(mix, catalogue, &folder, "dialer").await?;
    *step = "connecting";
    let Some(address) = listener.addresses().into_iter().next() else {
        return Err(Error::new(Kind::Internal, "the listener has no address"));
    };
    let here = dialer.connect(&address).await?;
    let path = &here.path;
    let transport = mix.transport.plugin.summary.name;
    if path.plugin(Layer::Security) == transport && path.plugin(Layer::Muxer) == transport {
        return Ok(None);
    }
    check_path(mix, &here)?;
    let there = accepted(&listener).await?;
    let mut sides = Vec::new();
    for (node, connection) in [(&dialer, &here), (&listener, &there)] {
        sides.push(talk(node, connection, mix.bytes, step).await?);
    }
    let measured = Measured {
        handshake_ms: ms(path.took()),
        round_trips: path.round_trips(),
        dialer: sides[0],
        listener: sides[1],
    };
    *step = "closing";
    dialer.shutdown().await;
    listener.shutdown().await;
    Ok(Some(measured))
}

async fn start(mix: &Mix<'_>, catalogue: &Catalogue, folder: &TempDir, name: &str) -> Result<Node> {
    let text = config(mix, &folder.path().join(name))?;
    Node::start(Plan::parse(&text, catalogue)?.stack()).await
}

/// The mix as a config: the matrix takes the way every user takes.
fn config(mix: &Mix<'_>, folder: &std::path::Path) -> Result<String> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("making a folder", e))?;
    let listen = mix.transport.fixture.listen.replace("{tmp}", &folder.display().to_string());
    let mut root = Table::new();
    root.insert("node".into(), Value::Table(Table::from_iter([("listen".to_string(), vec![listen].into())])));
    for (layer, candidate) in
        [(Layer::Transport, mix.transport), (Layer::Security, mix.security), (Layer::Muxer, mix.muxer)]
    {
        let mut options: Table = candidate.fixture.options.parse().map_err(|e: toml::de::Error| {
            Error::new(Kind::Internal, format!("the fixture {} does not parse", candidate.fixture.label)).caused_by(e)
        })?;
        options.insert("use".into(), candidate.plugin.summary.name.into());
        root.insert(layer.name().into(), Value::Array(vec![options.into()]));
    }
    let protocols = ["identify", "ping", "perf", "echo"];
    let protocols = protocols.map(|name| Value::Table(Table::from_iter([("use".to_string(), name.into())])));
    root.insert(Layer::Protocol.name().into(), Value::Array(protocols.to_vec()));
    Ok(root.to_string())
}

fn check_path(mix: &Mix<'_>, connection: &ConnectionInfo) -> Result<()> {
    for (layer, wanted) in [(Layer::Security, mix.security), (Layer::Muxer, mix.muxer)] {
        let got = connection.path.plugin(layer);
        if got != wanted.plugin.summary.name {
            let why = format!("asked for {layer} {}, got {got}", wanted.plugin.summary.name);
            return Err(Error::new(Kind::Internal, why));
        }
    }
    Ok(())
}

/// The listener's end of the only connection there is; it may be a moment behind the dialer's.
async fn accepted(listener: &Node) -> Result<Arc<ConnectionInfo>> {
    loop {
        if let Some(connection) = listener.connections().into_iter().next() {
            return Ok(connection);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Identifies, pings, echoes and moves bytes, on streams that `node` opens.
async fn talk(node: &Node, connection: &ConnectionInfo, bytes: u64, step: &mut &'static str) -> Result<Side> {
    let env = node.env();
    *step = "identify";
    let mut stream = open(node, connection, "/ipfs/id/1.0.0").await?;
    let info = stackwire_protocol_identify::identify(&mut stream).await?;
    if !info.protocols.iter().any(|p| p.as_str() == "/perf/1.0.0") {
        return Err(Error::misbehaved("identify does not name /perf/1.0.0"));
    }
    *step = "ping";
    let mut stream = open(node, connection, "/ipfs/ping/1.0.0").await?;
    let ping = stackwire_protocol_ping::ping(&mut stream, env).await?;
    *step = "echo with half-close";
    let stream = open(node, connection, "/echo/1.0.0").await?;
    stackwire_protocol_echo::echo(stream, ECHO, true, env).await?;
    *step = "moving bytes";
    // One way a time, and from the request to the last byte: what is in some buffer already would look too fast.
    let mut speeds = [0.0; 2];
    for (speed, (up, down)) in speeds.iter_mut().zip([(bytes, 0), (0, bytes)]) {
        let stream = open(node, connection, "/perf/1.0.0").await?;
        let report = stackwire_protocol_perf::perf(stream, up, down, |_| {}, env).await?;
        *speed = mbits(bytes, report.upload_time + report.download_time);
    }
    let [upload_mbits, download_mbits] = speeds;
    Ok(Side { ping_ms: ms(ping), upload_mbits, download_mbits })
}

async fn open(node: &Node, connection: &ConnectionInfo, id: &'static str) -> Result<Stream> {
    node.open_stream_on(connection.id, &[ProtocolId::new(id)]).await
}
