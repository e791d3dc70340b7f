//! The program itself against a node of the published crate `libp2p`, each a process of its own.

use std::process::Stdio;

use serde_json::Value;
use stackwire_interop::in_time;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// Transport, security and muxer, as their node's arguments and as ours.
type Mix = ([&'static str; 3], &'static [&'static str]);

const TCP: Mix = (["tcp", "noise", "yamux"], &["--transport", "tcp", "--security", "noise", "--muxer", "yamux"]);
const TCP_TLS_MPLEX: Mix = (["tcp", "tls", "mplex"], &["--transport", "tcp", "--security", "tls", "--muxer", "mplex"]);
const WS: Mix = (["ws", "tls", "yamux"], &["--transport", "websocket", "--security", "tls", "--muxer", "yamux"]);
const QUIC: Mix = (["quic", "-", "-"], &["--transport", "quic"]);

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A process that serves until its test ends.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        let line = in_time("a line", self.lines.next_line()).await.expect("it is text");
        line.expect("it goes on")
    }
}

/// What our tool says at the end.
async fn ours(tool: &str, address: &str, mix: &[&str], args: &[&str]) -> Value {
    let run =
        command(env!("CARGO_BIN_EXE_stackwire_program")).args([tool, address, "--json"]).args(mix).args(args).output();
    let done = in_time(tool, run).await.expect("the program starts");
    let said = String::from_utf8_lossy(&done.stdout);
    let value: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{tool}: {error}: {done:?}"));
    assert!(done.status.success() && value["ok"] == true, "{tool}: {value:#}");
    value["result"].clone()
}

async fn we_dial((theirs, mix): Mix) {
    let mut peer = command(env!("CARGO_BIN_EXE_rust_peer"));
    peer.arg("listen").args(theirs);
    let mut peer = Server::start(peer);
    let address = peer.line().await;

    let pinged = ours("ping", &address, mix, &["--count", "20"]).await;
    assert_eq!(pinged["count"], 20);
    let told = ours("identify", &address, mix, &[]).await;
    let protocols = told["info"]["protocols"].as_array().expect("a list");
    assert!(protocols.iter().any(|id| id == "/ipfs/ping/1.0.0"), "{told:#}");
    let measured = ours("perf", &address, mix, &["--upload-bytes", "1000000", "--download-bytes", "1000000"]).await;
    assert_eq!((&measured["uploaded"], &measured["downloaded"]), (&1_000_000.into(), &1_000_000.into()));
    for half in [&["--bytes", "300000"][..], &["--bytes", "300000", "--no-half-close"]] {
        assert_eq!(ours("echo", &address, mix, half).await["bytes"], 300_000);
    }
    assert!(peer.child.try_wait().expect("it can be asked").is_none(), "their node has lived through it");
}

async fn they_dial((theirs, mix): Mix) {
    let place = match theirs[0] {
        "tcp" => "/ip4/127.0.0.1/tcp/0",
        "ws" => "/ip4/127.0.0.1/tcp/0/ws",
        _ => "/ip4/127.0.0.1/udp/0/quic-v1",
    };
    let mut node = command(env!("CARGO_BIN_EXE_stackwire_program"));
    node.args(["run", "--json", "--listen", place]).args(mix);
    let mut node = Server::start(node);
    let event = |line: String| serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let running = event(node.line().await);
    assert_eq!(running["event"], "running", "{running}");
    let listening = event(node.line().await);
    assert_eq!(listening["event"], "listening", "{listening}");
    let address = listening["address"].as_str().expect("an address").to_string();

    let mut peer = command(env!("CARGO_BIN_EXE_rust_peer"));
    let run = peer.arg("dial").args(theirs).arg(&address).stderr(Stdio::piped()).output();
    let done = in_time("their node", run).await.expect("the program starts");
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.starts_with("stackwire/") && said.contains("/perf/1.0.0"), "{said}");

    // What was asked of the node in vain is no failure of a stream; nothing else failed.
    loop {
        let event = event(node.line().await);
        assert_ne!(event["event"], "incoming_failed", "{event}");
        if event["event"] == "stream_failed" {
            assert_eq!(event["error"]["kind"], "no_common_protocol", "{event}");
        }
        if event["event"] == "disconnected" {
            break;
        }
    }
}

macro_rules! mixes {
    ($($name:ident: $mix:expr;)+) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn we_dial() {
                super::we_dial($mix).await;
            }

            #[tokio::test]
            async fn they_dial() {
                super::they_dial($mix).await;
            }
        }
    )+};
}

mixes! {
    tcp: TCP;
    tcp_tls_mplex: TCP_TLS_MPLEX;
    ws: WS;
    quic: QUIC;
}
