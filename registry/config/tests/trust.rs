//! What may be wrong with whom a network trusts and where others reach it.

mod fake;

use stackwire_config::Plan;

/// What a stack needs beside its transport.
const REST: &str = "[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
const TCP: &str = "[[transport]]\nuse = \"tcp\"\n";

/// The first line of every problem, without the source line under it.
fn problems(text: &str) -> Vec<String> {
    let lines = Plan::parse(text, &fake::catalogue()).expect_err("this config is wrong").problems;
    lines.iter().map(|problem| problem.to_string().lines().next().unwrap_or_default().to_string()).collect()
}

/// The only problem of `text` followed by the least rest of a config.
fn problem(text: &str) -> String {
    let mut all = problems(&format!("{text}{REST}"));
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[test]
fn external_addresses_lead_somebody_here() {
    let external = |list: &str| problem(&format!("[node]\nexternal = {list}\n{TCP}"));
    assert_eq!(
        external("[\"/ip4/0.0.0.0/tcp/4001\"]"),
        "line 2, column 13: an external address, /ip4/0.0.0.0/tcp/4001, leads nobody here; write the address and the port \
         that others dial, such as `/ip4/203.0.113.7/tcp/4001`"
    );
    assert!(external("[\"/ip4/203.0.113.7/tcp/0\"]").contains("leads nobody here"));
    assert_eq!(
        external("\"/ip4/203.0.113.7/tcp/4001\""),
        "line 2, column 12: `external` is not a list; write it as `external = [\"/ip4/203.0.113.7/tcp/4001\"]`"
    );
    let named = "/ip4/203.0.113.7/tcp/1/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
    assert_eq!(
        external(&format!("[\"{named}\"]")),
        "line 2, column 13: an external address names a peer; write `/ip4/203.0.113.7/tcp/1`"
    );
    let many = vec!["\"/ip4/203.0.113.7/tcp/1\""; 33].join(",");
    assert!(external(&format!("[{many}]")).contains("`external` has 33 addresses; it may have at most 32"));
    assert!(problem(&format!("[node]\nexternl = []\n{TCP}")).contains("did you mean `external`?"));
}

const PEER: &str = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";

#[test]
fn trust_is_checked_option_by_option() {
    let trust = |lines: &str| problem(&format!("[node.trust]\n{lines}\n{TCP}"));
    for (lines, expected) in [
        (
            "authentication = \"mutal\"",
            "line 2, column 18: `trust.authentication` is \"mutal\"; it must be one of \"open\", \"server-only\", \"mutual\"; did you mean \"mutual\"?",
        ),
        (
            "autentication = \"mutual\"",
            "line 2, column 1: unknown key `autentication`; available: authentication, roles, trusted, trusted_file, trusted_poll_secs, trusted_url; did you mean `authentication`?",
        ),
        (
            "roles = [\"upstream\", \"validator\"]",
            "line 2, column 9: `validator` is always more wanted than `upstream`: name it first, or leave it out",
        ),
        (
            "roles = [\"Sequencer\"]",
            "line 2, column 9: “Sequencer” is no name of a role: 1 to 32 small letters, digits, `-` and `_`",
        ),
        ("trusted_file = \"\"", "line 2, column 16: `trust.trusted_file` names no file; leave it out"),
        (
            "trusted_url = \"example.com\"",
            "line 2, column 15: `trust.trusted_url` is no address such as \"https://example.com/validators.toml\"",
        ),
        ("trusted_poll_secs = 0", "line 2, column 21: `trust.trusted_poll_secs` is 0; it must be from 1 to 1000000"),
        (
            "trusted = [{ pear = \"x\" }]",
            "line 2, column 14: unknown key `pear`; available: account, key, keys, libp2p, peer, role; did you mean `peer`?",
        ),
        (
            "trusted = [{ peer = \"x\" }]",
            "line 2, column 12: “x” is neither an account id of 32 or 64 hex digits nor a libp2p peer id",
        ),
        (
            "trusted = [{}]",
            "line 2, column 12: the trusted peer without a name: nothing tells it from others: give its libp2p peer id or `keys`",
        ),
    ] {
        assert_eq!(trust(lines), expected);
    }
    assert_eq!(
        trust(&format!(
            "roles = [\"sequencer\"]\ntrusted = [\n  {{ peer = \"{PEER}\", role = \"sequencer\" }},\n  {{ peer = \"{PEER}\", role = \"seqencer\" }},\n]"
        )),
        "line 5, column 75: `seqencer` is no role of a peer; available: sequencer, validator, preferred-upstream, upstream, \
         validator-full-node, downstream, known, unknown; did you mean `sequencer`?; a role of your own stands in `trust.roles`"
    );
    // In a network of several, the same.
    let network = "[[network]]\nname = \"a\"\n[network.node.trust]\nauthentication = \"open\"\ntrusted = [{ peer = \"x\" }]\n\
                   [[network.transport]]\nuse = \"tcp\"\n[[network.security]]\nuse = \"noise\"\n[[network.muxer]]\nuse = \"yamux\"\n";
    assert!(problems(network)[0].starts_with("line 5, column 12: “x” is neither"), "{:?}", problems(network));
}

#[test]
fn a_file_of_trusted_peers_that_is_wrong_is_told_where_it_is_named() {
    let folder = std::env::temp_dir().join(format!("stackwire-trusted-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!("[node.trust]\nauthentication = \"mutual\"\ntrusted_file = \"peers.toml\"\n{TCP}{REST}");
    let plan = Plan::parse_in(&folder, &text, &fake::catalogue()).unwrap();
    let wrong = |plan: &Plan| plan.inspect().unwrap_err().to_string();
    assert!(wrong(&plan).starts_with("line 3, column 16: ") && wrong(&plan).contains("peers.toml"), "{}", wrong(&plan));
    std::fs::write(folder.join("peers.toml"), "[[trusted]]\npeer = \"x\"\n").unwrap();
    assert!(wrong(&plan).contains("line 1: “x” is neither"), "{}", wrong(&plan));
    let peer = |role: &str| format!("[[trusted]]\npeer = \"{PEER}\"\nrole = \"{role}\"\n");
    std::fs::write(folder.join("peers.toml"), peer("validator")).unwrap();
    assert!(plan.inspect().is_ok());
    assert_eq!(
        plan.trust_summary().to_string(),
        format!(
            "trust in network default\n  mutual: only the one trusted peer may connect\n  roles       1 validator\n  \
             file        {}: 1 listed, watched\n",
            folder.join("peers.toml").display()
        )
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
