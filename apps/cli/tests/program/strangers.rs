//! Names, agents, answers and errors that strangers choose are shown by every command and in the log, and do nothing.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use stackwire_bundle as _;
use stackwire_node::{Builder, Catalogue, Host, Protocol, ProtocolId, Result, Stream, is_unprintable};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Finished, Guard, collect, finish_command, stackwire};

/// Retitles a window, clears the screen, recolours, ends lines, turns text round; in both forms of the codes.
const EVIL: &str = "/\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m\u{9b}2J\r\nerror\u{202e}/1.0.0";
/// The same on one line, as ids of protocols are.
const EVIL_ID: &str = "/\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m\u{9b}2J\u{202e}/1.0.0";

fn harmless(done: &Finished) {
    for (name, text) in [("stdout", &done.stdout), ("stderr", &done.stderr)] {
        let acts = text.chars().find(|c| is_unprintable(*c) && *c != '\n' && *c != '\t');
        assert_eq!(acts, None, "{name}: {text:?}");
        assert!(text.lines().all(|line| !line.starts_with("error\\u") && line != "error"), "{name}: a line of theirs");
    }
}

struct Evil;

#[async_trait::async_trait]
impl Protocol for Evil {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![EVIL_ID.into(), "/evil".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        stream.write_all(EVIL.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }
}

#[test]
fn what_a_peer_tells_of_itself() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = "[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n\
                  [[muxer]]\nuse = \"yamux\"\n";
    let node = runtime.block_on(async {
        let mut settings = stackwire_config::Plan::parse(config, &Catalogue::linked()?)?.settings;
        settings.agent = EVIL.into();
        Builder::from_config(config, &Catalogue::linked()?)?.settings(settings).protocol(Evil).start().await
    });
    let node = node.expect("it starts");
    let address = node.addresses()[0].to_string();
    let mut outputs = Vec::new();
    for args in [
        &["identify", &address][..],
        &["identify", &address, "--json"],
        &["ping", &address, "--count", "1"],
        &["echo", &address],
        &["echo", &address, "--protocol", "/evil"],
        &["echo", &address, "--protocol", EVIL_ID, "--json"],
        &["perf", &address],
    ] {
        let done = finish_command(stackwire(&[args, &["--log", "trace"]].concat()));
        harmless(&done);
        outputs.push(done);
    }
    let shown = outputs.iter().filter(|done| done.stdout.contains("owned") || done.stderr.contains("owned"));
    assert!(shown.count() >= 4, "{outputs:#?}");
}

#[test]
fn what_a_dialer_offers_before_any_handshake() {
    for flags in [&["--log", "trace"][..], &["--log", "trace", "--json"]] {
        let mut child = Guard::spawn(stackwire(&[&["run", "--listen", "/ip4/127.0.0.1/tcp/0"][..], flags].concat()));
        let address = first_address(&mut child);
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let offer = format!("{EVIL}\n");
        let mut bytes = b"\x13/multistream/1.0.0\n".to_vec();
        bytes.push(offer.len() as u8);
        bytes.extend_from_slice(offer.as_bytes());
        stream.write_all(&bytes).expect("it takes bytes");
        stream.shutdown(std::net::Shutdown::Write).expect("it can");
        // It closes when it has given up.
        let _ = stream.read_to_end(&mut Vec::new());
        child.interrupt();
        harmless(&collect(child));
    }
}

#[test]
fn what_a_listener_answers_before_any_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().expect("bound").port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let answer = format!("{EVIL}\n");
            let mut bytes = b"\x13/multistream/1.0.0\n".to_vec();
            bytes.push(answer.len() as u8);
            bytes.extend_from_slice(answer.as_bytes());
            // Fails where the dialer has left.
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    for flags in [&[][..], &["--json"], &["--log", "trace"]] {
        let done = finish_command(stackwire(&[&["ping", &address][..], flags].concat()));
        assert_eq!(done.code, Some(1), "{done:?}");
        harmless(&done);
    }
}

/// The address of a node of `run`, from its first lines.
fn first_address(child: &mut Guard) -> String {
    use std::io::BufRead as _;
    let mut lines = std::io::BufReader::with_capacity(1, child.0.stdout.take().expect("stdout is piped"));
    let port = loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("text") > 0, "it ended");
        if let Some((_, rest)) = line.split_once("/ip4/127.0.0.1/tcp/") {
            break rest.split('/').next().unwrap_or_default().to_string();
        }
    };
    child.0.stdout = Some(lines.into_inner());
    format!("127.0.0.1:{port}")
}
