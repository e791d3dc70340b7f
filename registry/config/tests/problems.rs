//! Every way to be wrong, with its place and its words.

mod fake;

use stackwire_config::{ConfigError, MAX_CONFIG, MAX_PROBLEMS, Plan};

/// What a stack needs at the least; the first line is 1, and the next after it 6.
const REST: &str = "[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
const TCP: &str = "[[transport]]\nuse = \"tcp\"\n";

fn error(text: &str) -> ConfigError {
    Plan::parse(text, &fake::catalogue()).expect_err("this config is wrong")
}

/// The first line of every problem, without the source line under it.
fn problems(text: &str) -> Vec<String> {
    let lines = error(text).problems;
    lines.iter().map(|problem| problem.to_string().lines().next().unwrap_or_default().to_string()).collect()
}

/// The only problem of `text` followed by the least rest of a config.
fn problem(text: &str) -> String {
    let mut all = problems(&format!("{text}{REST}"));
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let text = format!("# my node\n[[transport]]\nuse = \"tcp\"\n\tnodlay = true # fast\n{REST}");
    assert_eq!(
        error(&text).to_string(),
        "line 4, column 2: unknown key `nodlay`; available: backlog, nodelay, tags, tuning; did you mean `nodelay`?\n  \
         4 | \tnodlay = true # fast\n    \
           | \t^^^^^^"
    );
}

#[test]
fn columns_count_characters_and_not_bytes() {
    assert_eq!(
        problem("transport = [{ use = \"tcp\", tags = { \"äöü€\" = 1, x = \"no\" } }]\n"),
        "line 1, column 54: `tags.x` is \"no\"; it must be a whole number from 0 to 255"
    );
}

#[test]
fn an_empty_config_is_told_what_a_stack_needs() {
    for text in ["", "\n# nothing\n"] {
        assert_eq!(
            problems(text),
            [
                "no transport: a stack needs at least one; add `[[transport]]` with `use = \"…\"`; available: memory, tcp, web",
                "no security: a stack needs at least one; add `[[security]]` with `use = \"…\"`; available: noise, plaintext",
                "no muxer: a stack needs at least one; add `[[muxer]]` with `use = \"…\"`; available: yamux",
            ]
        );
    }
    let error = error("\n# nothing\n");
    assert_eq!((error.problems[0].line, error.problems[0].column, &error.problems[0].span), (3, 1, &None));
}

#[test]
fn an_empty_list_of_what_is_needed_is_a_problem() {
    assert!(problem("transport = []\n").starts_with("line 1, column 13: no transport: a stack needs at least one;"));
}

#[test]
fn a_syntax_error() {
    assert!(problems("[node]\nagent = \n").first().is_some_and(|p| p.starts_with("line 2, column 9: ")));
    assert!(problems("[node]\nagent = \"a\"\nagent = \"b\"\n")[0].starts_with("line 3, column 1: duplicate key"));
}

#[test]
fn an_unknown_section() {
    assert_eq!(
        problem(&format!("{TCP}[[transprt]]\nuse = \"tcp\"\n")),
        "line 3, column 3: unknown section `transprt`; available: node, transport, protector, negotiator, security, \
         muxer, routing, discovery, nat, protocol; did you mean `transport`?"
    );
    assert!(problem(&format!("nodelay = true\n{TCP}")).starts_with("line 1, column 1: unknown section `nodelay`;"));
}

#[test]
fn a_section_of_the_wrong_form() {
    assert_eq!(
        problem("[transport]\nuse = \"tcp\"\n"),
        "line 1, column 1: `transport` is not a list of sections; write `[[transport]]`, once for each plug-in, the most \
         wanted first"
    );
    assert_eq!(problem("transport = [1]\n"), "line 1, column 14: not a section of `transport`; write `[[transport]]`");
    assert_eq!(problem(&format!("[[node]]\n{TCP}")), "line 1, column 1: `node` is not a section; write `[node]`");
}

#[test]
fn a_plug_in_that_is_not_linked() {
    assert_eq!(
        problem("[[transport]]\nuse = \"tpc\"\n"),
        "line 2, column 7: transport `tpc` is not linked; available: memory, tcp, web; did you mean `tcp`?"
    );
    assert_eq!(
        problem("[[transport]]\nuse = \"quic\"\n"),
        "line 2, column 7: transport `quic` is not linked; available: memory, tcp, web"
    );
}

