//! Session keys are written where the environment says so, and nowhere else.

use std::{path::Path, process::Command};

use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{Keypair, Role, Security, SecurityContext, address::FixedPath};
use stackwire_security_tls::Tls;

/// What the child process runs: one handshake.
#[tokio::test]
#[ignore = "run by the other tests, in a process of its own"]
async fn handshake() {
    let (a, b) = pipes::pair();
    let side = async |pipe, role, seed| {
        let (identity, env, fixed) = (Keypair::ed25519_from_seed([seed; 32]), env(), FixedPath::default());
        let context = SecurityContext::new(&identity, &env).with_fixed(&fixed);
        Tls::new().handshake(pipe, role, context).await.map(|secured| secured.pipe).unwrap()
    };
    in_time("the handshake", async { tokio::join!(side(a, Role::Dialer, 1), side(b, Role::Listener, 2)) }).await;
}

/// Runs [`handshake`] in a process of its own, in `folder`, whose environment names `log`.
fn shake_hands(folder: &Path, log: Option<&Path>) {
    let mut child = Command::new(std::env::current_exe().expect("a test knows its own program"));
    child.args(["--exact", "handshake", "--ignored"]).current_dir(folder).env_remove("SSLKEYLOGFILE");
    if let Some(log) = log {
        child.env("SSLKEYLOGFILE", log);
    }
    let output = child.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn keys_are_written_to_the_file_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("keys");
    shake_hands(folder.path(), Some(&log));
    let written = std::fs::read_to_string(&log).unwrap();
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "] {
        assert_eq!(written.lines().filter(|line| line.starts_with(label)).count(), 2, "both sides, {label}");
    }
}

#[test]
fn keys_are_written_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    shake_hands(folder.path(), None);
    // An empty name is none.
    shake_hands(folder.path(), Some(Path::new("")));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
