//! `ping`, `identify`, `perf` and `echo` against a node of `run`.

use serde_json::json;

use crate::support::{Guard, Node, collect, finish, plugins, stackwire};

#[test]
fn every_tool_works_over_every_transport_of_the_default_and_names_its_path() {
    let node = Node::start(&[], 3);
    for address in &node.addresses {
        let path = match address {
            quic if quic.contains("/quic-v1/") => vec!["quic"],
            ws if ws.contains("/ws/") => vec!["websocket", "tls", "priority"],
            _ => vec!["tcp", "tls", "priority"],
        };
        let peer = address.rsplit('/').next().expect("an address ends with its peer");
        let tools: [&[&str]; 4] = [
            &["ping", "--count", "3"],
            &["identify"],
            &["perf", "--upload-bytes", "300000", "--download-bytes", "200000"],
            &["echo", "--bytes", "70000"],
        ];
        let [ping, identify, perf, echo] = tools.map(|tool| {
            let done = finish(&[tool, &[address, "--json"]].concat());
            assert_eq!(done.result()["peer"], peer);
            assert_eq!(plugins(&done.json()["path"])[..path.len()], path);
            done.result()
        });
        assert_eq!(ping["count"], 3);
        assert!(ping["min_ms"].as_f64() <= ping["median_ms"].as_f64());
        assert!(ping["median_ms"].as_f64() <= ping["max_ms"].as_f64());
        let protocols = identify["info"]["protocols"].as_array().expect("identify tells protocols");
        assert!(protocols.contains(&json!("/perf/1.0.0")));
        assert_eq!(perf["uploaded"], 300_000);
        assert_eq!(perf["downloaded"], 200_000);
        assert_eq!((&echo["bytes"], &echo["half_close"]), (&json!(70_000), &json!(true)));
    }
}

#[test]
fn echo_works_without_half_close_too() {
    let node = Node::start(&[], 2);
    let done = finish(&["echo", &node.addresses[0], "--bytes", "5000", "--no-half-close", "--json"]);
    assert_eq!(done.result()["half_close"], false);
}

#[test]
fn a_tool_that_ends_normally_has_failed_no_stream_of_its_peer() {
    let node = Node::start(&[], 2);
    for tool in [&["ping", "--count", "1"][..], &["identify"], &["perf"], &["echo"], &["echo", "--no-half-close"]] {
        let sized: &[&str] = if tool[0] == "perf" { &["--upload-bytes", "9", "--download-bytes", "9"] } else { &[] };
        finish(&[tool, &[&node.addresses[0], "--json"], sized].concat()).result();
        loop {
            let event = node.next().expect("the node goes on");
            assert_ne!(event["event"], "stream_failed", "{tool:?}: {event}");
            if event["event"] == "disconnected" {
                break;
            }
        }
    }
}

#[test]
fn a_transfer_that_stalls_is_given_up() {
    let usage = finish(&["echo", "/memory/1", "--stall-secs", "0"]);
    assert!(usage.stderr.contains("1..=86400"), "{}", usage.stderr);
    for tool in [&["echo", "--bytes", "1000000000000"][..], &["perf", "--upload-bytes", "1000000000000"]] {
        let node = Node::start(&[], 2);
        let args = [tool, &[&node.addresses[0], "--stall-secs", "1", "--json"]].concat();
        let transfer = Guard::spawn(stackwire(&args));
        while node.until("stream_opened")["protocol"] != format!("/{}/1.0.0", tool[0]) {}
        node.freeze();
        assert_eq!(collect(transfer).error()["kind"], "timeout", "{tool:?}");
    }
}

#[test]
fn text_shows_the_path_and_the_result() {
    let node = Node::start(&[], 2);
    let done = finish(&["ping", &node.addresses[0], "--count", "1"]);
    assert_eq!(done.code, Some(0));
    for part in ["security   tls", "muxer      priority", "median"] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
}

#[test]
fn a_protocol_nobody_serves_is_a_typed_error_that_tells_what_is_served() {
    let node = Node::start(&[], 2);
    let done = finish(&["echo", &node.addresses[0], "--protocol", "/nobody/1.0.0", "--json"]);
    assert_eq!(done.error()["kind"], "no_common_protocol");
    assert!(done.error()["message"].as_str().is_some_and(|text| text.contains("/echo/1.0.0")), "{done:?}");
    assert_eq!(plugins(&done.json()["path"]), ["tcp", "tls", "priority"]);
}

#[test]
fn somebody_else_at_the_address_is_found_out() {
    let node = Node::start(&[], 2);
    let (place, _) = node.addresses[0].rsplit_once('/').expect("an address ends with its peer");
    let address = format!("{place}/12D3KooWCAPfLQSZQs9RnLP7LG2P2H7w7htoiWv691exA4YJqCUH");
    let error = finish(&["ping", &address, "--json"]).error();
    assert_eq!(error["kind"], "dial_failed");
    assert_eq!(error["addresses"][0]["error"]["kind"], "peer_mismatch");
}