#[test]
fn a_plug_in_of_another_layer() {
    assert_eq!(
        problem("[[transport]]\nuse = \"noise\"\n"),
        "line 2, column 7: transport `noise` is not linked; it is a security: write it under `[[security]]`"
    );
}

#[test]
fn a_section_without_a_name() {
    assert_eq!(
        problem("[[transport]]\nnodelay = true\n"),
        "line 1, column 1: `[[transport]]` does not say which; add `use = \"…\"`; available: memory, tcp, web"
    );
    assert_eq!(
        problem("[[transport]]\nuse = 6\n"),
        "line 2, column 7: `use` is not a name in quotes; write `use = \"…\"`; available: memory, tcp, web"
    );
}

#[test]
fn a_plug_in_that_is_used_twice() {
    assert_eq!(
        problem(&format!("{TCP}[[transport]]\nuse = \"memory\"\n{TCP}")),
        "line 6, column 7: transport `tcp` is used twice; it is already used on line 2"
    );
}

#[test]
fn an_unknown_key_deep_inside() {
    assert_eq!(
        problem("[[transport]]\nuse = \"tcp\"\ntuning = { sendbuffer = 1 }\n"),
        "line 3, column 12: unknown key `sendbuffer`; available: receive_buffer, send_buffer; did you mean `send_buffer`?"
    );
    assert_eq!(
        problem(&format!("[node.limits]\nmax_conections = 1\n{TCP}")),
        "line 2, column 1: unknown key `max_conections`; available: max_connections, max_connections_per_host, \
         max_connections_per_path, max_connections_per_peer, max_connections_per_subnet, max_descriptors, max_memory, \
         max_memory_per_connection, max_memory_per_host, max_memory_per_peer, max_pending_dials, max_pending_incoming, \
         max_pending_incoming_per_host, max_streams, max_streams_per_connection, max_streams_per_peer, \
         max_streams_per_protocol; did you mean `max_connections`?"
    );
    assert!(
        problem(&format!("[node]\ntimeouts.dail_secs = 1\n{TCP}"))
            .starts_with("line 2, column 10: unknown key `dail_secs`;")
    );
}

#[test]
fn values_of_wrong_types_are_all_reported() {
    let text =
        format!("[[transport]]\nuse = \"tcp\"\nnodelay = 1\nbacklog = 70000\ntuning.send_buffer = \"big\"\n{REST}");
    assert_eq!(
        problems(&text),
        [
            "line 3, column 11: `nodelay` is 1; it must be true or false; write it as `nodelay = false`",
            "line 4, column 11: `backlog` is 70000; it must be from 0 to 65535",
            "line 5, column 22: `tuning.send_buffer` is \"big\"; it must be a whole number at least 0; \
             write it as `send_buffer = 0`",
        ]
    );
}

#[test]
fn options_that_contradict_each_other_name_the_section() {
    assert_eq!(
        problems(&format!("{TCP}[[security]]\nuse = \"plaintext\"\n[[muxer]]\nuse = \"yamux\"\n")),
        ["line 3, column 1: add `insecure = true`"]
    );
}

#[test]
fn settings_out_of_range() {
    let text = format!(
        "[node]\nagent = 1\n[node.limits]\nmax_connections = 0\n[node.timeouts]\ndial_secs = -1\nidle_secs = nan\n\
         dial_attempt_delay_ms = 60001\n{TCP}{REST}"
    );
    assert_eq!(
        problems(&text),
        [
            "line 2, column 9: `agent` is 1; it must be text in quotes; write it as `agent = \"1\"`",
            "line 4, column 19: `limits.max_connections` is 0; it must be from 1 to 1000000",
            "line 6, column 13: `timeouts.dial_secs` is -1; it must be from 0.001 to 1000000",
            "line 7, column 13: `timeouts.idle_secs` is nan; it must be from 0 to 1000000",
            "line 8, column 25: `timeouts.dial_attempt_delay_ms` is 60001; it must be from 0 to 60000",
        ]
    );
}

