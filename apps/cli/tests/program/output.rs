//! What every command has in common: colour, pipes, interrupts, usage.

use std::io::{BufRead, BufReader, Read};

use crate::support::{Guard, Node, collect, finish, finish_command, stackwire};

#[test]
fn pipes_get_no_escape_codes_and_no_color_is_obeyed() {
    let commands: [&[&str]; 3] = [&["plugins"], &["plugins", "show", "tcp"], &["ping", "/ip4/127.0.0.1/tcp/1"]];
    for args in commands {
        let done = finish(args);
        assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{done:?}");
    }
    let mut forced = stackwire(&["plugins"]);
    forced.env("CLICOLOR_FORCE", "1");
    assert!(finish_command(forced).stdout.contains('\u{1b}'), "colour can be asked for");
    let mut without = stackwire(&["plugins"]);
    without.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!finish_command(without).stdout.contains('\u{1b}'), "even where it is asked for");
}

#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    let node = Node::start(&[], 2);
    let mut child = Guard::spawn(stackwire(&["ping", &node.addresses[0], "--count", "4000000"]));
    let mut first = String::new();
    let stdout = child.0.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut first).expect("a first line");
    assert!(first.starts_with("connected to"), "{first}");
    // The reader is gone: the next ping can't be shown.
    let mut complaints = String::new();
    child.0.stderr.take().expect("stderr is piped").read_to_string(&mut complaints).expect("text");
    assert_eq!((child.wait().code(), complaints.as_str()), (Some(0), ""));
}

#[test]
fn ctrl_c_ends_a_tool_with_a_typed_error_and_its_path() {
    let node = Node::start(&[], 2);
    let child = Guard::spawn(stackwire(&["ping", &node.addresses[0], "--count", "4000000", "--json"]));
    while node.until("stream_opened")["direction"] != "inbound" {}
    child.interrupt();
    let done = collect(child);
    assert_eq!(done.error()["kind"], "closed");
    assert!(done.json()["path"]["rungs"].is_array());
    node.until("disconnected");
}

#[test]
fn wrong_usage_is_an_error_for_machines_too() {
    let done = finish(&["ping", "--json"]);
    assert_eq!(done.code, Some(2));
    assert!(done.json()["error"]["message"].as_str().is_some_and(|text| text.contains("<ADDR>")), "{done:?}");
    let done = finish(&["pnig"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.contains("'ping'"), "a similar command is named: {}", done.stderr);
}

#[test]
fn wrong_usage_ends_with_2_before_anything_is_dialed() {
    let there = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    there.set_nonblocking(true).expect("it can");
    let address = format!("/ip4/127.0.0.1/tcp/{}", there.local_addr().expect("an address").port());
    let wrong: [(&[&str], &str); 14] = [
        (&["ping", "nope"], "is not a multiaddr such as /ip4/"),
        (&["ping", ""], "an address is empty"),
        (&["ping", "127.0.0.1:45001"], "is not a multiaddr such as /ip4/"),
        (&["run", "--listen", "nope"], "is not a multiaddr such as /ip4/"),
        (&["ping", &address, "--transport", "nosuch"], "transport `nosuch` is not linked"),
        (&["run", "--transport", "nosuch"], "transport `nosuch` is not linked"),
        (&["identify", &address, "--security", "nosuch"], "security `nosuch` is not linked"),
        (&["run", "--muxer", "nosuch"], "muxer `nosuch` is not linked"),
        (&["ping", &address, "--security", "plaintext"], "add `--insecure`"),
        (&["matrix", "--transport", "nosuch"], "transport `nosuch` is not linked"),
        (&["plugins", "show", "nope"], "no plug-in `nope` is linked"),
        (&["echo", &address, "--protocol", "nope"], "an id begins with /"),
        (&["perf", &address, "--upload-bytes", "0", "--download-bytes", "0"], "nothing to measure"),
        (&["ping", &address, "--transport", "quic"], "add `--transport tcp`"),
    ];
    for (args, why) in wrong {
        let done = finish(args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{args:?}: {done:?}");
        assert!(done.stderr.contains(why), "{args:?}: {done:?}");
        let event = finish(&[args, &["--json"]].concat());
        assert_eq!(event.code, Some(2), "{args:?}: {event:?}");
        assert!(event.json()["error"]["message"].as_str().is_some_and(|text| text.contains(why)), "{event:?}");
    }
    let nobody = there.accept().expect_err("nobody has dialed");
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_filter_of_the_environment_that_is_none_is_told_and_ignored() {
    let mut command = stackwire(&["plugins", "show", "tcp"]);
    command.env("RUST_LOG", "a=b=c");
    let done = finish_command(command);
    assert_eq!(done.code, Some(0));
    assert!(done.stderr.starts_with("warning: RUST_LOG is `a=b=c`"), "{}", done.stderr);
}

#[test]
fn a_level_of_logs_that_is_none_is_wrong_usage() {
    let done = finish(&["--log", "=loud=", "plugins"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.contains("`--log =loud=`") && done.stderr.contains("debug"), "{}", done.stderr);
}

#[test]
fn help_is_there_for_every_command() {
    let commands = ["demo", "run", "config", "ping", "identify", "perf", "echo", "plugins", "check", "key", "matrix"];
    let all = finish(&["--help"]);
    assert_eq!(all.code, Some(0));
    assert!(all.stdout.contains("Exit codes:"), "{}", all.stdout);
    for command in commands {
        assert!(all.stdout.contains(&format!("  {command} ")), "{command} in {}", all.stdout);
        let help = finish(&[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains("Usage: stackwire"), "{}", help.stdout);
    }
}