#[test]
fn nobody_there_is_a_typed_error_without_a_path() {
    // Bound and let go: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = format!("/ip4/127.0.0.1/tcp/{}", free.expect("a free port").port());
    let done = finish(&["ping", &address, "--json"]);
    assert_eq!(done.error()["addresses"][0]["error"]["kind"], "refused");
    assert!(done.json()["path"].is_null());
}

#[test]
fn an_address_of_a_transport_that_is_off_names_the_flag() {
    for (address, flags, flag) in [
        ("/ip4/127.0.0.1/udp/1/quic-v1", &["--transport", "tcp"][..], "`--transport quic`"),
        ("/dns4/localhost/udp/1/quic-v1", &["--transport", "tcp"], "`--transport quic`"),
        ("/ip4/127.0.0.1/udp/1/utp", &[], "`--transport utp`"),
        ("/ip4/127.0.0.1/tcp/1", &["--transport", "quic"], "`--transport tcp`"),
    ] {
        let error = finish(&[&["ping", address, "--json"], flags].concat()).usage();
        assert_eq!(error["kind"], "unsupported", "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(flag)), "{error}");
    }
}

#[test]
fn a_bad_address_is_a_typed_error() {
    assert_eq!(finish(&["ping", "nonsense", "--json"]).usage()["kind"], "address_invalid");
    let done = finish(&["ping", "nonsense"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.contains("is not a multiaddr such as /ip4/"), "{}", done.stderr);
}

#[test]
fn a_self_signed_wss_node_is_dialed_with_no_verify_only() {
    let node = Node::start(&["--listen", "/ip4/127.0.0.1/tcp/0/tls/ws"], 1);
    let refused = finish(&["ping", &node.addresses[0], "--json"]).error();
    let why = refused["addresses"][0]["error"]["message"].as_str().expect("a message");
    assert!(why.contains("`--no-verify`"), "the flag is named: {why}");
    let done = finish(&["ping", &node.addresses[0], "--no-verify", "--count", "1", "--json"]);
    assert_eq!(plugins(&done.json()["path"])[0], "websocket");
    assert_eq!(done.result()["count"], 1);
}

#[test]
fn somebody_who_is_there_and_says_nothing_was_reached() {
    // The system takes the connection, and nobody ever answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().expect("an address").port());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hasty.toml");
    let config = "[node.timeouts]\nhandshake_secs = 0.3\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
    std::fs::write(&file, config).expect("the config is written");
    let error = finish(&["ping", &address, "--config", crate::support::text(&file), "--json"]).error();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("an address was reached")), "{error}");
    assert_eq!(error["addresses"][0]["error"]["kind"], "timeout");
    assert_eq!(error["addresses"][0]["reached"], true);
}

#[test]
fn a_name_without_a_place_is_told_from_an_address() {
    let peer = "/p2p/12D3KooWCAPfLQSZQs9RnLP7LG2P2H7w7htoiWv691exA4YJqCUH";
    let done = finish(&["ping", peer]);
    assert_eq!(done.code, Some(1));
    for part in ["no address is known of peer 12D3", "its name does not say where it is, as /ip4/"] {
        assert!(done.stderr.contains(part), "{part} in {}", done.stderr);
    }
}

#[test]
fn a_path_with_escaped_slashes_is_refused_with_the_one_that_was_meant() {
    for written in ["/unix/tmp%2Fa%2Fs.sock", "/unix/%2ftmp%2Fa%2Fs.sock"] {
        for args in [&["ping", written][..], &["run", "--transport", "unix", "--listen", written]] {
            let done = finish(args);
            assert_eq!(done.code, Some(2), "{done:?}");
            assert!(done.stderr.contains("write /unix/tmp/a/s.sock"), "{}", done.stderr);
        }
    }
}

#[test]
fn what_was_measured_until_ctrl_c_is_told() {
    let node = Node::start(&[], 2);
    let ping = |flags: &[&str]| {
        let mut command = stackwire(&[&["ping", &node.addresses[0], "--count", "4000000"], flags].concat());
        command.stderr(std::process::Stdio::piped());
        let child = Guard::spawn(command);
        while node.until("stream_opened")["direction"] != "inbound" {}
        // Some pings are done long after that.
        std::thread::sleep(std::time::Duration::from_secs(1));
        child.interrupt();
        collect(child)
    };
    let done = ping(&[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), "error: interrupted\n"), "{done:?}");
    assert!(done.stdout.lines().last().is_some_and(|line| line.starts_with("min ")), "{done:?}");
    let done = ping(&["--json"]);
    assert_eq!(done.error()["message"], "interrupted");
    assert!(done.json()["result"]["count"].as_u64() > Some(0), "{done:?}");
}