#[test]
fn whom_a_node_connects_with() {
    let all = |section: &str| problems(&format!("[node.connectivity]\n{section}{TCP}{REST}"));
    let one = |section: &str| {
        let mut all = all(section);
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    };
    assert_eq!(
        all("outbound = \"al\"\nmust_have = [\"/ip4/192.0.2.1/tcp/1\"]\nroles = [\"validater\"]\nexclusive = 1\n"),
        [
            "line 2, column 12: `outbound` is \"al\"; it must be \"all\" or a whole number",
            "line 3, column 14: a peer that a node must have is known by its id; write it behind the address: \
             \"/ip4/192.0.2.1/tcp/1/p2p/12D3Koo…\"",
            "line 4, column 10: `validater` is no role of a peer; available: validator, preferred-upstream, upstream, \
             validator-full-node, downstream, known, unknown; did you mean `validator`?; a role of your own stands in \
             `trust.roles`",
            "line 5, column 13: `connectivity.exclusive` is 1; it must be true or false; write it as `exclusive = false`",
        ]
    );
    assert_eq!(
        one("outbound = -1\n"),
        "line 2, column 12: `connectivity.outbound` is -1; it must be from 0 to 1000000"
    );
    assert!(one("must_have = [\"nowhere\"]\n").starts_with("line 2, column 14: "));
    for (key, least) in [
        ("grace_secs", "0.001"),
        ("trim_secs", "0.001"),
        ("check_secs", "0.001"),
        ("backoff_secs", "0.001"),
        ("backoff_max_secs", "0.001"),
        ("give_up_secs", "0.001"),
        ("high_water", "1"),
        ("low_water", "1"),
    ] {
        let expected =
            format!("line 2, column {}: `connectivity.{key}` is 0; it must be from {least} to 1000000", key.len() + 4);
        assert_eq!(one(&format!("{key} = 0\n")), expected);
    }
    assert!(one("outbond = 3\n").ends_with("did you mean `outbound`?"));
}

#[test]
fn wishes_that_contradict_each_other() {
    let one = |text: &str| problem(&format!("{text}{TCP}"));
    assert_eq!(
        one("[node.connectivity]\nlow_water = 100\n"),
        "line 2, column 13: `connectivity.low_water` is nothing without `high_water`; add `high_water = 120`"
    );
    assert_eq!(
        one("[node.connectivity]\nlow_water = 100\nhigh_water = 60\n"),
        "line 2, column 13: `connectivity.low_water` is 100, more than `high_water`, which is 60; write `low_water = 50`"
    );
    assert_eq!(
        one("[node]\nlimits.max_connections = 20\nconnectivity.high_water = 60\n"),
        "line 3, column 27: `connectivity.high_water` is 60, more than there can be; write 20 at most, or more in \
         `limits.max_connections`"
    );
    assert_eq!(
        one("[node.connectivity]\nbackoff_secs = 90\n"),
        "line 2, column 16: `connectivity.backoff_max_secs` is 60s, less than `backoff_secs`, which is 90s; write \
         `backoff_max_secs = 90`"
    );
    assert_eq!(
        one("[node.connectivity]\nsources = [\"found\", \"foundd\"]\n[[discovery]]\nuse = \"found\"\n"),
        "line 2, column 21: this config has no discovery `foundd`; available: found; did you mean `found`?"
    );
}

#[test]
fn what_belongs_under_node_and_an_identity_without_a_name() {
    assert_eq!(
        problems(&format!("listen = []\n[node]\nidentity = \"\"\n[limits]\n{TCP}{REST}")),
        [
            "line 1, column 1: unknown section `listen`; put it under `[node]`",
            "line 3, column 12: `identity` names no file; leave it out for a fresh key at every start",
            "line 4, column 2: unknown section `limits`; write it as `[node.limits]`",
        ]
    );
}

#[test]
fn every_limit_has_a_range() {
    for limit in [
        "max_connections",
        "max_pending_incoming",
        "max_pending_dials",
        "max_pending_incoming_per_host",
        "max_connections_per_peer",
        "max_connections_per_path",
        "max_connections_per_host",
        "max_connections_per_subnet",
        "max_descriptors",
        "max_streams",
        "max_streams_per_peer",
        "max_streams_per_protocol",
        "max_streams_per_connection",
    ] {
        for value in ["0", "1000001", "9223372036854775807", "99999999999999999999", "-1", "0x7fffffffffffffff"] {
            let found = problems(&format!("[node.limits]\n{limit} = {value}\n{TCP}{REST}"));
            let [told] = found.as_slice() else { panic!("{limit} = {value}: {found:#?}") };
            let ranged = told.contains(&format!("`limits.{limit}` is")) && told.contains("from 1 to 1000000");
            assert!(ranged || told.contains("integer"), "{told}");
        }
    }
}

