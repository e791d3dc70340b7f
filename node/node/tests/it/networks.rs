//! A node in several networks.

use stackwire_node::Kind;

use super::*;

/// A network section of `name`, with noise or tls.
fn section(name: &str, security: &str) -> String {
    format!(
        "[[network]]\nname = \"{name}\"\n[network.node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n\
         [[network.transport]]\nuse = \"tcp\"\n[[network.security]]\nuse = \"{security}\"\n\
         [[network.muxer]]\nuse = \"yamux\"\n"
    )
}

async fn of(text: &str) -> Node {
    Node::from_config(text, &catalogue()).await.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[tokio::test]
async fn each_network_has_its_own_identity_stack_and_peers() {
    let node = of(&(section("validator", "noise") + &section("public", "tls"))).await;
    let [validator, public] = &node.networks()[..] else { panic!("there are two") };
    assert_eq!((validator.name(), public.name(), node.name()), ("validator", "public", "validator"));
    assert_ne!(validator.peer_id(), public.peer_id());
    let mut events = node.all_events();
    let client = of(&section("public", "tls")).await;
    let error = client.connect(&address(&node)).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::DialFailed(_)), "the validators speak noise only: {error}");
    client.connect(&public.addresses()[0]).await.unwrap();
    let (name, _) = in_time("the connection", async {
        loop {
            let told = events.next().await.expect("the node runs");
            if matches!(told.1, Event::Connected { .. }) {
                return told;
            }
        }
    })
    .await;
    assert_eq!(name, "public");
    assert!(validator.connections().is_empty() && public.connections().len() == 1);
    node.shutdown().await;
    assert!(in_time("the end of all events", events.collect::<Vec<_>>()).await.len() > 1);
}

#[tokio::test]
async fn networks_come_and_go_with_the_text() {
    let node = of(&(section("a", "noise") + &section("b", "noise"))).await;
    let b = node.network("b").unwrap();
    let client = of(&config("", "")).await;
    client.connect(&b.addresses()[0]).await.unwrap();
    let changes = node.reload(&(section("a", "noise") + &section("c", "tls")), &catalogue()).await.unwrap();
    assert_eq!((changes.listening.len(), changes.closed.len()), (1, 1));
    assert_eq!(node.networks().iter().map(|network| network.name().to_string()).collect::<Vec<_>>(), ["a", "c"]);
    in_time("the end of b", async {
        while !client.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    // What is wrong in one network changes nothing in any.
    let (before, taken) = (node.addresses(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = taken.local_addr().unwrap().port();
    let wrong = section("a", "tls") + &section("c", "noise").replace("tcp/0", &format!("tcp/{port}"));
    node.reload(&wrong, &catalogue()).await.unwrap_err();
    assert_eq!(node.addresses(), before);
    client.connect(&address(&node)).await.expect("noise is spoken still");
    let error = node.reload(&section("c", "tls"), &catalogue()).await.unwrap_err();
    assert!(error.to_string().contains("network `a` can't leave"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_networks_is_told_with_its_line() {
    for (text, wrong) in [
        (section("a", "noise") + &section("a", "tls"), "two networks are called `a`"),
        (section("", "noise"), "1 to 32 characters"),
        (section("a", "noise").replace("name = \"a\"", "name = 7"), "text in quotes"),
        (section("a", "noise").replace("name = \"a\"\n", ""), "without a name"),
        ("[node]\nagent = \"x\"\n".to_string() + &section("a", "noise"), "belongs to none of the networks"),
        (section("a", "noisy"), "`noisy` is not linked"),
        (section("a", "noise") + &section("a", "noisy"), "`noisy` is not linked"),
        ("network = []\n".to_string(), "0 networks"),
        ("network = 7\n".to_string(), "is not a list"),
    ] {
        let error = Node::from_config(&text, &catalogue()).await.err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.to_string().contains(wrong) && error.to_string().contains("line"), "{wrong}: {error}");
    }
}
