//! The gate: what it refuses comes to nothing, and both sides know why.

use std::sync::atomic::{AtomicBool, Ordering};

use stackwire_node::{Builder, ConnectionInfo, Gate, Kind, PeerId, PublicKey, Reason, Refusal, Role};

use super::*;

/// Refuses at one of its four questions.
#[derive(Clone)]
struct Closed {
    at: &'static str,
    asked: Arc<AtomicBool>,
}

impl Closed {
    fn at(at: &'static str) -> Self {
        Self { at, asked: Arc::default() }
    }

    fn answer(&self, question: &'static str) -> Result<(), Refusal> {
        if question != self.at {
            return Ok(());
        }
        self.asked.store(true, Ordering::Relaxed);
        Err(Refusal::gated(format!("the test refuses at {question}")))
    }
}

impl Gate for Closed {
    fn dial(&self, _: Option<&PeerId>, _: &Multiaddr) -> Result<(), Refusal> {
        self.answer("dial")
    }
    fn accept(&self, local: &[Multiaddr], remote: &Multiaddr) -> Result<(), Refusal> {
        assert!(local.len() == 1 && !remote.is_empty());
        self.answer("accept")
    }
    fn secured(&self, role: Role, key: &PublicKey, remote: &Multiaddr) -> Result<(), Refusal> {
        assert!(role == Role::Listener && !remote.is_empty() && !key.peer_id().to_bytes().is_empty());
        self.answer("secured")
    }
    fn connected(&self, info: &ConnectionInfo, others: &[&ConnectionInfo]) -> Result<(), Refusal> {
        assert!(others.iter().all(|other| other.peer == info.peer && other.id != info.id));
        self.answer("connected")
    }
}

async fn gated(gate: Closed) -> Node {
    Builder::from_config(&config("", ""), &catalogue()).unwrap().gate(gate).start().await.expect("the config is good")
}

#[tokio::test]
async fn what_is_not_to_be_dialed_is_not_dialed() {
    let (server, client) = (node("", "").await, gated(Closed::at("dial")).await);
    let error = client.connect(&address(&server)).await.unwrap_err();
    let Kind::DialFailed(failures) = error.kind() else { panic!("{error:?}") };
    assert_eq!(failures[0].error.kind(), &Kind::Gated { reason: Reason::Gated });
    assert!(!failures[0].reached && error.to_string().contains("the test refuses at dial"), "{error}");
}

#[tokio::test]
async fn who_is_refused_makes_no_connection_and_is_told_why() {
    for at in ["accept", "secured", "connected"] {
        let gate = Closed::at(at);
        let (server, client) = (gated(gate.clone()).await, node("", "").await);
        let (mut at_server, mut at_client) = (server.events(), client.events());
        let dialed = client.connect(&address(&server)).await;
        let refused = event(&mut at_server, |event| match event {
            Event::IncomingFailed { error, .. } => Some(error),
            Event::Connected { .. } => panic!("{at}: it was refused"),
            _ => None,
        });
        assert_eq!(refused.await.kind(), &Kind::Gated { reason: Reason::Gated }, "{at}");
        assert!(gate.asked.load(Ordering::Relaxed) && server.connections().is_empty());
        if at == "accept" {
            assert!(dialed.is_err(), "nobody is there");
            continue;
        }
        // The dialer's side of the handshake may be done first: then it hears the code as the connection's end.
        match dialed {
            Err(error) => assert!(error.to_string().contains("gated"), "{at}: {error}"),
            Ok(_) => {
                let end = event(&mut at_client, |event| match event {
                    Event::Disconnected { end, .. } => Some(end),
                    _ => None,
                });
                assert_eq!(end.await.reason, Reason::Gated, "{at}");
            }
        }
    }
}