#[test]
fn amounts_of_memory_have_a_range() {
    for limit in ["max_memory", "max_memory_per_connection", "max_memory_per_peer", "max_memory_per_host"] {
        for value in ["0", "65535", "1099511627777"] {
            let found = problems(&format!("[node.limits]\n{limit} = {value}\n{TCP}{REST}"));
            let [told] = found.as_slice() else { panic!("{limit} = {value}: {found:#?}") };
            assert!(told.contains(limit) && told.contains("from 65536 to 1099511627776"), "{told}");
        }
    }
}

#[test]
fn rates_and_lists_are_checked() {
    assert_eq!(
        problem(&format!("[node.rates]\nhandshake_per_host = 1\n{TCP}")),
        "line 2, column 1: unknown key `handshake_per_host`; available: bytes_per_host, bytes_per_peer, handshakes_per_host, \
         messages_per_peer, streams_per_peer; did you mean `handshakes_per_host`?"
    );
    let told = problem(&format!("[node.rates]\nbytes_per_peer = 1000000000001\n{TCP}"));
    assert!(told.starts_with("line 2") && told.contains("it must be from 0 to 1000000000000"), "{told}");
    let told = problem(&format!("[node.gate]\ndeny = [\"10.0.0.0/8\", \"10.0.0.0/99\"]\n{TCP}"));
    assert!(
        told.starts_with("line 2") && told.contains("“10.0.0.0/99” is no peer id, IP address or network"),
        "{told}"
    );
    let told = problem(&format!("[node.gate]\nblock = []\n{TCP}"));
    assert!(told.contains("unknown key `block`; available: allow, deny"), "{told}");
}

#[test]
fn a_name_of_megabytes_is_refused_and_not_repeated() {
    let long = "x".repeat(1 << 20);
    let told = problem(&format!("[node]\nagent = \"{long}\"\n{TCP}"));
    assert_eq!(told, "line 2, column 9: `agent` has 1048576 characters; it may have at most 256");
    for text in [
        format!("[[{long}]]\n{TCP}"),
        format!("[node]\n{long} = 1\n{TCP}"),
        format!("[[transport]]\nuse = \"{long}\"\n"),
        format!("[node]\nlisten = \"{long}\"\n{TCP}"),
        format!("[node]\nlisten = [\"/dns4/{long}/tcp/1\"]\n{TCP}"),
        format!("[node]\nlisten = [\"{long}\"]\n{TCP}"),
    ] {
        let told = problem(&text);
        assert!(told.len() < 2000, "{} bytes: {}", told.len(), &told[..200]);
    }
}

/// Whatever a config is full of: the work follows its length, and what is told has a bound.
#[test]
fn a_config_of_megabytes_is_refused_with_few_words() {
    let count = 20_000;
    let keys: String = (0..count).map(|n| format!("k{n} = 1\n")).collect();
    let addresses: String = (0..count).map(|n| format!("\"/ip4/1.2.3.4/tcp/{}\",\n", n % 60_000)).collect();
    for text in [
        keys.clone(),
        format!("[node]\n{keys}"),
        format!("[[transport]]\nuse = \"tcp\"\n{keys}"),
        format!("[[transport]]\nuse = \"tcp\"\n[transport.tags]\n{keys}"),
        TCP.repeat(count),
        "[[transport]]\n".repeat(count),
        (0..count).map(|n| format!("[s{n}]\n")).collect(),
        format!("[node]\nlisten = [{addresses}]\n{TCP}{REST}"),
        format!("[node]\nlisten = [{}]\n{TCP}{REST}", "1,".repeat(count)),
        "[node]\nagent = 1\n".repeat(count),
    ] {
        let error = error(&text);
        assert!(error.problems.len() <= MAX_PROBLEMS, "{}", error.problems.len());
        assert!(error.to_string().len() < 64 * 1024, "{} bytes", error.to_string().len());
    }
    let told = error(&"#\n".repeat(MAX_CONFIG));
    assert_eq!(
        told.problems[0].message,
        format!("the config has {} bytes; it may have at most {MAX_CONFIG}", 2 * MAX_CONFIG)
    );
}

