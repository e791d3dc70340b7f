//! The machine's real interfaces: an address comes and goes, and a listener on a wildcard is told.
//!
//! The test runs itself again in a network namespace of its own, so that this machine's interfaces stay as they are.
//! Where it may not make one, it says so and is skipped.

#![cfg(target_os = "linux")]

use std::process::{Command, Output};

use futures::StreamExt;
use stackwire_conformance::in_time;
use stackwire_socket::{Bound, TcpOptions, bind_tcp};

const CHILD: &str = "STACKWIRE_TEST_WITHIN_A_NAMESPACE";

#[test]
fn addresses_that_come_and_go_are_told() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(in_time("the interfaces' changes", come_and_go()));
    }
    if let Err(error) = ip("-V") {
        return eprintln!("skipped: {error}");
    }
    // The second is for users who are not root, where the system lets them.
    for namespace in [&["--net"][..], &["--net", "--user", "--map-root-user"]] {
        let within = || {
            let mut command = Command::new("unshare");
            command.args(namespace);
            command
        };
        match within().args(["ip", "link", "set", "lo", "up"]).output() {
            Ok(Output { status, .. }) if status.success() => {}
            Ok(Output { stderr, .. }) => {
                eprintln!("no network namespace by {namespace:?}: {}", String::from_utf8_lossy(&stderr).trim());
                continue;
            }
            Err(error) => return eprintln!("skipped: there is no unshare ({error})"),
        }
        let test = ["--exact", "addresses_that_come_and_go_are_told", "--nocapture"];
        let child = within().arg(std::env::current_exe().unwrap()).args(test).env(CHILD, "1").output().unwrap();
        let said = [child.stdout, child.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        return assert!(child.status.success(), "{said}");
    }
    eprintln!("skipped: this user may make no network namespace");
}

async fn come_and_go() {
    ip("link set lo up").unwrap();
    let socket = bind_tcp("0.0.0.0:0".parse().unwrap(), TcpOptions::default()).unwrap();
    let bound = Bound::new(socket.local_addr().unwrap(), false);
    let ips = |list: Vec<std::net::SocketAddr>| list.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>();
    assert_eq!(ips(bound.addresses()), ["127.0.0.1"]);

    let mut lists = bound.watch().unwrap();
    assert!(futures::poll!(lists.next()).is_pending(), "nothing has changed");
    ip("address add 192.0.2.1/24 dev lo").unwrap();
    assert_eq!(ips(lists.next().await.unwrap()), ["192.0.2.1", "127.0.0.1"]);
    assert_eq!(ips(bound.addresses()), ["192.0.2.1", "127.0.0.1"]);
    ip("address add 2001:db8::1/64 dev lo").unwrap();
    ip("address del 192.0.2.1/24 dev lo").unwrap();
    assert_eq!(ips(lists.next().await.unwrap()), ["127.0.0.1"], "IPv6 is not this socket's");
}

/// Runs `ip` with these words.
fn ip(words: &str) -> Result<(), String> {
    match Command::new("ip").args(words.split(' ')).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => Err(format!("ip {words}: {}", String::from_utf8_lossy(&stderr))),
        Err(error) => Err(format!("there is no ip ({error})")),
    }
}
