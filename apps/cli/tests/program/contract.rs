//! `contract`: pairs of listener and dialer meet at a redis, as the public suites start them.
//!
//! Every pair runs against a redis of a hundred lines that knows what the contract needs, so that it is tested
//! everywhere, and against `redis-server` where that is installed.

use std::{
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    redis::Redis,
    support::{Finished, Guard, LIMIT, collect, finish, stackwire},
};

/// Where the two sides meet.
enum Meeting {
    Ours(Redis),
    /// Real: the process, its port, its folder.
    Real(#[allow(dead_code, reason = "killed when dropped")] Guard, u16, #[allow(dead_code)] tempfile::TempDir),
}

impl Meeting {
    fn address(&self) -> String {
        let port = match self {
            Meeting::Ours(redis) => redis.port(),
            Meeting::Real(_, port, _) => *port,
        };
        format!("127.0.0.1:{port}")
    }

    /// Ours, and the real one where there is one.
    fn all() -> Vec<Self> {
        let mut all = vec![Meeting::Ours(Redis::start())];
        match Self::real() {
            Some(real) => all.push(real),
            None => eprintln!("skipped: no redis-server on the PATH, so only the redis of this test is met at"),
        }
        all
    }

    fn real() -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return None;
        }
        // Somebody may take the port first: then it is another.
        for _ in 0..5 {
            let port = free_port();
            let folder = tempfile::tempdir().expect("a folder");
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut server = Guard::spawn(command);
            let begin = Instant::now();
            while server.0.try_wait().expect("the server can be asked").is_none() {
                assert!(begin.elapsed() < LIMIT, "redis-server does not answer");
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Meeting::Real(server, port, folder));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("redis-server does not start");
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// One test of a suite.
#[derive(Clone, Copy)]
struct Case {
    unified: bool,
    transport: &'static str,
    /// Security protocol and muxer; none for what brings its own.
    upper: Option<[&'static str; 2]>,
}

const fn case(unified: bool, transport: &'static str, security: &'static str, muxer: &'static str) -> Case {
    Case { unified, transport, upper: Some([security, muxer]) }
}

fn side(case: Case, is_dialer: bool, redis: &str, extra: &[(&str, &str)]) -> Command {
    let mut command = stackwire(&["contract", "transport"]);
    let names = match case.unified {
        true => ["IS_DIALER", "REDIS_ADDR", "TRANSPORT", "LISTENER_IP", "SECURE_CHANNEL", "MUXER"],
        false => ["is_dialer", "redis_addr", "transport", "ip", "security", "muxer"],
    };
    let [dialer, redis_name, transport, ip, security, muxer] = names;
    // What the surroundings of the test say is no part of it.
    for name in ["TEST_KEY", "is_dialer"] {
        command.env_remove(name);
    }
    command.env(dialer, is_dialer.to_string()).env(redis_name, redis).env(transport, case.transport);
    command.env(ip, "127.0.0.1");
    if case.unified {
        command.env("TEST_KEY", "a5b50d5e").env("DEBUG", "false");
    }
    match case.upper {
        Some([s, m]) => command.env(security, s).env(muxer, m),
        // As some harnesses say it.
        None => command.env(security, "null").env_remove(muxer),
    };
    command.envs(extra.iter().copied());
    command
}

/// Runs a pair; returns how the dialer ended.
fn pair(case: Case, meeting: &Meeting) -> Finished {
    let redis = meeting.address();
    let listener = Guard::spawn(side(case, false, &redis, &[]));
    let dialer = collect(Guard::spawn(side(case, true, &redis, &[])));
    // A listener goes on until it is ended, and has nothing to say.
    listener.interrupt();
    let listener = collect(listener);
    assert_eq!((listener.code, listener.stdout.as_str()), (Some(0), ""), "{listener:?}");
    assert!(listener.stderr.contains("published /ip4/127.0.0.1/"), "{listener:?}");
    dialer
}

fn check(case: Case) {
    for meeting in Meeting::all() {
        let done = pair(case, &meeting);
        assert_eq!(done.code, Some(0), "{} {:?}: {done:?}", case.transport, case.upper);
        let (handshake, ping) = match case.unified {
            true => yaml(&done.stdout),
            false => {
                let json = done.json();
                assert_eq!(json.as_object().map(|object| object.len()), Some(2), "{json}");
                let number = |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("{name}: {json}"));
                (number("handshakePlusOneRTTMillis"), number("pingRTTMilllis"))
            }
        };
        assert!(0.0 < ping && ping <= handshake, "{done:?}");
    }
}

/// The two figures of a result in YAML, which has these lines and no others.
fn yaml(text: &str) -> (f64, f64) {
    let lines: Vec<&str> = text.lines().collect();
    let ["latency:", handshake, ping, "  unit: ms"] = lines[..] else { panic!("{text}") };
    let number = |line: &str, name: &str| {
        let number = line.strip_prefix(&format!("  {name}: ")).unwrap_or_else(|| panic!("{name}: {text}"));
        number.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    (number(handshake, "handshake_plus_one_rtt"), number(ping, "ping_rtt"))
}

#[test]
fn tcp_noise_yamux_in_both_dialects() {
    for unified in [true, false] {
        check(case(unified, "tcp", "noise", "yamux"));
    }
}

#[test]
fn ws_and_wss_in_both_dialects() {
    check(case(true, "ws", "tls", "mplex"));
    check(case(false, "ws", "noise", "yamux"));
    check(case(true, "wss", "noise", "yamux"));
    check(case(false, "wss", "tls", "yamux"));
}

#[test]
fn plaintext_needs_no_flag_here() {
    check(case(true, "tcp", "plaintext", "yamux"));
}

#[test]
fn quic_v1_in_both_dialects() {
    let plugins: Value = finish(&["plugins", "--json"]).json();
    if !plugins.to_string().contains("\"quic\"") {
        eprintln!("skipped: the transport quic is not linked");
        return;
    }
    for unified in [true, false] {
        check(Case { unified, transport: "quic-v1", upper: None });
    }
}

#[test]
fn a_listener_on_all_addresses_publishes_one_that_works() {
    let meeting = Meeting::Ours(Redis::start());
    let case = case(false, "tcp", "noise", "yamux");
    let redis = meeting.address();
    let listener = Guard::spawn(side(case, false, &redis, &[("ip", "0.0.0.0")]));
    let done = collect(Guard::spawn(side(case, true, &redis, &[])));
    assert_eq!(done.code, Some(0), "{done:?}");
    drop(listener);
}

#[test]
fn a_test_that_takes_too_long_fails_on_both_sides() {
    let meeting = Meeting::Ours(Redis::start());
    let redis = meeting.address();
    for (unified, limit) in [(true, "TEST_TIMEOUT_SECS"), (false, "test_timeout_seconds"), (false, "test_timeout_secs")]
    {
        for is_dialer in [true, false] {
            // Nobody publishes where this dialer looks, and nobody comes to this listener.
            let case = case(unified, "tcp", "noise", "yamux");
            let extra = [(limit, "1"), ("TEST_KEY", if unified { "nobody" } else { "" })];
            let redis = if is_dialer { &Meeting::Ours(Redis::start()).address() } else { &redis };
            let done = collect(Guard::spawn(side(case, is_dialer, redis, &extra)));
            assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
            assert!(
                done.stderr.contains("no answer within 1s") && done.stderr.contains(&format!("`{limit}`")),
                "{done:?}"
            );
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_named_on_the_error_output() {
    let nothing = finish(&["contract", "transport"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(1), ""), "{nothing:?}");
    assert!(nothing.stderr.contains("TEST_KEY") && nothing.stderr.contains("is_dialer"), "{nothing:?}");
    let case = case(true, "tcp", "noise", "yamux");
    for (name, value) in
        [("TRANSPORT", "carrier-pigeon"), ("MUXER", "null"), ("LISTENER_IP", "here"), ("REDIS_ADDR", "")]
    {
        let done = collect(Guard::spawn(side(case, false, "127.0.0.1:1", &[(name, value)])));
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
        assert!(done.stderr.contains(&format!("`{name}`")), "{done:?}");
    }
    // A suite that was named is the one that counts.
    let mut other = side(case, true, "127.0.0.1:1", &[]);
    other.args(["--dialect", "test-plans"]);
    let done = collect(Guard::spawn(other));
    assert!(done.code == Some(1) && done.stderr.contains("`is_dialer`"), "{done:?}");
}