#[test]
fn listen_addresses_are_checked_one_by_one() {
    let text = format!(
        "[node]\nlisten = [\n  \"/ip4/127.0.0.1/tcp/0\",\n  \"/ip4/1.2.3/tcp/0\",\n  7,\n  \
         \"/ip4/1.2.3.4/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN\",\n  \"/memory/1\",\n  \
         \"/ip4/1.2.3.4/tcp/1/wss\",\n  \"/ip4/1.2.3.4/udp/1/quic-v1\",\n]\n{TCP}{REST}"
    );
    let found = problems(&text);
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found[0].starts_with("line 4, column 3: “/ip4/1.2.3/tcp/0” is not a multiaddr such as"), "{found:#?}");
    assert_eq!(
        found[1..],
        [
            "line 5, column 3: a listen address is not text in quotes",
            "line 6, column 3: a listen address names a peer; write `/ip4/1.2.3.4/tcp/1`",
            "line 7, column 3: no transport of this config listens on /memory/1 (it has: tcp); transport `memory` takes \
             it: add `[[transport]]` with `use = \"memory\"`",
            "line 8, column 3: no transport of this config listens on /ip4/1.2.3.4/tcp/1/wss (it has: tcp); transport \
             `web` takes it: add `[[transport]]` with `use = \"web\"`",
            "line 9, column 3: no transport of this config listens on /ip4/1.2.3.4/udp/1/quic-v1 (it has: tcp); nor does \
             any that is linked: memory, tcp, web",
        ]
    );
}

#[test]
fn a_transport_that_needs_other_options_to_listen_says_so() {
    assert_eq!(
        problem("[node]\nlisten = [\"/ip4/1.2.3.4/tcp/1/wss\"]\n[[transport]]\nuse = \"web\"\n"),
        "line 2, column 11: no transport of this config listens on /ip4/1.2.3.4/tcp/1/wss (it has: web); transport `web` \
         takes it, but not with these options"
    );
}

#[test]
fn a_misspelt_transport_does_not_blame_its_addresses() {
    assert!(
        problem("[node]\nlisten = [\"/ip4/1.2.3.4/tcp/1\"]\n[[transport]]\nuse = \"tpc\"\n")
            .starts_with("line 4, column 7: transport `tpc` is not linked;")
    );
    assert_eq!(
        problem(&format!("[node]\nlisten = \"/memory/1\"\n{TCP}")),
        "line 2, column 10: `listen` is not a list; write it as `listen = [\"/ip4/0.0.0.0/tcp/4001\"]`"
    );
}

#[test]
fn everything_is_reported_at_once_in_the_order_of_the_text() {
    let text =
        "extra = 1\n[[protocol]]\nuse = \"pong\"\n[[transport]]\nuse = \"tcp\"\nx = 1\n[node]\ny = 2\n[[muxer]]\n";
    let places: Vec<_> = error(text).problems.iter().map(|p| (p.line, p.column)).collect();
    assert_eq!(places, [(1, 1), (3, 7), (6, 1), (8, 1), (9, 1), (10, 1)]);
    assert!(error(text).problems[5].message.starts_with("no security"));
}

#[test]
fn a_config_error_becomes_an_error_of_the_stack() {
    let error = stackwire_core::Error::from(error("[[transport]]\nuse = \"tpc\"\n"));
    assert_eq!(error.kind(), &stackwire_core::Kind::ConfigInvalid);
    assert!(error.to_string().contains("did you mean `tcp`?"));
}

/// Which addresses can't be listened on side by side, told with the line of the other one.
#[test]
fn addresses_that_need_one_socket_are_told() {
    let text = |addresses: &[&str]| {
        let list: Vec<String> = addresses.iter().map(|address| format!("  \"{address}\",\n")).collect();
        format!(
            "[node]\nlisten = [\n{}]\n{}",
            list.concat(),
            "[[transport]]\nuse = \"tcp\"\n[[transport]]\nuse = \"memory\"\n\
                 [[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n"
        )
    };
    for good in [
        &["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0", "/memory/0", "/memory/0"][..],
        &["/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/ip4/0.0.0.0/tcp/2"],
        &["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.2/tcp/1", "/memory/1", "/memory/2"],
    ] {
        assert!(Plan::parse(&text(good), &fake::catalogue()).is_ok(), "{good:?}");
    }
    for (bad, line, of) in [
        (&["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"][..], 4, 3),
        (&["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.2/tcp/1", "/ip4/0.0.0.0/tcp/1"], 5, 3),
        (&["/ip6/::/tcp/7", "/ip4/127.0.0.1/tcp/7", "/ip6/::1/tcp/7"], 5, 3),
        (&["/memory/1", "/memory/2", "/memory/1"], 5, 3),
    ] {
        let error = Plan::parse(&text(bad), &fake::catalogue()).err().unwrap_or_else(|| panic!("{bad:?}"));
        assert_eq!(error.problems.len(), 1, "{error}");
        assert_eq!(error.problems[0].line, line, "{error}");
        assert!(error.to_string().contains(&format!("on line {of}")), "{error}");
    }
}
